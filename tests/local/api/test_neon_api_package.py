"""The PyPI package neon-api 0.3.0, unchanged, as far as its own faults allow.

Its faults, seen with 0.3.0 on 2026-11-22: `base_url` is put together without a slash, so it must end in one;
`role_password_reveal` sends POST where the API has GET; `branch_delete` reads JSON out of a 204, which has none;
`connection_uri` cannot name a branch; `me` needs the billing account that the API may leave out.
"""

from __future__ import annotations

import time
import warnings
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from neontest.local.engine import LocalNeon

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its dependencies, when they are imported
    from neon_api import NeonAPI
    from neon_api.exceptions import NeonAPIError

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def package(neon: LocalNeon) -> Any:
    made = NeonAPI(neon.api_key, base_url=neon.api_host + "/")
    yield made
    made._session.close()


def wait(package: Any, project_id: str, operations: Any) -> None:
    end = time.monotonic() + 60
    for each in operations:
        while package.operation(project_id, str(each.id)).operation.status.value not in ("finished", "skipped"):
            assert time.monotonic() < end
            time.sleep(0.01)


def test_it_reads_the_account_and_the_project(package: Any, neon: LocalNeon) -> None:
    me = package.me()
    assert me.billing_account.subscription_type.value == "UNKNOWN"
    assert [each.id for each in package.projects(limit=10).projects] == [neon.project_id]
    assert package.project(neon.project_id).project.owner.branches_limit == me.branches_limit


def test_a_branch_from_its_making_to_its_end(package: Any, neon: LocalNeon, api: Any) -> None:
    project = neon.project_id
    made = package.branch_create(project, branch={"name": "by neon-api"}, endpoints=[{"type": "read_write"}])
    wait(package, project, made.operations)
    id = made.branch.id
    assert "ready" in str(package.branch(project, id).branch.current_state)
    assert {each.name for each in package.branches(project).branches} == {"main", "by neon-api"}
    changed = package.branch_update(project, id, branch={"name": "renamed"})
    assert changed.branch.name == "renamed"
    assert [each.name for each in package.databases(project, id).databases] == ["neondb"]
    assert package.database(project, id, "neondb").database.owner_name == "neondb_owner"
    assert [each.name for each in package.roles(project, id).roles] == ["neondb_owner"]
    assert package.role(project, id, "neondb_owner").role.name == "neondb_owner"
    (endpoint,) = [each for each in package.endpoints(project).endpoints if each.branch_id == id]
    assert package.endpoint(project, endpoint.id).endpoint.host == endpoint.host
    wait(package, project, package.endpoint_suspend(project, endpoint.id).operations)
    wait(package, project, package.endpoint_start(project, endpoint.id).operations)
    wait(package, project, package.role_create(project, id, "reader").operations)
    package.database_create(project, id, database={"name": "more", "owner_name": "reader"})
    wait(package, project, package.operations(project, limit=1).operations)  # its model leaves the operations out
    assert {each.name for each in package.databases(project, id).databases} == {"neondb", "more"}
    assert package.operations(project, limit=5).operations
    deleted = package.branch_delete(project, id)
    wait(package, project, deleted.operations)
    with pytest.raises(NeonAPIError, match="branch not found"):
        package.branch(project, id)
    with pytest.raises(ValueError, match="Expecting value"):  # its fault: a 204 has no JSON
        package.branch_delete(project, id)


def test_its_connection_string_is_the_default_branchs(package: Any, neon: LocalNeon) -> None:
    for pooled in (False, True):
        uri = package.connection_uri(neon.project_id, "neondb", "neondb_owner", pooled=pooled).uri
        assert ("-pooler." in uri) == pooled
        with closing(psycopg2.connect(uri)) as connection, connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == ("neondb_owner",)


def test_a_wrong_key_is_its_error(neon: LocalNeon) -> None:
    package = NeonAPI("wrong", base_url=neon.api_host + "/")
    with closing(package._session), pytest.raises(NeonAPIError, match="do not pass authentication"):
        package.me()


def test_its_way_to_ask_for_a_password_is_not_the_apis(package: Any, neon: LocalNeon, api: Any) -> None:
    with pytest.raises(NeonAPIError, match="POST is not allowed"):
        package.role_password_reveal(neon.project_id, api.main()["id"], "neondb_owner")
