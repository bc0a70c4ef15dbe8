"""The store's facts as the JSON that Neon answers with.

Every field that the contract requires is there; figures that a local Postgres has no meaning for are 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from neontest.local.moments import text
from neontest.local.store import Branch, Database, Endpoint, Masking, Operation, Project, Role

Json = dict[str, Any]

REGION: Final = "local"
PROVISIONER: Final = "k8s-neonvm"
ORGANIZATION: Final = "org-local-neontest"
ACCOUNT: Final = "neontest"
EMAIL: Final = "neontest@example.com"
SIZE_LIMIT: Final = 1 << 40
"""Of a branch, in bytes: said because it is asked for, held by nobody."""


def given(**fields: Any) -> Json:
    """The fields that have a value: Neon leaves the others out."""
    return {key: value for key, value in fields.items() if value is not None}


def branch(each: Branch, project: Project) -> Json:
    return given(
        id=each.id,
        project_id=project.id,
        parent_id=each.parent_id,
        name=each.name,
        current_state=each.state,
        pending_state=each.pending,
        state_changed_at=text(each.state_changed_at),
        creation_source="console",
        primary=each.default,
        default=each.default,
        protected=each.protected,
        init_source="schema-only" if each.schema_only else "parent-data" if each.parent_id else None,
        cpu_used_sec=0,
        compute_time_seconds=0,
        active_time_seconds=0,
        written_data_bytes=0,
        data_transfer_bytes=0,
        created_at=text(each.created_at),
        updated_at=text(each.updated_at),
        expires_at=text(each.expires_at) if each.expires_at else None,
        ttl_interval_seconds=each.ttl_seconds if each.expires_at else None,
        last_reset_at=text(each.last_reset_at) if each.last_reset_at else None,
        created_by={"name": ACCOUNT, "image": ""},
    )


def masking(each: Branch, found: Masking, project: Project) -> Json:
    return given(
        project_id=project.id,
        branch_id=each.id,
        state=found.state,
        status_message=found.message or None,
        created_at=text(found.created_at),
        updated_at=text(found.updated_at),
        failed_at=text(found.updated_at) if found.state == "error" else None,
        last_run={"completed_at": text(found.updated_at), "masked_columns": found.columns}
        if found.state == "anonymized"
        else None,
    )


def annotation(each: Branch) -> Json:
    return {
        "object": {"type": "console/branch", "id": each.id},
        "value": each.annotation,
        "created_at": text(each.created_at),
        "updated_at": text(each.created_at),
    }


def endpoint(each: Endpoint, project: Project, host: str) -> Json:
    """`host` carries the port: clients paste it between `@` and `/` of a connection string."""
    return given(
        host=f"{host}:{each.port}",
        id=each.id,
        name=each.name,
        project_id=project.id,
        branch_id=each.branch_id,
        autoscaling_limit_min_cu=each.min_cu,
        autoscaling_limit_max_cu=each.max_cu,
        region_id=REGION,
        type="read_write",
        current_state=each.state,
        pending_state=each.pending,
        settings={},
        pooler_enabled=False,
        pooler_mode="transaction",
        disabled=each.disabled,
        passwordless_access=False,
        creation_source="console",
        created_at=text(each.created_at),
        updated_at=text(each.updated_at),
        last_active=text(each.started_at) if each.started_at else None,
        started_at=text(each.started_at) if each.started_at else None,
        suspended_at=text(each.suspended_at) if each.suspended_at else None,
        proxy_host=host,
        suspend_timeout_seconds=each.suspend_timeout_seconds,
        provisioner=PROVISIONER,
    )


def operation(each: Operation, project: Project) -> Json:
    return given(
        id=each.id,
        project_id=project.id,
        branch_id=each.branch_id,
        endpoint_id=each.endpoint_id,
        action=each.action,
        status=each.status,
        error=each.error,
        failures_count=int(each.status == "failed"),
        created_at=text(each.created_at),
        updated_at=text(each.updated_at),
        total_duration_ms=each.duration_ms,
    )


def operations(many: Iterable[Operation], project: Project) -> list[Json]:
    return [operation(each, project) for each in many]


def role(each: Role, branch_id: str) -> Json:
    """Never with its password: that is what reveal_password is for."""
    return {
        "branch_id": branch_id,
        "name": each.name,
        "protected": False,
        "authentication_method": "password" if each.login else "no_login",
        "created_at": text(each.created_at),
        "updated_at": text(each.updated_at),
    }


def database(each: Database, branch_id: str) -> Json:
    return {
        "id": each.id,
        "branch_id": branch_id,
        "name": each.name,
        "owner_name": each.owner_name,
        "created_at": text(each.created_at),
        "updated_at": text(each.updated_at),
    }


def project_item(each: Project, host: str) -> Json:
    """A project as the lists show it."""
    return {
        "active_time": 0,
        "id": each.id,
        "platform_id": "local",
        "region_id": REGION,
        "name": each.name,
        "provisioner": PROVISIONER,
        "pg_version": each.pg_version,
        "proxy_host": host,
        "branch_logical_size_limit": SIZE_LIMIT >> 20,
        "branch_logical_size_limit_bytes": SIZE_LIMIT,
        "store_passwords": True,
        "cpu_used_sec": 0,
        "creation_source": "console",
        "history_retention_seconds": 0,
        "created_at": text(each.created_at),
        "updated_at": text(each.created_at),
        "owner_id": each.account_id,
        "org_id": ORGANIZATION,
    }


def project(each: Project, host: str, branches_limit: int) -> Json:
    item = project_item(each, host)
    del item["active_time"]
    return item | {
        "active_time_seconds": 0,
        "compute_time_seconds": 0,
        "written_data_bytes": 0,
        "data_transfer_bytes": 0,
        "data_storage_bytes_hour": 0,
        "consumption_period_start": text(each.created_at),
        "consumption_period_end": text(each.created_at.replace(year=each.created_at.year + 1, day=1)),
        "owner": {
            "email": EMAIL,
            "name": ACCOUNT,
            "branches_limit": branches_limit,
            "subscription_type": "UNKNOWN",
        },
    }


def user(each: Project, branches_limit: int) -> Json:
    """The account; its billing half is there because the PyPI package neon-api 0.3.0 refuses to parse it without."""
    return {
        "id": each.account_id,
        "email": EMAIL,
        "login": ACCOUNT,
        "name": ACCOUNT,
        "last_name": "",
        "image": "",
        "plan": "free",
        "projects_limit": 1,
        "branches_limit": branches_limit,
        "max_autoscaling_limit": 0.25,
        "active_seconds_limit": 0,
        "compute_seconds_limit": 0,
        "auth_accounts": [
            {"provider": "keycloak", "email": EMAIL, "name": ACCOUNT, "login": ACCOUNT, "image": ""},
        ],
        "billing_account": {
            "state": "active",
            "payment_source": {"type": ""},
            "subscription_type": "UNKNOWN",
            "payment_method": "none",
            "quota_reset_at_last": text(each.created_at),
            "name": ACCOUNT,
            "email": EMAIL,
        }
        | {f"address_{part}": "" for part in ("city", "country", "line1", "line2", "postal_code", "state")},
    }


def organization(each: Project) -> Json:
    return {
        "id": ORGANIZATION,
        "name": ACCOUNT,
        "handle": ACCOUNT,
        "plan": "free",
        "managed_by": "console",
        "created_at": text(each.created_at),
        "updated_at": text(each.created_at),
    }
