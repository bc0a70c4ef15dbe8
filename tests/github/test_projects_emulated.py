"""Whole runs of several projects inside of a job: one comment, one status, one summary."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

from neontest.github.comment import marker
from neontest.report import from_json
from tests.github.conftest import Start, outputs, until
from tests.github.hub import Hub
from tests.github.test_job_emulated import HANGING, project
from tests.test_limit import Project, room
from tests.test_relay import neon, nothing_left

__all__ = ["neon", "room"]

TOML = """
[tool.neontest]
base = "main"
rows = 0
"""
FINE = "op.execute('DROP TABLE b')"


def git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments], cwd=root, check=True)


def monorepo(root: Path, names: tuple[str, ...] = ("shop", "stock", "libs")) -> Path:
    """A repository whose projects all stand at r1 on its branch main; HEAD is on another branch."""
    root.mkdir()
    tables = "".join(f'[[tool.neontest.project]]\nname = "{name}"\npath = "{name}"\n' for name in names)
    (root / "pyproject.toml").write_text(TOML + tables)
    for name in names:
        project(root / name, test="def test_it():\n    pass\n")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "one")
    git(root, "checkout", "-q", "-b", "change")
    return root


def revise(folder: Path, *, downgrade: str = FINE) -> None:
    """Add a revision r2."""
    (folder / "migrations" / "versions" / "r2_it.py").write_text(
        '"""another"""\nfrom alembic import op\nrevision = "r2"\ndown_revision = "r1"\n\n\n'
        "def upgrade():\n    op.execute('CREATE TABLE b (id int PRIMARY KEY)')\n\n\n"
        f"def downgrade():\n    {downgrade}\n"
    )


def headings(page: str) -> list[str]:
    """The first two words of each section's heading: what became of what."""
    return [" ".join(line.split()[1:3]) for line in page.splitlines() if line.startswith("#### ")]


def test_all_have_one_comment_one_status_one_summary(hub: Hub, step: Start, tmp_path: Path) -> None:
    root = monorepo(tmp_path / "all")
    revise(root / "shop")
    revise(root / "stock", downgrade="pass")
    said = step(root, "run", "--local", "--json", "report.json", GITHUB_WORKSPACE=str(root))
    assert said.ended() == 1, said.log.read_text()
    assert hub.states() == ["pending", "failure"]
    assert {body["context"] for _, body in hub.statuses} == {"neontest"}
    assert hub.statuses[-1][1]["description"] == "failed: stock; passed: shop; skipped: libs"
    (comment,) = hub.bodies(7)
    first = "### ❌ neontest: failed: stock; passed: shop; skipped: libs"
    assert comment.startswith(f"{marker('default')}\n{first}")
    assert headings(comment) == ["✅ shop:", "❌ stock:", "⏭️ libs:"]
    assert "skipped: none of its files differ from main" in comment
    summary = (tmp_path / "runner" / "summary").read_text()
    assert (headings(summary), summary.count("### ❌ neontest:")) == (headings(comment), 1)
    reports = [from_json((root / f"report-{name}.json").read_bytes()) for name in ("shop", "stock", "libs")]
    assert [each.project for each in reports] == ["shop", "stock", "libs"]
    assert [(each.verdict, bool(each.skipped)) for each in reports] == [
        ("passed", False), ("failed", False), ("passed", True),
    ]  # fmt: skip
    assert outputs((tmp_path / "runner" / "output").read_text()) == {
        "verdict": "failed",
        "branch-id": reports[0].branches[0].id,
        "report": "\n".join(str(root / f"report-{name}.json") for name in ("shop", "stock", "libs")),
        "pending": "2",
        "findings": str(len(reports[1].findings)),
    }
    shown, _ = said.shown()
    assert shown.splitlines()[-1] == "projects: failed: stock; passed: shop; skipped: libs"
    assert any(line.startswith("::error file=stock/migrations/versions/r2_it.py") for line in shown.splitlines())


