"""Names and texts that are markup, commands or traps to somebody, through a whole run: they are told as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from neontest.renderers import formats, rendered
from neontest.renderers.words import CONTROL
from tests.conftest import Ran, run_neontest
from tests.conftest import environment as surroundings
from tests.github.conftest import Environment, outputs
from tests.github.hub import Hub
from tests.renderers.reports import REPORTS
from tests.renderers.test_annotations import COMMAND
from tests.renderers.test_markdown import OURS, TRAPS, parsed, tags

HOSTILE = {
    "colors": "\x1b[2J\x1b[31mred",
    "terminal title": "\x1b]0;title\x07",
    "terminal link": "\x1b]8;;http://h/\x1b\\x\x1b]8;;\x1b\\",
    "C1": "\x9b2J\x9dtitle\x9c",
    "bidi": "\u202egnp.\u2066x\u200f",
    "carriage return": "fine\rgone",
    "command": "x\n::error file=a,line=1::no",
    "command after blanks": "x\n \t::warning::no",
    "stop": "::stop-commands::hush",
    "mask": "::add-mask::e",
    "old command": "##[error]no",
    "other line ends": "x\u2028::error::no\x0b::error::no\x85::error::no",
    "HTML": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "end of HTML": "</details></pre></title>--> ]]>",
    "Markdown": "[a](javascript:b) ![i](http://h/i) @everyone #1",
    "fence": "``` `x` ~~~\n# heading\n- [ ] n",
    "table": "a|b\\|c",
    "expression": "${{ secrets.X }} {{ x }} %{x} %0A",
    "shell": "$(touch PWNED) `touch PWNED` ; touch PWNED",
    "SQL": "\"; DROP TABLE x; --'",
    "Python": "'); import os; os.abort() #{0}%s",
}
"""Each is at most 63 bytes, the length of a name."""

ENV_PY = """
import json, os, pathlib
from alembic import context
from sqlalchemy import create_engine
HOSTILE = json.loads(pathlib.Path("hostile.json").read_text())
for text in HOSTILE:
    print(text)
with create_engine(os.environ["DATABASE_URL"]).connect() as connection:
    context.configure(connection=connection)
    with context.begin_transaction():
        context.run_migrations()
"""
FIRST = """
import json, pathlib
from alembic import op
import sqlalchemy as sa
revision, down_revision = "a1", None
HOSTILE = json.loads(pathlib.Path("hostile.json").read_text())
def name(text): return '"' + text.replace('"', '""') + '"'
def word(text): return "'" + text.replace("'", "''") + "'"
def run(sql): op.get_bind().exec_driver_sql(sql.replace("%", "%%"))
def upgrade():
    run("CREATE TYPE " + name(HOSTILE[0] + "s") + " AS ENUM (" + ", ".join(map(word, HOSTILE)) + ")")
    for text in HOSTILE:
        run("CREATE TABLE " + name(text) + " (id int PRIMARY KEY, " + name(text[::-1]) + " text DEFAULT " + word(text)
            + ", CONSTRAINT " + name(text) + " CHECK (" + name(text[::-1]) + " <> " + word(text) + "))")
        run("COMMENT ON TABLE " + name(text) + " IS " + word(text))
        run("DO $do$ BEGIN RAISE NOTICE '%', " + word(text) + "; END $do$ -- " + " ".join(text.split()))
def downgrade():
    for text in HOSTILE[::2]:
        run("DROP TABLE " + name(text))
"""
TEST = """
import json, pathlib, pytest
HOSTILE = json.loads(pathlib.Path("hostile.json").read_text())
@pytest.mark.parametrize("text", HOSTILE, ids=HOSTILE)
def test_it(text):
    print(text)
    assert text == "", text
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    versions = root / "migrations/versions"
    versions.mkdir(parents=True)
    (root / "alembic.ini").write_text("[alembic]\nscript_location = %(here)s/migrations\n")
    (root / "migrations/env.py").write_text(ENV_PY)
    (root / "hostile.json").write_text(json.dumps(list(HOSTILE.values())))
    (root / "test_it.py").write_text(TEST)
    (versions / "a1_::error::no\x1b[31m`x`|<b>\u202e##[x.py").write_text(FIRST)
    down = "a1"
    texts = list(HOSTILE.values())
    for number, text in enumerate("\r".join(texts[at::7]) for at in range(7)):
        raises = f"raise RuntimeError({text!r})" if number % 2 else "pass"
        raised = (
            "DO $do$ BEGIN PERFORM 's3cret-literal'; RAISE EXCEPTION USING MESSAGE = "
            "'" + text.replace("'", "''") + "'; END $do$"
        )
        if number == 5:
            raises = f"op.get_bind().exec_driver_sql({raised.replace('%', '%%')!r})"
        (versions / f"b{number}_.py").write_text(
            f"{text!r}\nfrom alembic import op\nrevision, down_revision = 'b{number}', {down!r}\n"
            f"def upgrade():\n    pass\ndef downgrade():\n    {raises}\n"
        )
        down = f"b{number}"
    return root


