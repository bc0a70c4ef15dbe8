"""Where people read the files of the commit that was tested."""

from __future__ import annotations

import re
from urllib.parse import quote

import msgspec


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A commit of a repository on GitHub, or on a server that serves it under the same addresses."""

    url: str
    """Of the repository: `https://github.com/owner/name`."""
    sha: str
    folder: str = ""
    """Where in the repository the project lies, with `/`; "" at its top. The files of a report start from there."""
    job: str | None = None
    """The page of the job, whose log has all that has no room elsewhere."""
    fork: str | None = None
    """The other repository, `owner/name`, whose run wrote the report: its own code decided what is in it."""

    def link(self, file: str | None, line: int | None = None) -> str | None:
        """The page of the file at that line; None for what does not lie in the repository."""
        if not file or not usable(self.url) or not re.fullmatch(r"[0-9a-f]{7,64}", self.sha):
            return None
        path = "/".join(filter(None, (self.folder.strip("/"), file)))
        if file.startswith("/") or {"", ".", ".."} & set(path.split("/")):
            return None
        anchor = f"#L{line}" if line else ""
        return f"{self.url.rstrip('/')}/blob/{self.sha}/{quote(path, safe='/', errors='replace')}{anchor}"


def usable(url: str | None) -> bool:
    """It is a plain address of the web, with nothing in it that could end a link early."""
    return url is not None and re.fullmatch(r"https?://[\w.:/%~-]+(?:\?[\w=&%.-]*)?", url, re.ASCII) is not None
