"""What the local Neon knows: one project with its branches, endpoints, operations, roles and databases.

The store holds facts and finds them; what may be done with them is `branching`'s business. All access is under
`lock`. With a file, every `save` replaces it (0600: it holds the roles' passwords); without one, nothing outlives
the process. There is no fsync: the clusters beside it run without it too, so a power cut is no promise of either.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Final, Literal
from uuid import uuid4

import msgspec

from neontest.errors import LocalError
from neontest.local.moments import now
from neontest.local.problem import Problem, not_found

Status = Literal["scheduling", "running", "finished", "failed", "cancelled", "skipped"]
UNFINISHED: Final = frozenset({"scheduling", "running"})
KEPT_OPERATIONS: Final = 2000


class Role(msgspec.Struct, kw_only=True):
    name: str
    password: str | None
    """None where it is not known: the role was made by SQL."""
    login: bool = True
    created_at: datetime
    updated_at: datetime

    def __repr__(self) -> str:
        return f"Role(name={self.name!r})"


class Database(msgspec.Struct, kw_only=True):
    id: int
    name: str
    owner_name: str
    created_at: datetime
    updated_at: datetime


class Endpoint(msgspec.Struct, kw_only=True):
    id: str
    branch_id: str
    port: int
    state: Literal["init", "active", "idle"] = "init"
    pending: Literal["active", "idle"] | None = None
    disabled: bool = False
    name: str | None = None
    suspend_timeout_seconds: int = 0
    min_cu: float = 0.25
    max_cu: float = 0.25
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None = None
    suspended_at: datetime | None = None


class Masking(msgspec.Struct, kw_only=True):
    """How far the masking of a branch is."""

    state: Literal["created", "anonymizing", "anonymized", "error"] = "created"
    message: str = ""
    columns: int = 0
    created_at: datetime
    updated_at: datetime


class Branch(msgspec.Struct, kw_only=True):
    id: str
    name: str
    cluster: str
    """Id of the cluster that holds its data; a restore gives the branch another one."""
    parent_id: str | None = None
    schema_only: bool = False
    """It was made without rows, and is nobody's child."""
    masking: Masking | None = None
    state: Literal["init", "ready", "resetting"] = "init"
    pending: Literal["ready", "storage_deleted"] | None = None
    state_changed_at: datetime
    created_at: datetime
    updated_at: datetime
    default: bool = False
    protected: bool = False
    expires_at: datetime | None = None
    ttl_seconds: int | None = None
    last_reset_at: datetime | None = None
    annotation: dict[str, str] = {}
    roles: list[Role] = []
    databases: list[Database] = []

    @property
    def going(self) -> bool:
        """Its deletion was accepted."""
        return self.pending == "storage_deleted"


class Operation(msgspec.Struct, kw_only=True):
    id: str
    action: str
    branch_id: str
    endpoint_id: str | None = None
    status: Status = "scheduling"
    error: str | None = None
    created_at: datetime
    updated_at: datetime
    duration_ms: int = 0


class Project(msgspec.Struct, kw_only=True):
    id: str
    name: str
    pg_version: int
    created_at: datetime
    account_id: str


class State(msgspec.Struct, kw_only=True):
    """Everything, as it is written to the file."""

    version: Literal[1] = 1
    project: Project
    branches: dict[str, Branch] = {}
    endpoints: dict[str, Endpoint] = {}
    operations: dict[str, Operation] = {}
    databases_made: int = 0


