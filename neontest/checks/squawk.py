"""What squawk, a linter of SQL for Postgres, says of the statements that the upgrade sent.

It reads the text of each statement that changes the schema, as it was recorded, so also what `op` made of Python.
That finds what no walk can show: that a column, a table or a type that is dropped or renamed is still used by the
version of the application that runs until the deploy is done; an enum's value that goes to the end; a name that
Postgres will cut off. Statements about tables that the same upgrade made are left out. What is a matter of taste
(`prefer-…`) is told for information, and only to projects that have a `.squawk.toml`.

Rules on locks, rewrites, timeouts and new constraints are left out: neontest measures these, on the rows that there
are, and says more with fewer false alarms.

It runs where squawk is installed: `pip install "neontest[lint]"`. A comment `-- squawk-ignore RULE` in the SQL is
heeded.

What to do: see the rule's page under https://squawkhq.com/docs/rules; or accept the finding, with a reason.

What it cannot see: data statements, whose values are not recorded, and whatever a DO block or a function does.
"""

from __future__ import annotations

from collections.abc import Iterator

from neontest.record import Record
from neontest.report import Check, Finding, Level


def run(record: Record) -> Iterator[Finding]:
    for each in dict.fromkeys(record.lint):
        yield Finding(
            check="squawk",
            level=Level(each.level),
            message=f"{each.rule}: {' '.join(each.message.split())}",
            revision=each.revision,
            file=each.file,
            line=each.line,
            details=(f"in: {' '.join(each.sql.split())[:300]}",) if each.sql else (),
            hint=each.hint,
        )


CHECK = Check(id="squawk", title="a linter of SQL has nothing to say", run=run, looked=lambda record: bool(record.lint))
