"""The JSON API over users."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from werkzeug.exceptions import BadRequest, Conflict, HTTPException, NotFound

from app.database import db
from app.models import User

api = Blueprint("api", __name__)

INTEGER_MAX = 2**31 - 1


@api.app_errorhandler(HTTPException)
def sentence(error: HTTPException) -> tuple[Response, int]:
    """Every error as JSON: one sentence."""
    return jsonify(error=error.description), error.code or 500


@api.get("/health")
def health() -> Response:
    db.session.execute(text("SELECT 1"))
    return jsonify(status="ok")


@api.get("/users")
def list_users() -> Response:
    """Users by id, at most `limit` (1 to 1000, 100 unless given) of those after the id `after`."""
    after = parse_number("after", low=0, high=INTEGER_MAX, default=0)
    limit = parse_number("limit", low=1, high=1000, default=100)
    users = db.session.scalars(select(User).where(User.id > after).order_by(User.id).limit(limit))
    return jsonify([user.to_dict() for user in users])


@api.get("/users/<int:user_id>")
def get_user(user_id: int) -> Response:
    user = db.session.get(User, user_id) if user_id <= INTEGER_MAX else None
    if user is None:
        raise NotFound(f"There is no user {user_id}.")
    return jsonify(user.to_dict())


@api.post("/users")
def create_user() -> tuple[Response, int]:
    user = parse_user(request.get_json(silent=True))
    db.session.add(user)
    try:
        db.session.commit()
    except IntegrityError as error:
        db.session.rollback()
        if getattr(error.orig, "pgcode", None) == "23505":  # unique_violation; email is the only one
            raise Conflict(f"The email {user.email} is taken.") from error
        raise
    return jsonify(user.to_dict()), 201


def parse_number(name: str, *, low: int, high: int, default: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    number = int(text) if text.isascii() and text.isdigit() and len(text) < 12 else -1
    if not low <= number <= high:
        raise BadRequest(f"{name} must be a whole number from {low} to {high}.")
    return number


def parse_user(body: Any) -> User:
    """The user that a request's body describes.

    Raises:
        BadRequest: with a sentence that names the field.
    """
    if not isinstance(body, dict):
        raise BadRequest("Send a JSON object with name and email.")
    unknown = sorted(set(body) - {"name", "email", "years_old"})
    if unknown:
        raise BadRequest(f"Unknown field: {unknown[0]}.")
    years_old = body.get("years_old")
    if years_old is not None and (
        not isinstance(years_old, int) or isinstance(years_old, bool) or not 0 <= years_old <= 150
    ):
        raise BadRequest("years_old must be a whole number from 0 to 150.")
    name = parse_text(body, "name", 100)
    email = parse_text(body, "email", 120)
    if email.count("@") != 1 or email.startswith("@") or email.endswith("@"):
        raise BadRequest("email must be an email address.")
    return User(name=name, email=email, years_old=years_old)


def parse_text(body: dict[str, Any], field: str, longest: int) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value.strip():
        raise BadRequest(f"{field} is required.")
    value = value.strip()
    if len(value) > longest:
        raise BadRequest(f"{field} must not be longer than {longest} characters.")
    if not value.isprintable():  # Postgres refuses NUL in text; no name needs control characters
        raise BadRequest(f"{field} must not contain control characters.")
    return value