class Store:
    """The facts, and the lock around them."""

    def __init__(self, state: State, *, file: Path | None = None) -> None:
        self.state = state
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        """Notified at every save."""
        self._file = file

    @classmethod
    def load(cls, file: Path) -> Store | None:
        """The store that was kept in the file; None where there is no file."""
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LocalError(f"{file} cannot be read: {error.strerror}") from error
        try:
            return cls(msgspec.json.decode(data, type=State), file=file)
        except msgspec.DecodeError as error:
            raise LocalError(
                f"{file} is not a state that this neontest can read: {error}",
                hint="use another --state folder, or remove this one to begin anew",
            ) from error

    def save(self) -> None:
        """Write what was changed, whole or not at all, and wake who waits for changes."""
        with self.lock:
            self._prune()
            if self._file is not None:
                fresh = self._file.with_suffix(".new")
                fresh.unlink(missing_ok=True)
                with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                    out.write(msgspec.json.format(msgspec.json.encode(self.state), indent=1))
                fresh.replace(self._file)
            self.changed.notify_all()

    # finding

    def branches(self) -> list[Branch]:
        """Every branch that was not yet asked to go."""
        with self.lock:
            return [each for each in self.state.branches.values() if not each.going]

    def endpoints(self) -> list[Endpoint]:
        with self.lock:
            return list(self.state.endpoints.values())

    def branch(self, branch_id: str) -> Branch:
        if branch := self.state.branches.get(branch_id):
            return branch
        raise not_found("branch")

    def default_branch(self) -> Branch:
        return next(each for each in self.branches() if each.default)

    def named(self, name: str) -> Branch | None:
        return next((each for each in self.branches() if each.name == name), None)

    def children(self, branch_id: str) -> list[Branch]:
        return [each for each in self.branches() if each.parent_id == branch_id]

    def endpoint(self, endpoint_id: str) -> Endpoint:
        if endpoint := self.state.endpoints.get(endpoint_id):
            return endpoint
        raise not_found("endpoint")

    def endpoint_of(self, branch_id: str) -> Endpoint | None:
        """The branch's read-write compute."""
        return next((each for each in self.endpoints() if each.branch_id == branch_id), None)

    def operation(self, operation_id: str) -> Operation:
        if operation := self.state.operations.get(operation_id):
            return operation
        raise not_found("operation")

    def busy(self, branch_id: str) -> bool:
        """An operation on the branch is not finished yet."""
        return any(each.branch_id == branch_id and each.status in UNFINISHED for each in self.state.operations.values())

    def role(self, branch: Branch, name: str) -> Role:
        if role := next((each for each in branch.roles if each.name == name), None):
            return role
        raise not_found("role")

    def database(self, branch: Branch, name: str) -> Database:
        if database := next((each for each in branch.databases if each.name == name), None):
            return database
        raise not_found("database")

    # adding

    def add_operations(self, branch_id: str, endpoint_id: str | None, actions: Iterable[str]) -> list[Operation]:
        """Operations in the order in which they will run; the first is said to run already, as Neon says it."""
        made: list[Operation] = []
        for action in actions:
            at = now()
            made.append(
                Operation(
                    id=str(uuid4()),
                    action=action,
                    branch_id=branch_id,
                    endpoint_id=endpoint_id if "compute" in action or action == "apply_config" else None,
                    status="scheduling" if made else "running",
                    created_at=at,
                    updated_at=at,
                )
            )
        self.state.operations.update((each.id, each) for each in made)
        return made

    def add_database(self, branch: Branch, name: str, owner: str) -> Database:
        self.state.databases_made += 1
        at = now()
        database = Database(id=self.state.databases_made, name=name, owner_name=owner, created_at=at, updated_at=at)
        branch.databases.append(database)
        return database

    def check_name(self, name: str, *, but: str | None = None) -> None:
        """Names are unique in a project."""
        taken = self.named(name)
        if taken is not None and taken.id != but:
            raise Problem(409, f'branch already exists; branch_name:"{name}"', "BRANCH_ALREADY_EXISTS")

    def remove(self, branch_id: str) -> None:
        """Forget the branch and its compute; operations stay, they are the receipt."""
        self.state.branches.pop(branch_id, None)
        for each in [key for key, value in self.state.endpoints.items() if value.branch_id == branch_id]:
            del self.state.endpoints[each]

    def _prune(self) -> None:
        surplus = len(self.state.operations) - KEPT_OPERATIONS
        if surplus > 0:
            old = [key for key, value in self.state.operations.items() if value.status not in UNFINISHED]
            for each in old[:surplus]:
                del self.state.operations[each]