class Page(HTMLParser):
    """The tags of a page, and what could run in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.active: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.active += [
            f"{tag} {name}={value}" for name, value in attrs if name.startswith("on") or "javascript:" in (value or "")
        ]


def commands(log: str) -> list[str]:
    """The lines that GitHub's runner obeys: those that begin with `::` after blanks, and those with `##[` anywhere."""
    return [each for each in re.split(r"[\r\n]", log) if each.lstrip().startswith("::") or "##[" in each]


def check_log(ran: Ran) -> None:
    for where in (ran.out, ran.err):
        assert not CONTROL.search(where.replace("\r\n", "\n")), sorted(set(CONTROL.findall(where)))
    obeyed = commands(ran.out) + commands(ran.err)
    ours = [each for each in obeyed if COMMAND.fullmatch(each) or re.fullmatch(r"::add-mask::[^\r\n]{8,}", each)]
    assert obeyed == ours
    assert "::add-mask::e" not in obeyed


def check_markdown(text: str) -> None:
    tokens = parsed(text)
    assert tags(tokens) <= OURS
    assert not [each for each in tokens if each.type == "text" and TRAPS.search(each.content)]
    assert not CONTROL.search(text)
    assert not [each for each in tokens if each.type in ("link_open", "image") and "javascript" in str(each.attrs)]


def test_a_whole_run_tells_every_text_as_text(
    tmp_path: Path, project: Path, local_state: Path, hub: Hub, environment: Environment
) -> None:
    files = {form: tmp_path / f"report.{form}" for form in formats() if form != "console"}
    given = [each for form, file in files.items() for each in (f"--{form}", str(file))]
    env = surroundings(local_state, {"PYTHONIOENCODING": "utf-8"}) | environment()
    words = ("run", "--local", "-v", *given, "--", "pytest", "-q", "test_it.py")
    ran = run_neontest(*words, cwd=project, environ=env, json=None)
    assert ran.code == 1, ran.out + ran.err
    assert not list(tmp_path.rglob("PWNED"))
    check_log(ran)
    # Without these it would have been no test: the texts did come all the way.
    report = json.loads(files["json"].read_text())
    told = json.dumps(report, ensure_ascii=False)
    for text in HOSTILE.values():
        assert json.dumps(text, ensure_ascii=False)[1:-1] in told, text
    assert {"tests-failed", "schema-restored", "downgrade-fails"} <= {each["check"] for each in report["findings"]}
    check_markdown(files["markdown"].read_text())
    page, clean = Page(files["html"].read_text()), Page(rendered(REPORTS["clean"](), "html"))
    assert page.active == []
    for tag in ("script", "style", "meta", "base", "link", "img", "iframe", "object", "embed"):
        assert page.tags.count(tag) == clean.tags.count(tag), tag
    ElementTree.fromstring(files["junit"].read_text())
    json.loads(files["sarif"].read_text())
    assert all(COMMAND.fullmatch(each) for each in files["annotations"].read_text().splitlines())
    # What GitHub is told, without values of statements unless it was asked for them
    (comment,) = hub.bodies(7)
    assert "s3cret-literal" in files["markdown"].read_text()
    summary = Path(env["GITHUB_STEP_SUMMARY"]).read_text()
    annotations = [each for each in ran.out.splitlines() if COMMAND.fullmatch(each)]
    assert annotations
    assert not [each for each in (comment, summary, *annotations) if "s3cret" in each]
    check_markdown(re.sub(r"\A<!--[^>]*-->", "", comment))
    check_markdown(summary)
    assert set(outputs(Path(env["GITHUB_OUTPUT"]).read_text())) == {
        "verdict", "branch-id", "report", "pending", "findings",
    }  # fmt: skip
    assert Path(env["GITHUB_ENV"]).read_text() == Path(env["GITHUB_PATH"]).read_text() == ""
