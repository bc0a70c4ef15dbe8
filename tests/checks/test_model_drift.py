"""`model-drift` judges hand-made records; tests/migrate/test_models.py has the comparison itself."""

from __future__ import annotations

from neontest.checks.model_drift import run
from neontest.record import Drift, Models, Record
from neontest.report import Level

PHONE = Drift(what="add column user.phone", line="op.add_column('user', sa.Column('phone', sa.String()))")
ORDER = Drift(what="order of enum state: a, b → b, a")


def test_all_drift_is_one_finding_with_the_lines_that_are_known() -> None:
    (finding,) = run(Record(engine="local", models=Models(tables=2, drift=(PHONE, ORDER))))
    assert (finding.check, finding.level, finding.revision) == ("model-drift", Level.WARNING, None)
    assert finding.message == "the models and the migrated database differ in 2 things"
    assert finding.details == (PHONE.what, ORDER.what)
    assert finding.fix == PHONE.line


def test_drift_that_only_a_person_can_mend_has_no_line() -> None:
    (finding,) = run(Record(engine="local", models=Models(tables=1, drift=(ORDER,))))
    assert finding.message.endswith("differ in one thing")
    assert finding.fix is None


def test_models_that_agree_or_were_not_compared_are_no_finding() -> None:
    for models in (None, Models(tables=3), Models(note="env.py gives context.configure() no target_metadata")):
        assert list(run(Record(engine="local", models=models))) == []
