"""The roles and databases of a branch: as the API makes them, and as SQL made them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Final

import psycopg2
from psycopg2 import sql

from neontest.errors import LocalError
from neontest.local import identity, roles, shapes
from neontest.local.cluster import Cluster
from neontest.local.moments import now
from neontest.local.problem import Problem
from neontest.local.requests import DatabaseSpec, RoleSpec
from neontest.local.shapes import Json
from neontest.local.site import Begin, Site
from neontest.local.store import Branch, Database, Role

LONGEST_NAME: Final = 63
"""Bytes in a Postgres identifier."""

_ROLES: Final = (
    "SELECT rolname, rolcanlogin FROM pg_roles"
    r" WHERE rolname NOT LIKE 'pg\_%%' AND rolname NOT IN ('postgres', %s) ORDER BY oid"
)
_DATABASES: Final = (
    "SELECT datname, pg_get_userbyid(datdba) FROM pg_database"
    " WHERE NOT datistemplate AND datname <> 'postgres' ORDER BY oid"
)


@contextmanager
def awake(site: Site, branch: Branch) -> Iterator[Cluster]:
    """The branch's cluster with its server running, if only for this block."""
    with site.work.data(branch.id):
        cluster = site.cluster(branch)
        was_running = cluster.running
        if not was_running:
            cluster.start()
        try:
            yield cluster
        finally:
            if not was_running:
                cluster.stop()


def change_passwords(cluster: Cluster, changed: Iterable[Role]) -> None:
    """Make the roles' passwords what the facts say; the server runs only for as long as that takes."""
    was_running = cluster.running
    cluster.start()
    with closing(cluster.admin()) as admin:
        for role in changed:
            if role.password is not None:
                roles.set_password(admin, role.name, role.password)
    if not was_running:
        cluster.stop()


def refresh(site: Site, branch: Branch, *, during_operation: bool = False) -> None:
    """Take in what SQL did to roles and databases; of a server at rest the last known holds.

    While an operation is under way, what it is just making may not be seen yet: only that operation may ask then.
    """
    cluster = site.opened.get(branch.cluster)
    if cluster is None or not cluster.running:
        return
    # It may be stopped at any moment by somebody else: then, too, the last known holds.
    with contextlib.suppress(LocalError, psycopg2.Error), closing(cluster.admin()) as admin, admin.cursor() as cursor:
        cursor.execute(_ROLES, [roles.GROUP])
        seen_roles = dict(cursor.fetchall())
        cursor.execute(_DATABASES)
        seen_databases = dict(cursor.fetchall())
        with site.store.lock:
            if during_operation or not site.store.busy(branch.id):
                take_in(site, branch, seen_roles, seen_databases)


def create_role(site: Site, branch_id: str, spec: RoleSpec) -> tuple[Json, Begin]:
    """A role like those of Neon's console; the answer has its password."""
    _check_name(spec.name)
    with site.store.lock:
        branch = site.free(branch_id)
        if any(each.name == spec.name for each in branch.roles):
            raise Problem(409, f"role already exists; role_name:{spec.name!r}")
        at = now()
        password = identity.password()
        role = Role(name=spec.name, password=password, login=not spec.no_login, created_at=at, updated_at=at)
        branch.roles.append(role)

        def act() -> None:
            with awake(site, branch) as cluster, closing(cluster.admin()) as admin:
                roles.create_role(admin, role.name, password)
                if not role.login:
                    with admin.cursor() as cursor:
                        cursor.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(role.name)))

        shown, begin = site.begin(
            branch,
            site.store.endpoint_of(branch_id),
            [("apply_config", act)],
            failed=lambda: branch.roles.remove(role),
        )
        answer = shapes.role(role, branch.id) | ({"password": password} if role.login else {})
        return {"role": answer, "operations": shown}, begin


def create_database(site: Site, branch_id: str, spec: DatabaseSpec) -> tuple[Json, Begin]:
    _check_name(spec.name)
    with site.store.lock:
        branch = site.free(branch_id)
        if any(each.name == spec.name for each in branch.databases) or spec.name == "postgres":
            raise Problem(409, f"database already exists; database_name:{spec.name!r}")
        owner = site.store.role(branch, spec.owner_name)
        database = site.store.add_database(branch, spec.name, owner.name)

        def act() -> None:
            with awake(site, branch) as cluster, closing(cluster.admin()) as admin:
                roles.create_database(admin, database.name, owner.name)

        shown, begin = site.begin(
            branch,
            site.store.endpoint_of(branch_id),
            [("apply_config", act)],
            failed=lambda: branch.databases.remove(database),
        )
        return {"database": shapes.database(database, branch.id), "operations": shown}, begin


def delete_role(site: Site, branch_id: str, name: str) -> tuple[Json, Begin] | None:
    """The role goes, unless something is still its own: then the operation fails, and says what. None: no such role."""
    with site.store.lock:
        branch = site.free(branch_id)
        role = next((each for each in branch.roles if each.name == name), None)
        if role is None:
            return None

        def act() -> None:
            with awake(site, branch) as cluster, closing(cluster.admin()) as admin:
                roles.drop_role(admin, name)
            with site.store.lock:
                branch.roles = [each for each in branch.roles if each.name != name]

        endpoint = site.store.endpoint_of(branch_id)
        shown, begin = site.begin(branch, endpoint, [("apply_config", act)], failed=lambda: None)
        return {"role": shapes.role(role, branch.id), "operations": shown}, begin


def delete_database(site: Site, branch_id: str, name: str) -> tuple[Json, Begin] | None:
    """The database goes, whoever is connected to it; None where there is none."""
    with site.store.lock:
        branch = site.free(branch_id)
        database = next((each for each in branch.databases if each.name == name), None)
        if database is None:
            return None

        def act() -> None:
            with awake(site, branch) as cluster, closing(cluster.admin()) as admin:
                roles.drop_database(admin, name)
            with site.store.lock:
                branch.databases = [each for each in branch.databases if each.name != name]

        endpoint = site.store.endpoint_of(branch_id)
        shown, begin = site.begin(branch, endpoint, [("apply_config", act)], failed=lambda: None)
        return {"database": shapes.database(database, branch.id), "operations": shown}, begin


def _check_name(name: str) -> None:
    if len(name.encode()) > LONGEST_NAME or not name.isprintable():
        raise Problem(400, f"a name has at most {LONGEST_NAME} bytes, all of them printable")
    if name.startswith("pg_") or name in (roles.GROUP, "postgres", "public", "none", "template0", "template1"):
        raise Problem(422, f"the name {name!r} is reserved")


def take_in(site: Site, branch: Branch, seen_roles: dict[str, bool], seen_databases: dict[str, str]) -> None:
    at = now()
    known_roles = {each.name: each for each in branch.roles}
    for name, login in seen_roles.items():
        if name not in known_roles:
            known_roles[name] = Role(name=name, password=None, created_at=at, updated_at=at)
        known_roles[name].login = login
    known: dict[str, Database] = {each.name: each for each in branch.databases}
    for name, owner in seen_databases.items():
        if name not in known:
            known[name] = site.store.add_database(branch, name, owner)
        known[name].owner_name = owner
    branch.roles = [known_roles[name] for name in seen_roles]
    branch.databases = [known[name] for name in seen_databases]