def test_on_one_candidate_of_neon_they_are_told_alike(
    hub: Hub, step: Start, tmp_path: Path, neon: Project, local_state: Path
) -> None:
    root = monorepo(tmp_path / "all", ("shop", "stock", "libs"))
    toml = root / "pyproject.toml"
    toml.write_text(toml.read_text() + 'database = "stock"\n')
    git(root, "commit", "-qam", "libs has a database of its own")
    git(root, "branch", "-f", "main")
    revise(root / "shop")
    revise(root / "libs")
    (root / "shop" / "test_it.py").write_text("def test_it():\n    raise AssertionError\n")
    said = step(root, "run", "--json", "report.json", **neon.env)
    assert said.ended() == 1, said.log.read_text()
    assert hub.statuses[-1][1]["description"] == "failed: shop; passed: libs; skipped: stock"
    (comment,) = hub.bodies(7)
    assert headings(comment) == ["❌ shop:", "⏭️ stock:", "✅ libs:"]
    shop, libs = (from_json((root / f"report-{name}.json").read_bytes()) for name in ("shop", "libs"))
    assert (shop.branches[0].passed_on, shop.branches[0].id) == (True, libs.branches[0].id)
    shown, masks = said.shown()
    assert not [each for each in masks if each in shown + comment]
    nothing_left(neon, local_state)


def test_where_all_are_skipped_the_status_comes_all_the_same(hub: Hub, step: Start, tmp_path: Path) -> None:
    said = step(monorepo(tmp_path / "all", ("shop", "stock")), "run", "--local")
    assert said.ended() == 0, said.log.read_text()
    # What is over before anything was sent was never pending.
    assert hub.states() in (["pending", "success"], ["success"])
    assert hub.statuses[-1][1]["description"] == "skipped: shop, stock"
    assert headings(hub.bodies(7)[0]) == ["⏭️ shop:", "⏭️ stock:"]
    assert outputs((tmp_path / "runner" / "output").read_text())["verdict"] == "passed"


def test_only_runs_what_it_names_and_hides_nothing_of_the_others(hub: Hub, step: Start, tmp_path: Path) -> None:
    root = monorepo(tmp_path / "all")
    revise(root / "shop")
    hub.comment(7, marker("default") + "\nof all")
    said = step(root, "run", "--local", "--only", "shop", "--json", "report.json")
    assert said.ended() == 0, said.log.read_text()
    assert {body["context"] for _, body in hub.statuses} == {"neontest/shop"}
    assert [each.partition("\n")[0] for each in hub.bodies(7)] == [marker("default"), marker("shop")]
    assert hub.bodies(7)[1].startswith(marker("shop") + "\n### ✅ neontest: passed: 1 revision")
    assert from_json((root / "report.json").read_bytes()).project == "shop"


def test_a_signal_in_the_middle_of_the_second_is_told_of_each(hub: Hub, step: Start, tmp_path: Path) -> None:
    root = monorepo(tmp_path / "all")
    for name in ("shop", "stock", "libs"):
        revise(root / name)
    (root / "stock" / "test_it.py").write_text(HANGING)
    said = step(root, "run", "--local", "--json", "report.json")
    until((tmp_path / "mark").exists, said)
    until(lambda: "⏳ stock" in hub.bodies(7)[0], said)
    assert hub.bodies(7)[0].splitlines()[2:] == [
        "### ⏳ neontest: running, project 2 of 3",
        "",
        *[line for line in hub.bodies(7)[0].splitlines() if line.startswith("- ✅ shop: passed: 1 revision")],
        "- ⏳ stock: running, 1 pending revision",
        "- libs: not yet",
    ]
    began = time.monotonic()
    said.process.send_signal(signal.SIGTERM)
    assert said.ended() == 143, said.log.read_text()
    assert time.monotonic() - began < 7
    assert hub.states() == ["pending", "error"]
    assert hub.statuses[-1][1]["description"] == "stopped: stock; not run: libs; passed: shop"
    (comment,) = hub.bodies(7)
    assert headings(comment) == ["✅ shop:", "⏹️ stock:", "⏹️ libs:"]
    assert "stopped by SIGTERM" in comment
    for name in ("shop", "stock"):
        report = from_json((root / f"report-{name}.json").read_bytes())
        assert report.branches
        assert all(each.deleted for each in report.branches)
    assert not (root / "report-libs.json").exists()
    assert not list((tmp_path / "temp").iterdir())
