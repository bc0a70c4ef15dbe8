"""Extensions as on Neon: an owner that is no superuser may create those that Neon allows, if the Postgres has them.

Postgres lets an ordinary role create an extension only if its control file says `trusted`; vector's, postgres_fdw's
and others' do not. So the server is shown copies of those files that do. Since 18 a setting names a folder that comes
before the system's. Before that, the server is started from a copy of its program in a tree of links that is laid out
like its installation: Postgres looks for its files relative to its program. If that does not work out, the system's
own files are used as they are.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from neontest.local.account import Account
from neontest.local.binaries import Binaries
from neontest.local.once import once
from neontest.local.roles import GROUP

_ALLOWED: Final = (
    "address_standardizer address_standardizer_data_us autoinc bloom btree_gin btree_gist citext cube dblink dict_int"
    " earthdistance fuzzystrmatch h3 h3_postgis hll hstore hypopg insert_username intagg intarray ip4r isn lo ltree"
    " moddatetime pg_hashids pg_hint_plan pg_ivm pg_jsonschema pg_partman pg_prewarm pg_repack pg_roaringbitmap"
    " pg_stat_statements pg_trgm pg_uuidv7 pgcrypto pgjwt pgrouting pgrowlocks pgstattuple pgtap pgx_ulid plpgsql"
    " plpgsql_check plv8 postgis postgis_raster postgis_sfcgal postgis_tiger_geocoder postgis_topology postgres_fdw"
    " prefix rdkit refint rum seg semver tablefunc tcn timescaledb tsm_system_rows tsm_system_time unaccent unit"
    " uuid-ossp vector xml2"
)
ALLOWED: Final = frozenset(_ALLOWED.split())
"""https://neon.com/docs/extensions/pg-extensions (2026-11-22), as far as others than Neon ship them."""

AFTERWARDS: Final = {
    "postgres_fdw": f"GRANT USAGE ON FOREIGN DATA WRAPPER postgres_fdw TO {GROUP};",
    "dblink": f"GRANT USAGE ON FOREIGN DATA WRAPPER dblink_fdw TO {GROUP};",
}
"""What an extension's script grants at its end, since its objects belong to the superuser."""

UUID_OSSP: Final = """\
comment = 'generate universally unique identifiers (UUIDs)'
default_version = '1.1'
relocatable = true
trusted = true
"""

UUID_OSSP_SQL: Final = Path(__file__).with_name("uuid_ossp.sql").read_text()

VERSION: Final = 1
"""Raised when the making of these files changes in a way that nothing else in their folder's name says."""

PACKAGES: Final = {"vector": "pgvector", "postgis": "postgis-3", "pg_partman": "partman", "pg_uuidv7": "pg-uuidv7"}
"""Debian's packages of extensions: `postgresql-MAJOR-` and this, where it is not the extension's name."""


