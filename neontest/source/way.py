"""The way into the source, for libpq's programs: in files that only we can read, never in arguments."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote, urlencode

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from neontest.errors import UsageError

FROM: Final = "NEONTEST_FROM"
SHORT: Final = 3
"""Characters of a password that may be in a text by chance."""


def parameters(url: str) -> dict[str, str]:
    """What the connection string says, by libpq's keywords.

    Raises:
        UsageError: it is none; what was given is not repeated.
    """
    scheme, separator, rest = url.strip().partition("://")
    found: dict[str, str] = {}
    if separator and scheme.partition("+")[0] in ("postgresql", "postgres"):
        with suppress(psycopg2.Error, ValueError):
            found = {name: str(value) for name, value in parse_dsn(f"postgresql://{rest}").items()}
    if not found or any("\n" in each or "\0" in each for each in found.values()):
        raise UsageError(
            "--from is not a connection string of Postgres",
            hint="write it as postgresql://USER@HOST/DATABASE, percent-encoded, and its password into NEONTEST_FROM",
        )
    if "service" in found or "passfile" in found:
        raise UsageError(
            "--from names a service or a password file", hint="name the host, user and database themselves"
        )
    return found


def named(given: str | None, origin: str, environ: Mapping[str, str]) -> str | None:
    """The connection string that was given, or that is in the variable that `env:NAME` names.

    Raises:
        UsageError: it is in a file, or has a password where every process of the machine can read it.
    """
    if given is None:
        return None
    given = given.strip()
    if given.startswith("env:"):
        name = given.removeprefix("env:")
        if not name.isidentifier():  # it may be a secret in the wrong place
            raise UsageError("--from: what follows env: is not the name of a variable")
        url = environ.get(name, "").strip()
        if not url:
            raise UsageError(f"--from: the variable {name} is not set", hint=f"export {name}, or leave --from out")
        parameters(url)
        return url
    if origin == "pyproject.toml":
        raise UsageError(
            "[tool.neontest] from holds a connection string, which is no matter for a file",
            hint='export it as a variable, and write from = "env:NAME"',
        )
    known = parameters(given)
    if origin == "flag" and {"password", "sslpassword"} & known.keys():
        raise UsageError(
            "--from has a password in it, which every process of this machine can read there",
            hint=f"export the connection string as {FROM}, or as any variable and give --from env:NAME",
        )
    return given


def plain(url: str) -> str:
    """The connection string for libpq, without SQLAlchemy's driver; it waits for no server longer than 10 s."""
    return str(make_dsn(**{"connect_timeout": "10", **parameters(url), "application_name": "neontest"}))


def here(url: str) -> str:
    """The connection string of a server on this machine for a program that may have no TLS."""
    known = {name: value for name, value in parameters(url).items() if name not in ("sslmode", "channel_binding")}
    return f"postgresql://?{urlencode(known, quote_via=quote)}"


def hidden(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for the project's code: no variable of it holds the URL or a password in it.

    A password that is very short, and so a part of many a word, only counts where it stands as one.
    """
    told = secrets(url)
    return {name: value for name, value in environ.items() if not any(holds(name, value, each) for each in told)}


def holds(name: str, value: str, secret: str) -> bool:
    """The variable holds the secret, as it is or percent-encoded."""
    texts = {value, unquote(value)}
    if len(secret) > SHORT:
        return any(secret in each for each in texts)
    return any(as_password(secret, name, each) for each in texts)


def as_password(secret: str, name: str, value: str) -> bool:
    """The secret is the password in a connection string, or all of a variable that is named for one."""
    if value.strip() == secret:
        return "PASS" in name.upper()
    found = re.escape(secret)
    return re.search(rf":{found}@|password\s*=\s*(['\"]?){found}(?:\1|&|\s|$)", value, re.IGNORECASE) is not None


def outside(url: str, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without the URL in it, and of libpq's variables only the password's."""
    kept = {"PGPASSWORD", "PGPASSFILE"} if "password" not in parameters(url) else set()
    return {
        name: value
        for name, value in environ.items()
        if (not name.startswith("PG") or name in kept) and value.strip() != url
    }


def secrets(url: str) -> tuple[str, ...]:
    """The connection string and every password in it."""
    known = parameters(url)
    return tuple(filter(None, (url, known.get("password"), known.get("sslpassword"))))


def environment(url: str, folder: Path, name: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What libpq's programs find the database of `url` by: a service file and a password file, mode 0600.

    Variables that hold a password, or the URL itself, are left out.
    """
    known = parameters(url)
    password = known.pop("password", None)
    known.setdefault("connect_timeout", "10")
    known["application_name"] = "neontest"
    service = folder / f"{name}.service"
    private(service, "".join([f"[{name}]\n", *(f"{key}={value}\n" for key, value in known.items())]))
    result = outside(url, environ)
    if password is not None:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        private(folder / f"{name}.pass", f"*:*:*:*:{escaped}\n")
        result["PGPASSFILE"] = str(folder / f"{name}.pass")
    return {**result, "PGSERVICEFILE": str(service), "PGSERVICE": name, "LC_ALL": "C", "LC_MESSAGES": "C"}


def private(file: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as out:
        out.write(text)
