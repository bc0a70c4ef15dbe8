"""Local engines, and a client that holds every answer to the contract."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

from neontest.local import binaries as found_binaries
from neontest.local.binaries import Binaries
from neontest.local.engine import LocalNeon
from neontest.local.state_folder import MARKER
from tests.conftest import away

PATIENCE = 60.0


def _contract_module() -> ModuleType:
    name = "neontest_tests_contract"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[2] / "contract" / "contract.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def shared_state() -> Iterator[Path]:
    """One state folder for all engines that keep nothing: they share its template."""
    folder = away("api")
    yield folder
    left = [each.name for each in folder.glob("b/*")]
    shutil.rmtree(folder)
    assert not left, f"branches were left behind: {left}"


@pytest.fixture
def own_state(shared_state: Path) -> Iterator[Path]:
    """A state folder of the test's own, with copies of the fresh clusters that were made before."""
    folder = away("api")
    (folder / MARKER).touch()
    for made in (each for each in shared_state.glob("tmpl/*") if each.suffix != ".new"):
        (folder / "tmpl").mkdir(mode=0o711, exist_ok=True)
        subprocess.run(["cp", "-a", str(made), str(folder / "tmpl")], check=True)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def engine_binaries() -> Binaries:
    """The Postgres that `run` would take."""
    return found_binaries.find(environ=os.environ)


@pytest.fixture(scope="session")
def tls_binaries() -> Binaries:
    """A Postgres with TLS, if this machine has one."""
    found = found_binaries.find(prefer="tls", environ=os.environ)
    if not found.tls or shutil.which("openssl") is None:
        pytest.skip("no Postgres with TLS on this machine: its tests are not run")
    return found


class Api:
    """A client with the key, whose every answer is held to the contract."""

    def __init__(self, host: str, key: str, project_id: str) -> None:
        self.host, self.key, self.project_id = host, key, project_id
        self.contract: Any = _contract_module().contract()
        self.http = httpx.Client(base_url=host, headers={"Authorization": f"Bearer {key}"}, timeout=PATIENCE)

    def call(self, method: str, path: str, *, status: int | None = None, **arguments: Any) -> Any:
        """The answer's JSON; P stands for the project's path. Any status but the wanted one fails the test."""
        path = path.replace("P", f"/projects/{self.project_id}", 1) if path.startswith("P") else path
        answer = self.http.request(method, path, **arguments)
        body = answer.json() if answer.content else None
        self.contract.check_response(method, path, answer.status_code, body)
        assert answer.status_code == (status or 200), answer.text
        return body

    def get(self, path: str, **arguments: Any) -> Any:
        return self.call("GET", path, **arguments)

    def refused(self, status: int, method: str, path: str, **arguments: Any) -> str:
        """The message of a refusal."""
        body = self.call(method, path, status=status, **arguments)
        assert body["request_id"]
        message: str = body["message"]
        return message

    def wait(self, answer: Any) -> list[dict[str, Any]]:
        """The answer's operations, once they are finished."""
        end = time.monotonic() + PATIENCE
        done = []
        for operation in answer["operations"]:
            while True:
                now = self.get(f"P/operations/{operation['id']}")["operation"]
                if now["status"] not in ("scheduling", "running"):
                    break
                assert time.monotonic() < end, now
                time.sleep(0.002)
            assert now["status"] == "finished", now
            done.append(now)
        return done

    def gone(self, branch_id: str) -> None:
        """Wait until there is no such branch."""
        end = time.monotonic() + PATIENCE
        while self.http.get(f"/projects/{self.project_id}/branches/{branch_id}").status_code != 404:
            assert time.monotonic() < end
            time.sleep(0.01)

    def create(self, name: str | None = None, *, compute: bool = True, wait: bool = True, **branch: Any) -> Any:
        """The answer to a branch's creation, its operations finished."""
        body: dict[str, Any] = {"branch": ({"name": name} if name else {}) | branch}
        if compute:
            body["endpoints"] = [{"type": "read_write"}]
        made = self.call("POST", "P/branches", status=201, json=body)
        if wait:
            self.wait(made)
        return made

    def delete(self, branch_id: str) -> None:
        self.wait(self.call("DELETE", f"P/branches/{branch_id}"))

    def main(self) -> dict[str, Any]:
        """The default branch."""
        found: dict[str, Any] = next(each for each in self.get("P/branches")["branches"] if each["default"])
        return found

    def uri(self, branch_id: str, **query: Any) -> str:
        """A direct connection string."""
        names = {"database_name": "neondb", "role_name": "neondb_owner", "pooled": "false"} | query
        uri: str = self.get("P/connection_uri", params={"branch_id": branch_id, **names})["uri"]
        return uri


@pytest.fixture(scope="module")
def neon(shared_state: Path, engine_binaries: Binaries) -> Iterator[LocalNeon]:
    """An engine for the tests of one file."""
    with LocalNeon(shared_state, engine_binaries, persistent=False, branches_limit=20) as running:
        yield running


@pytest.fixture(scope="module")
def client(neon: LocalNeon) -> Iterator[Api]:
    """A client of the file's engine."""
    with_key = Api(neon.api_host, neon.api_key, neon.project_id)
    yield with_key
    with_key.http.close()


@pytest.fixture
def api(client: Api) -> Iterator[Api]:
    """The same; branches that the test leaves are deleted, children first."""
    yield client
    clear(client)


@pytest.fixture(scope="session")
def api_of() -> Iterator[Any]:
    """Makes a client for any engine: `api_of(host, key, project_id)`."""
    made: list[Api] = []

    def make(host: str, key: str, project_id: str) -> Api:
        made.append(Api(host, key, project_id))
        return made[-1]

    yield make
    for each in made:
        each.http.close()


def clear(api: Api) -> None:
    """Leave only the default branch."""
    for _ in range(10):
        left = [each for each in api.get("P/branches", params={"limit": 1000})["branches"] if not each["default"]]
        parents = {each.get("parent_id") for each in left}
        leaves = [each for each in left if each["id"] not in parents]
        for each in leaves:
            if each["protected"]:
                api.call("PATCH", f"P/branches/{each['id']}", json={"branch": {"protected": False}})
            # Operations under way are awaited, as a client has to.
            end = time.monotonic() + PATIENCE
            while (answer := api.http.delete(f"/projects/{api.project_id}/branches/{each['id']}")).status_code == 423:
                assert time.monotonic() < end
                time.sleep(0.005)
            if answer.status_code == 200:
                api.gone(each["id"])
        if len(leaves) == len(left):
            return