class Extensions(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a server so that it has them."""

    postgres: Path
    settings: Mapping[str, str] = msgspec.field(default_factory=dict)


def extensions(folder: Path, binaries: Binaries, account: Account) -> Extensions:
    """Prepare, once per installation, what the server is to be shown; `folder` is for these files."""
    postgres = binaries.bindir / "postgres"
    answers = _ask(binaries.bindir, account, "--sharedir", "--pkglibdir")
    if len(answers) != 2:
        return Extensions(postgres=postgres)
    share, library = answers
    rules = [sorted(ALLOWED), AFTERWARDS, UUID_OSSP, UUID_OSSP_SQL]
    key = json.dumps([VERSION, str(binaries.bindir), _facts(postgres, share / "extension"), rules])
    tree = folder / f"{binaries.version}-{hashlib.sha256(key.encode()).hexdigest()[:16]}"

    def build(fresh: Path) -> None:
        own = _own_files(share / "extension")
        if binaries.major >= 18:
            place = fresh / "extension"
            place.mkdir()
        else:
            place = _mirror(fresh, binaries.bindir, share, library) / "extension"
        for name, text in own.items():
            (place / name).unlink(missing_ok=True)  # a link to the system's file, if it is there
            (place / name).write_text(text)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == binaries.bindir.name else 0o644)

    once(tree, build)
    if binaries.major >= 18:
        return Extensions(postgres=postgres, settings={"extension_control_path": f"{tree}:$system"})
    mirrored = _within(tree, binaries.bindir)
    works = _ask(mirrored, account, "--sharedir") == [_within(tree, share)] and account.can(
        str(mirrored / "postgres"), "--version"
    )
    return Extensions(postgres=mirrored / "postgres" if works else postgres)


def missing_extension_hint(binaries: Binaries, name: str) -> str:
    """One sentence: what to do about an extension that this Postgres does not have."""
    there = f"Postgres {binaries.version} ({binaries.source}) has no extension {name}"
    if name not in ALLOWED:
        return f"{there}; Neon does not list it either, so see whether the migration needs it."
    package = PACKAGES.get(name, name.replace("_", "-"))
    if binaries.source.startswith("the wheel"):
        return (
            f"{there}: install a server that has it (Debian: apt install postgresql, or postgresql-MAJOR-{package})"
            " and name the folder of its programs in NEONTEST_POSTGRES, or test on Neon."
        )
    return f"{there}: install it (Debian: apt install postgresql-{binaries.major}-{package}), or test on Neon."


def _facts(postgres: Path, folder: Path) -> list[tuple[str, int, int]]:
    """When all that our files are made from was changed: reading it takes 20 ms, which only the first start shall."""
    files: list[tuple[str, os.stat_result]] = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        files += sorted((each.name, each.stat()) for each in entries if each.is_file())
    return [(name, facts.st_mtime_ns, facts.st_size) for name, facts in [("", postgres.stat()), *files]]


def _own_files(system: Path) -> dict[str, str]:
    """The files that come before the system's, by name."""
    own: dict[str, str] = {}
    for name in sorted(ALLOWED):
        control = system / f"{name}.control"
        if not control.is_file():
            continue
        text = control.read_text(errors="replace")
        if re.search(r"^\s*trusted\s*=\s*(true|on|yes|1)", text, re.MULTILINE | re.IGNORECASE) is not None:
            continue
        if re.search(r"^\s*directory\s*=", text, re.MULTILINE):
            continue
        own[control.name] = f"{text.rstrip()}\ntrusted = true\n"
        for script in system.glob(f"{name}--*.sql"):
            body = script.read_text(errors="replace")
            if script.name.count("--") == 1 and AFTERWARDS.get(name):
                body = f"{body.rstrip()}\n\n{AFTERWARDS[name]}\n"
            own[script.name] = body
    if not (system / "uuid-ossp.control").is_file():
        own["uuid-ossp.control"] = UUID_OSSP
        own["uuid-ossp--1.1.sql"] = UUID_OSSP_SQL
    return own


def _mirror(tree: Path, bindir: Path, share: Path, library: Path) -> Path:
    """Lay out an installation of links in `tree`; its share folder, whose `extension` is a folder of links."""
    own_bin, own_share, own_library = (_within(tree, path) for path in (bindir, share, library))
    own_bin.mkdir(parents=True)
    for program in ("postgres", "pg_config"):
        shutil.copyfile(bindir / program, own_bin / program)
    own_library.parent.mkdir(parents=True, exist_ok=True)
    if not own_library.exists():
        own_library.symlink_to(library)
    (own_share / "extension").mkdir(parents=True)
    for entry in share.iterdir():
        if entry.name != "extension":
            (own_share / entry.name).symlink_to(entry)
    for entry in (share / "extension").iterdir():
        (own_share / "extension" / entry.name).symlink_to(entry)
    return own_share


def _within(tree: Path, path: Path) -> Path:
    return tree / path.relative_to(path.anchor)


def _ask(bindir: Path, account: Account, *options: str) -> list[Path]:
    """What this installation's pg_config says to each; nothing if there is no such program."""
    try:
        done = subprocess.run(
            account.words(str(bindir / "pg_config"), *options),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
            **account.how(),
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [Path(line) for line in done.stdout.splitlines()]
