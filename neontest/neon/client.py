"""The Neon API v2, as much of it as testing migrations needs.

A 201 is a receipt: a branch is ready when the operations of the answer are through (`wait_for`). Every call has a
deadline, is repeated by the rules of `neontest.neon.retry`, and carries a request id that its error names.
Source: https://api-docs.neon.tech/reference (2026-11).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Final, TypeVar
from urllib.parse import quote

from neontest.errors import AlreadyExists, DeadlineExceeded, NotFound, UnexpectedAnswer
from neontest.neon.belief import about, is_new_branch, same
from neontest.neon.connection import checked_uri, chosen_database, chosen_role
from neontest.neon.creation import creation
from neontest.neon.models import (
    Annotation,
    Anonymized,
    Auth,
    Branch,
    Branches,
    CreatedBranch,
    Database,
    Databases,
    Endpoint,
    Endpoints,
    OneBranch,
    OneOperation,
    OneProject,
    Operation,
    Operations,
    Password,
    Project,
    Role,
    Roles,
    Uri,
    annotated,
)
from neontest.neon.paths import branch_path, checked_id, project_path, stamp
from neontest.neon.retry import Pace, persist
from neontest.neon.waiting import follow, follow_masking, pauses
from neontest.neon.wire import Wire
from neontest.stop import Deadline, Stop
from neontest.whose import PLAIN, Source

T = TypeVar("T")

DEFAULT_HOST: Final = "https://console.neon.tech/api/v2"
PATIENCE: Final = 60.0
"""Seconds for a call that was given no deadline of its own, all its attempts together."""
PAGE: Final = 1000
MOST_PAGES: Final = 1000
SLACK: Final = timedelta(minutes=1)
"""A branch may be dated a little later than the operation that makes it."""


class Neon:
    """One account's view of the API; safe to use from several threads.

    Its waits end when `stop` is requested. `sleep`, `clock` and `jitter` are there to be replaced in tests.
    """

    def __init__(
        self,
        api_key: str,
        *,
        host: str = DEFAULT_HOST,
        stop: Stop | None = None,
        sleep: Callable[[float], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._wire = Wire(api_key, host)
        stop = Stop() if stop is None else stop
        self._sleep = sleep
        self._pace = Pace(stop=stop, sleep=sleep or stop.wait, clock=clock, jitter=jitter)

    @property
    def host(self) -> str:
        """The API's address, without a slash at its end."""
        return self._wire.host

    def __repr__(self) -> str:
        return f"Neon(host={self.host!r})"

    def __enter__(self) -> Neon:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._wire.close()

    def under(self, stop: Stop, *, own_connections: bool = False, sleep: Callable[[float], bool] | None = None) -> Neon:
        """The same account, but its waits end when that other `stop` is requested.

        `own_connections`: for use after a signal, which may have hit the connections of this one in the middle of
        anything. Then the new one is the caller's to close.
        """
        other = object.__new__(Neon)
        other._wire = self._wire.again() if own_connections else self._wire
        other._sleep = self._sleep or sleep
        other._pace = Pace(stop=stop, sleep=other._sleep or stop.wait, clock=self._pace.clock, jitter=self._pace.jitter)
        return other

    def pause(self, seconds: float) -> None:
        """Sleep as every wait of this client does: Stopped as soon as a stop is requested."""
        self._pace.pause(seconds)

    # -- asking ------------------------------------------------------------------------------------------------

    def auth(self, *, deadline: Deadline | None = None) -> Auth:
        """Whom the key belongs to (organisation keys may not ask `/users/me`)."""
        return self._get("/auth", Auth, deadline)

    def project(self, project_id: str, *, deadline: Deadline | None = None) -> Project:
        return self._get(project_path(project_id), OneProject, deadline).project

    def branches(
        self, project_id: str, search: str | None = None, *, deadline: Deadline | None = None
    ) -> tuple[Branch, ...]:
        """All branches of the project; with `search`, those whose name or id contains it."""
        deadline = self._deadline(deadline, "listing the branches")
        path = project_path(project_id) + "/branches"
        params = {"limit": str(PAGE)} | ({"search": search} if search else {})
        found: dict[str, Branch] = {}
        cursors: set[str] = set()
        for _ in range(MOST_PAGES):
            page = self._get(path, Branches, deadline, params)
            before = len(found)
            found |= {branch.id: branch for branch in page.annotated()}
            cursor = page.pagination.next if page.pagination else None
            if not cursor or not page.branches:
                return tuple(found.values())
            if cursor in cursors or len(found) == before:
                break
            cursors.add(cursor)
            params["cursor"] = cursor
        raise UnexpectedAnswer(f"GET {path}: the list of branches does not end", hint="report this")

    def branch_named(self, project_id: str, name: str, *, deadline: Deadline | None = None) -> Branch | None:
        """The branch of exactly this name (names are unique in a project)."""
        for branch in self.branches(project_id, name, deadline=deadline):
            if branch.name == name:
                return branch
        return None

    def default_branch(self, project_id: str, *, deadline: Deadline | None = None) -> Branch:
        for branch in self.branches(project_id, deadline=deadline):
            if branch.default:
                return branch
        raise UnexpectedAnswer(f"project {project_id} has no default branch", hint="choose the parent branch by name")

    def branch(self, project_id: str, branch_id: str, *, deadline: Deadline | None = None) -> Branch:
        found = self._get(branch_path(project_id, branch_id), OneBranch, deadline).annotated()
        return same(found, branch_id, "branch")

    def operation(self, project_id: str, operation_id: str, *, deadline: Deadline | None = None) -> Operation:
        path = f"{project_path(project_id)}/operations/{quote(operation_id, safe='')}"
        return same(self._get(path, OneOperation, deadline).operation, operation_id, "operation")

    def endpoints(self, project_id: str, branch_id: str, *, deadline: Deadline | None = None) -> tuple[Endpoint, ...]:
        return self._get(branch_path(project_id, branch_id) + "/endpoints", Endpoints, deadline).endpoints

    def databases(self, project_id: str, branch_id: str, *, deadline: Deadline | None = None) -> tuple[Database, ...]:
        return self._get(branch_path(project_id, branch_id) + "/databases", Databases, deadline).databases

    def roles(self, project_id: str, branch_id: str, *, deadline: Deadline | None = None) -> tuple[Role, ...]:
        return self._get(branch_path(project_id, branch_id) + "/roles", Roles, deadline).roles

    def reveal_password(self, project_id: str, branch_id: str, role: str, *, deadline: Deadline | None = None) -> str:
        """The role's password on this branch; PasswordNotStored where the project keeps none."""
        path = f"{branch_path(project_id, branch_id)}/roles/{quote(role, safe='')}/reveal_password"
        return self._get(path, Password, deadline).password

    def choose_database_and_role(
        self,
        project_id: str,
        branch_id: str,
        database: str | None = None,
        role: str | None = None,
        *,
        deadline: Deadline | None = None,
    ) -> tuple[str, str]:
        """What was asked for, else the only ones, else `neondb` and `neondb_owner`; UsageError lists the candidates."""
        chosen = chosen_database(self.databases(project_id, branch_id, deadline=deadline), database)
        return chosen.name, chosen_role(self.roles(project_id, branch_id, deadline=deadline), role)

    def connection_uri(
        self,
        project_id: str,
        branch_id: str,
        *,
        database: str,
        role: str,
        endpoints: Iterable[Endpoint] | None = None,
        others: Iterable[Endpoint] = (),
        deadline: Deadline | None = None,
    ) -> str:
        """The direct connection string of the branch: a secret.

        Its host is checked against the branch's own computes (`endpoints`, where the caller knows them) and
        those of the parent (`others`), where it has one that nothing may be run on.
        Without `pooled=false` the service answers with the pooled host.
        """
        params = {"branch_id": branch_id, "database_name": database, "role_name": role, "pooled": "false"}
        own = tuple(endpoints) if endpoints is not None else self.endpoints(project_id, branch_id, deadline=deadline)
        uri = self._get(project_path(project_id) + "/connection_uri", Uri, deadline, params).uri
        return checked_uri(uri, own, branch_id, others)

    # -- acting ------------------------------------------------------------------------------------------------

    def create_branch(
        self,
        project_id: str,
        *,
        name: str,
        expires_at: datetime,
        annotation: Mapping[str, str],
        parent_id: str | None = None,
        source: Source = PLAIN,
        deadline: Deadline,
    ) -> CreatedBranch:
        """Ask for a branch with a compute; it is ready when its operations are through, and its rows are masked.

        Where the answer is lost, the branch is looked for by its name, and taken if its whole annotation is the one
        sent: so the annotation must hold something that only this call sends. AlreadyExists: the name is another's.
        """
        path, body = creation(
            project_id, name=name, expires_at=expires_at, annotation=annotation, parent_id=parent_id, source=source
        )
        asked = partial(is_new_branch, project_id=project_id, name=name, parent_id=parent_id, source=source)

        def attempt() -> CreatedBranch:
            answer = self._wire.send("POST", path, body=body, deadline=deadline)
            made = answer.read(OneBranch)
            if not asked(made.branch, made.endpoints):
                raise answer.unexpected("it is about another branch than the one asked for")
            # The answer does not repeat the annotation.
            ours = annotated(made.branch, Annotation(value=dict(annotation)))
            return CreatedBranch(
                branch=ours, endpoints=made.endpoints, operations=made.operations, uris=made.connection_uris
            )

        def adopt() -> CreatedBranch | None:
            found = self.branch_named(project_id, name, deadline=deadline)
            if found is None or found.annotation != dict(annotation):
                return None
            endpoints = self.endpoints(project_id, found.id, deadline=deadline)
            if not asked(found, endpoints):
                raise UnexpectedAnswer(f"branch {found.id} has the name that was asked for, but is another's")
            operations = self._operations_of(project_id, found, deadline)
            return CreatedBranch(branch=found, endpoints=endpoints, operations=operations, adopted=True)

        try:
            return persist(attempt, safe=False, pace=self._pace, deadline=deadline, reconcile=adopt)
        except AlreadyExists:
            # An attempt whose loss nobody noticed (a proxy that repeats) looks like another's branch at first.
            if (found := adopt()) is not None:
                return found
            raise

    def update_branch(
        self,
        project_id: str,
        branch_id: str,
        *,
        name: str | None = None,
        expires_at: datetime | None = None,
        deadline: Deadline | None = None,
    ) -> Branch:
        """Set the name, the expiry, or both; doing it twice does it once."""
        change = {"name": name, "expires_at": stamp(expires_at) if expires_at else None}
        body = {"branch": {key: value for key, value in change.items() if value is not None}}
        return self._call("PATCH", branch_path(project_id, branch_id), OneBranch, deadline, body=body).annotated()

    def delete_branch(self, project_id: str, branch_id: str, deadline: Deadline) -> tuple[Operation, ...] | None:
        """Ask for the branch's deletion; None: it was already gone.

        Deleted is only what then answers 404 and whose operations are through.
        """
        path = branch_path(project_id, branch_id)

        def attempt() -> tuple[Operation, ...] | None:
            answer = self._wire.send("DELETE", path, deadline=deadline)
            if answer.status == 204:
                return None
            # Some deletions are answered with 200 and no body at all.
            return answer.read(OneBranch).operations if answer.body.strip() else ()

        try:
            return persist(attempt, safe=True, pace=self._pace, deadline=deadline)
        except NotFound:
            return None

    def start_endpoint(
        self, project_id: str, endpoint_id: str, *, deadline: Deadline | None = None
    ) -> tuple[Operation, ...]:
        return self._endpoint_action(project_id, endpoint_id, "start", deadline)

    def suspend_endpoint(
        self, project_id: str, endpoint_id: str, *, deadline: Deadline | None = None
    ) -> tuple[Operation, ...]:
        return self._endpoint_action(project_id, endpoint_id, "suspend", deadline)

    def wait_for(
        self, project_id: str, operations: Iterable[Operation], deadline: Deadline, *, teardown: bool = False
    ) -> None:
        """Return when every operation is through.

        OperationFailed: one ended otherwise. On teardown an operation that nobody knows any more counts as done.
        They are followed one at a time, as they run one after the other.
        """
        for number, operation in enumerate(operations):
            follow(
                operation,
                look=lambda each: self.operation(project_id, each.id, deadline=deadline),
                pace=self._pace,
                deadline=deadline,
                teardown=teardown,
                trouble=self._wire.trouble,
                at_once=number > 0,
            )

    def wait_until_anonymized(self, project_id: str, branch_id: str, deadline: Deadline) -> None:
        """Return when the branch's columns are masked; OperationFailed: they will not be."""
        path = branch_path(project_id, branch_id) + "/anonymized_status"
        follow_masking(
            lambda: about(self._get(path, Anonymized, deadline), branch_id),
            pace=self._pace, deadline=deadline, trouble=self._wire.trouble,
        )  # fmt: skip

    def wait_until_gone(self, project_id: str, branch_id: str, deadline: Deadline) -> None:
        """Return when the API answers 404 for the branch: the proof of its deletion."""
        for wait in pauses(self._pace):
            try:
                self.branch(project_id, branch_id, deadline=deadline)
            except NotFound:
                return
            if wait >= deadline.left():
                raise DeadlineExceeded(f"branch {branch_id} was still there after {deadline.seconds:g} s")
            self._pace.pause(wait)

    def _operations_of(self, project_id: str, branch: Branch, deadline: Deadline) -> tuple[Operation, ...]:
        """All operations of a branch, read back (the newest come first) to the time before it was made."""
        path, params = project_path(project_id) + "/operations", {"limit": str(PAGE)}
        found: dict[str, Operation] = {}
        for _ in range(MOST_PAGES):
            page = self._get(path, Operations, deadline, params)
            found |= {each.id: each for each in page.operations if each.branch_id == branch.id}
            times = [each.created_at for each in page.operations if each.created_at is not None]
            cursor = page.pagination.cursor if page.pagination else None
            if not cursor or cursor == params.get("cursor") or not times or max(times) < branch.created_at - SLACK:
                break
            params["cursor"] = cursor
        return tuple(found.values())

    def _endpoint_action(
        self, project_id: str, endpoint_id: str, action: str, deadline: Deadline | None
    ) -> tuple[Operation, ...]:
        path = f"{project_path(project_id)}/endpoints/{checked_id(endpoint_id, 'the endpoint')}/{action}"
        # Starting what runs, or suspending what is suspended, changes nothing: safe to repeat.
        return self._call("POST", path, Operations, deadline).operations

    # -- calling -----------------------------------------------------------------------------------------------

    def _get(self, path: str, kind: type[T], deadline: Deadline | None, params: Mapping[str, str] | None = None) -> T:
        return self._call("GET", path, kind, deadline, params=params)

    def _call(
        self,
        method: str,
        path: str,
        kind: type[T],
        deadline: Deadline | None,
        *,
        params: Mapping[str, str] | None = None,
        body: object = None,
    ) -> T:
        """A call that may be repeated whatever became of it."""
        until = self._deadline(deadline, f"{method} {path}")
        return persist(
            lambda: self._wire.send(method, path, params=params, body=body, deadline=until).read(kind),
            safe=True,
            pace=self._pace,
            deadline=until,
        )

    def _deadline(self, deadline: Deadline | None, what: str) -> Deadline:
        return deadline or Deadline(PATIENCE, what=what, clock=self._pace.clock)
