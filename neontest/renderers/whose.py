"""Which data a run saw, in one line, and how a person gets the same."""

from __future__ import annotations

import shlex

from neontest.data_seen import DataSeen
from neontest.renderers.words import plural
from neontest.report import Report


def seen(report: Report) -> str:
    """Such as `a copy of branch main at LSN 0/1E88D48`; "" where the run had no branch."""
    data = report.data
    if data is None:
        return ""
    invented = f"{plural(data.rows, 'invented row')} a table" if data.rows else ""
    if report.engine == "local":
        return f"local: {', '.join(filter(None, (_local(data), *_less(data), invented)))}"
    said = {"schema-only": f"schema only, of branch {report.parent_name}, no rows", "anonymized": _masked(report, data)}
    of = said.get(data.kind, f"a copy of branch {report.parent_name}") + _moment(data)
    return ", ".join(filter(None, (of, f"{invented} that is empty" if invented else "")))


def again(report: Report) -> str:
    """The command that makes the same branch again; "" where the run's parent has no history to make it of."""
    data = report.data
    if data is None or report.engine == "local" or not report.parent_name:
        return ""
    words = ["neontest", "branches", "create", "--parent", report.parent_name]
    if data.lsn is not None:
        words += ["--lsn", data.lsn]
    elif data.time is not None:
        words += ["--time", data.time]
    elif data.kind != "schema-only":
        return ""
    words += ["--schema-only"] * (data.kind == "schema-only")
    words += ["--anonymize", data.rules] if data.kind == "anonymized" and data.rules else []
    return shlex.join(words)


def _local(data: DataSeen) -> str:
    """How the local parent came to be."""
    made = [f"prepared by {data.prepared}"] * bool(data.prepared)
    made += [f"made by revisions up to {', '.join(data.revisions)}"] * bool(data.revisions)
    made += [f"seeded by {data.seeded}"] * bool(data.seeded)
    kept = f" (kept since {data.made_at:%Y-%m-%d %H:%M} UTC)" if data.made_at is not None else ""
    return (", ".join(made) or "empty") + kept


def _less(data: DataSeen) -> list[str]:
    if data.kind == "schema-only":
        return ["schema only, no rows"]
    return [f"anonymized ({plural(data.masked, 'column')} masked)"] if data.kind == "anonymized" else []


def _masked(report: Report, data: DataSeen) -> str:
    return f"anonymized copy of branch {report.parent_name} ({plural(data.masked, 'column')} masked)"


def _moment(data: DataSeen) -> str:
    asked = f" as of {data.time}" if data.time else ""
    return asked + (f" at LSN {data.lsn}" if data.lsn else "")
