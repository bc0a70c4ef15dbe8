"""The contract itself is a judge that can say no."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

_FILE = Path(__file__).parents[2] / "contract" / "contract.py"
_SPEC = importlib.util.spec_from_file_location("neon_contract_under_test", _FILE)
assert _SPEC is not None
assert _SPEC.loader is not None
_MODULE: Any = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(_MODULE)


@pytest.fixture(scope="module")
def judge() -> Any:
    return _MODULE.Contract()


def test_good_requests_pass(judge: Any) -> None:
    body = {"branch": {"name": "x", "expires_at": "2026-11-30T00:00:00Z"}, "endpoints": [{"type": "read_write"}]}
    judge.check_request("POST", "/api/v2/projects/p-1/branches", None, body)
    judge.check_request("POST", "/projects/p-1/branches", None, None)
    judge.check_request("GET", "http://127.0.0.1:1/api/v2/projects/p-1/branches?limit=100&search=a%20b")
    judge.check_request("GET", "/projects/p-1/connection_uri", "database_name=a&role_name=b&pooled=false")
    judge.check_request("PATCH", "/projects/p-1/branches/br-1", None, {"branch": {"expires_at": None}})


@pytest.mark.parametrize(
    ("request_", "fault"),
    [
        (("POST", "/projects/p/branches", None, {"expires_at": "2026-11-30T00:00:00Z"}), "'expires_at' is no known"),
        (("POST", "/projects/p/branches", None, {"branch": {"nmae": "x"}}), "'nmae' is no known property"),
        (("POST", "/projects/p/branches", None, {"branch": {"expires_at": "tomorrow"}}), "not a 'date-time'"),
        (("POST", "/projects/p/branches", None, {"branch": {"name": "x" * 257}}), "is too long"),
        (("POST", "/projects/p/branches", None, {"endpoints": [{}]}), "'type' is a required property"),
        (("PATCH", "/projects/p/branches/br-1", None, None), "the body is missing"),
        (("GET", "/projects/p/branches", {"limit": "0"}, None), "query limit"),
        (("GET", "/projects/p/branches", {"limit": "many"}, None), "query limit"),
        (("GET", "/projects/p/branches", {"serach": "x"}, None), "serach is not a parameter"),
        (("GET", "/projects/p/connection_uri", {"database_name": "a"}, None), "query role_name is missing"),
        (("GET", "/projects/p/connection_uri", "database_name=a&role_name=b&pooled=False", None), "query pooled"),
        (("GET", "/projects/P_1/branches", None, None), "path project_id"),
        (("GET", "/projects/p/operations/7", None, None), "path operation_id"),
        (("GET", "/projects/p/branches", None, {}), "takes no body"),
        (("DELETE", "/projects/p", None, None), "no operation of the contract"),
    ],
)
def test_bad_requests_are_refused(judge: Any, request_: tuple[Any, ...], fault: str) -> None:
    with pytest.raises(_MODULE.ContractViolation, match=fault):
        judge.check_request(*request_)


def test_good_answers_pass_and_are_remembered(judge: Any) -> None:
    judge.check_response("GET", "/projects/p/branches/count", 200, {"count": 3})
    judge.check_response("DELETE", "/projects/p/branches/br-1", 204)
    judge.check_response("DELETE", "/projects/p/branches/br-1", 423, {"code": "", "message": "x", "request_id": "r"})
    assert ("GET", "countProjectBranches") in judge.seen
    assert judge.seen <= judge.operations()


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (("GET", "/projects/p/branches/count", 200, {"count": "3"}), "is not of type 'integer'"),
        (("GET", "/projects/p/branches/count", 200, {"count": 3, "cuont": 3}), "'cuont' is no known property"),
        (("GET", "/projects/p/branches/br-1", 200, {"annotation": {}}), "'branch' is a required property"),
        (("GET", "/projects/p/branches/br-1", 201, {}), "status 201"),
        (("DELETE", "/projects/p/branches/br-1", 204, {}), "has no body"),
        (("GET", "/projects/p", 404, {"message": "project not found"}), "'code' is a required property"),
        (("GET", "/projects/p", 500, None), "is not of type 'object'"),
    ],
)
def test_bad_answers_are_refused(judge: Any, answer: tuple[Any, ...], fault: str) -> None:
    with pytest.raises(_MODULE.ContractViolation, match=fault):
        judge.check_response(*answer)
