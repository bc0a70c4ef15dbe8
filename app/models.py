"""The tables of the application."""

from __future__ import annotations

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from app.database import Base


class User(Base):
    """A person who uses the application."""

    __tablename__ = "user"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(100))
    email: Mapped[str] = mapped_column(String(120), unique=True, index=True)
    years_old: Mapped[int | None]

    def to_dict(self) -> dict[str, int | str | None]:
        return {"id": self.id, "name": self.name, "email": self.email, "years_old": self.years_old}
