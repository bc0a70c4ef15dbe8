"""Reading the graph of revisions, compared with Alembic's own reading of the same files and graphs."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.script.revision import Revision as AlembicRevision
from alembic.script.revision import RevisionMap

from neontest.errors import UnknownRevision, UsageError
from neontest.migrate import history, project
from neontest.migrate.project import Project
from neontest.record import History, Revision


class Files:
    """A plain Alembic project, to which revision files are added."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.versions = root / "migrations/versions"
        self.versions.mkdir(parents=True)
        (root / "migrations/env.py").write_text("raise SystemExit('env.py was run')\n")
        self.options("")

    def options(self, text: str) -> None:
        (self.root / "alembic.ini").write_text(f"[alembic]\nscript_location = %(here)s/migrations\n{text}\n")

    def put(self, name: str, text: str, folder: str = "") -> Path:
        path = self.versions / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def add(self, id_: str, down: str | tuple[str, ...] | None = None, **more: object) -> Path:
        lines = [
            f"revision = {id_!r}",
            f"down_revision = {down!r}",
            *(f"{key} = {value!r}" for key, value in more.items()),
        ]
        return self.put(f"{id_}_x.py", "\n".join(lines) + "\ndef upgrade():\n    pass\ndef downgrade():\n    pass\n")

    @property
    def project(self) -> Project:
        return project.find(self.root, environ={})

    def read(self) -> History:
        return history.read(self.project)

    def alembic(self) -> ScriptDirectory:
        return ScriptDirectory.from_config(Config(str(self.root / "alembic.ini")))


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def ids(found: History) -> tuple[str, ...]:
    return tuple(revision.id for revision in found.revisions)


def test_a_revision_is_read_with_its_lines_and_message(files: Files) -> None:
    files.put(
        "ab12_add_age.py",
        '"""add age\n\nRevision ID: ab12\n"""\n'
        "from typing import Sequence, Union\n\nfrom alembic import op\n\n"
        'revision: str = "ab12"\n'
        "down_revision: Union[str, None] = None\n"
        "branch_labels: Union[str, Sequence[str], None] = ('shop',)\n"
        "depends_on: Union[str, Sequence[str], None] = None\n\n\n"
        "def upgrade() -> None:\n    op.execute('select 1')\n\n\n"
        "@decorated\ndef downgrade() -> None:\n    op.execute('select 2')\n",
    )
    found = files.read()
    assert found == History(
        heads=("ab12",),
        revisions=(
            Revision(
                id="ab12",
                labels=("shop",),
                message="add age",
                file="migrations/versions/ab12_add_age.py",
                line=9,
                upgrade_line=15,
                downgrade_line=20,
            ),
        ),
    )


@pytest.mark.parametrize(
    ("written", "down"),
    [
        ("None", ()),
        ("'a'", ("a",)),
        ("('a', 'b')", ("a", "b")),
        ("['a', 'b']", ("a", "b")),
        ("()", ()),
        ("('a'\n  'b')", ("ab",)),
        ("'a' + 'b'", ("ab",)),
        ("REV", ("of a name",)),
        ("(REV, 'b')", ("of a name", "b")),
        ("f'{REV}!'", ("of a name!",)),
    ],
)
def test_each_way_to_write_a_down_revision_is_read(files: Files, written: str, down: tuple[str, ...]) -> None:
    files.put("x.py", f"REV = 'of a name'\nrevision = 'x'\ndown_revision = {written}\n")
    assert files.read().revisions[0].down == down


def test_assignments_in_pairs_and_chains_and_again_are_read_as_python_does(files: Files) -> None:
    files.put(
        "x.py", "X = Y = 'first'\nX = 'second'\nrevision, down_revision = X, None\ndepends_on = branch_labels = None\n"
    )
    assert ids(files.read()) == ("second",)


@pytest.mark.parametrize(
    ("source", "sentence", "line"),
    [
        ("revision = 'x'\ndown_revision = make()\n", r"down_revision is `make\(\)`", 2),
        ("revision = REV\ndown_revision = None\n", "revision is `REV`", 1),
        ("X = X + 'a'\nrevision = X\ndown_revision = None\n", "revision is", 1),
        ("revision = 7\ndown_revision = None\n", "revision is 7, not a text", 1),
        ("revision = 'x'\ndown_revision = (1,)\n", "down_revision holds 1", 2),
        ("revision = 'x'\n", "no `down_revision`", 1),
        ("HELP = 1\n", "no `revision`", 1),
        ("revision = 'a-b'\ndown_revision = None\n", "refuses - in a revision id", 1),
        ("revision = 'x'\ndown_revision = None\n\ndef upgrade(:\n", "is not Python", 4),
        ("revision = 'x'\n  down_revision = None\n", "is not Python", 2),
        ("revision = '\0'\n", "is not Python", 1),
    ],
)
def test_what_only_running_the_file_would_tell_is_unreadable_with_its_line(
    files: Files, source: str, sentence: str, line: int
) -> None:
    files.add("good")
    files.put("x_y.py", source)
    found = files.read()
    (fault,) = found.faults
    assert (fault.kind, fault.file, fault.line) == ("unreadable", "migrations/versions/x_y.py", line)
    assert re.search(sentence, fault.message), fault.message
    assert ids(found) == ("good",)


def test_ids_with_dots_and_other_letters_are_ids(files: Files) -> None:
    files.add("1.0.0")
    files.add("größe.2", "1.0.0")
    assert ids(files.read()) == ("1.0.0", "größe.2")
    assert files.alembic().get_heads() == ["größe.2"]


def test_a_coding_line_is_followed_and_warnings_of_the_source_are_not_ours(files: Files) -> None:
    path = files.versions / "x.py"
    path.write_bytes(
        b'# -*- coding: latin-1 -*-\n"""gr\xf6\xdfer"""\nrevision = \'x\'\ndown_revision = None\nA = \'\\d\'\n'
    )
    assert files.read().revisions[0].message == "größer"


@pytest.mark.parametrize(
    ("body", "empty", "raises"),
    [
        ("pass", True, False),
        ("...", True, False),
        ("'''nothing'''", True, False),
        ("'''nothing'''\n    return None", True, False),
        ("pass  # a comment\n    # another", True, False),
        ("op.drop_table('t')", False, False),
        ("raise NotImplementedError", False, True),
        ("'''never'''\n    raise RuntimeError('no way back')", False, True),
        ("op.drop_table('t')\n    raise RuntimeError", False, False),
    ],
)
def test_what_a_downgrade_does_is_seen(files: Files, body: str, empty: bool, raises: bool) -> None:
    files.put(
        "x.py", f"revision = 'x'\ndown_revision = None\ndef upgrade():\n    {body}\ndef downgrade():\n    {body}\n"
    )
    (revision,) = files.read().revisions
    assert (revision.downgrade_empty, revision.upgrade_empty, revision.downgrade_raises) == (empty, empty, raises)


def test_a_missing_downgrade_has_no_line(files: Files) -> None:
    files.put("x.py", "revision = 'x'\ndown_revision = None\ndef upgrade():\n    pass\n")
    (revision,) = files.read().revisions
    assert (revision.upgrade_line, revision.downgrade_line, revision.downgrade_empty) == (3, 0, False)


@pytest.mark.parametrize("recursive", [False, True])
def test_the_files_that_alembic_loads_are_the_files_read(files: Files, recursive: bool) -> None:
    files.options("recursive_version_locations = true" if recursive else "")
    files.add("a")
    files.put("deep.py", "revision = 'deep'\ndown_revision = 'a'\n", "2024/01")
    files.put("hidden.py", "revision = 'hidden'\ndown_revision = 'a'\n", ".old")
    for name in ("__init__.py", "__init__x.py", ".#lock.py", "readme.txt", "x.py.orig", "x.pyc", "x.py~"):
        files.put(name, "not python at all (")
    files.put("cached.py", "not python (", "__pycache__")
    files.put("abc123.py", "down_revision = 'a'\n")
    assert set(ids(files.read())) == {script.revision for script in files.alembic().walk_revisions()}
    assert files.read().faults == ()


def test_a_file_shown_by_two_locations_is_read_once(files: Files) -> None:
    files.add("a")
    (files.root / "again").symlink_to(files.versions)
    files.options(f"path_separator = space\nversion_locations = {files.versions} %(here)s/again {files.root}/not_there")
    assert ids(files.read()) == ("a",)
    assert files.read().faults == ()


def test_compiled_revisions_without_a_source_are_said_where_alembic_would_load_them(files: Files) -> None:
    files.options("sourceless = true")
    files.add("a")
    files.put("a_x.cpython-311.pyc", "", "__pycache__")
    files.put("b_x.cpython-311.pyc", "", "__pycache__")
    (fault,) = files.read().faults
    assert fault.kind == "unreadable"
    assert fault.file == "migrations/versions/__pycache__/b_x.cpython-311.pyc"


def test_locations_that_env_py_sets_can_be_read_instead(files: Files) -> None:
    files.add("a")
    other = files.root / "other"
    other.mkdir()
    (other / "b.py").write_text("revision = 'b'\ndown_revision = None\n")
    assert ids(history.read(files.project, locations=(other,))) == ("b",)


def test_an_id_in_two_files_is_a_duplicate_that_names_both(files: Files) -> None:
    files.put("one.py", "revision = 'a'\ndown_revision = None\n")
    files.put("two.py", "revision = 'a'\ndown_revision = None\n")
    (fault,) = files.read().faults
    assert (fault.kind, fault.revision, fault.file) == ("duplicate", "a", "migrations/versions/two.py")
    assert "migrations/versions/one.py" in fault.message


def test_a_label_in_two_files_is_a_duplicate(files: Files) -> None:
    files.add("a", branch_labels="shop")
    files.add("b", branch_labels=("shop",))
    (fault,) = files.read().faults
    assert (fault.kind, "'shop'" in fault.message) == ("duplicate", True)


@pytest.mark.parametrize("name", ["down_revision", "depends_on"])
def test_a_parent_that_no_file_has_is_missing(files: Files, name: str) -> None:
    files.put("b.py", f"revision = 'b'\ndown_revision = None\n{name} = 'gone'\n")
    (fault,) = files.read().faults
    assert (fault.kind, fault.revision) == ("missing-parent", "b")
    assert f"{name} of b is 'gone'" in fault.message


def test_a_shortened_parent_is_missing_as_for_alembic_and_the_whole_id_is_told(files: Files) -> None:
    files.add("abcdef")
    files.add("b", "abc")
    (fault,) = files.read().faults
    assert fault.kind == "missing-parent"
    assert "'abcdef'" in fault.message
    with pytest.warns(UserWarning, match="abc"), pytest.raises(KeyError):
        files.alembic().get_heads()


def test_a_revision_that_is_its_own_parent_is_a_cycle(files: Files) -> None:
    files.add("a")
    files.add("b", "b")
    (fault,) = files.read().faults
    assert (fault.kind, fault.revision) == ("cycle", "b")


@pytest.mark.parametrize("by", ["down_revision", "depends_on"])
def test_a_circle_is_told_once_in_its_order(files: Files, by: str) -> None:
    files.add("base")
    files.put("a.py", f"revision = 'a'\ndown_revision = 'base'\n{by} = 'c'\n")
    files.add("b", "a")
    files.add("c", "b")
    files.add("after", "c")
    found = files.read()
    (fault,) = found.faults
    assert fault.kind == "cycle"
    assert "a → c → b → a" in fault.message
    assert set(ids(found)) == {"base", "a", "b", "c", "after"}
    with pytest.raises(UsageError, match="circle"):
        history.pending(found, ())


def test_heads_are_those_of_alembic_and_effective_heads_leave_out_what_is_depended_on(files: Files) -> None:
    files.add("a")
    files.add("b")
    files.add("c", "a", depends_on="b")
    found = files.read()
    assert found.heads == tuple(files.alembic().get_heads())
    assert set(found.heads) == {"b", "c"}
    assert history.effective_heads(found) == ("c",)


def test_a_dependency_may_be_a_branch_label(files: Files) -> None:
    files.add("a", branch_labels="shop")
    files.add("b", depends_on="shop")
    assert files.read().faults == ()
    assert history.pending(files.read(), ()) == ("a", "b")


def test_a_start_that_no_file_has_is_named_with_what_to_do(files: Files) -> None:
    files.add("a")
    with pytest.raises(UnknownRevision, match="at revision gone, which no file here has") as caught:
        history.pending(files.read(), ("gone",))
    assert "missing file" in str(caught.value.hint)


def test_nothing_is_pending_at_the_head_and_all_from_base(files: Files) -> None:
    files.add("a")
    files.add("b", "a")
    assert history.pending(files.read(), ("b",)) == ()
    assert history.pending(files.read(), ("a",)) == ("b",)
    assert history.pending(files.read(), ()) == ("a", "b")


def _random_revisions(chance: random.Random) -> list[Revision]:
    revisions: list[Revision] = []
    for number in range(chance.randint(1, 25)):
        before = [revision.id for revision in revisions]
        kind = chance.random()
        down: tuple[str, ...] = ()
        if before and kind > 0.1:
            down = (chance.choice(before[-3:]),) if kind < 0.85 else tuple(chance.sample(before, min(2, len(before))))
        needs = (
            tuple(chance.sample(before, min(len(before), chance.choice([1, 1, 2])))) if chance.random() < 0.2 else ()
        )
        labelled = [revision.labels[0] for revision in revisions if revision.labels]
        if needs and labelled and chance.random() < 0.3:
            needs = (chance.choice(labelled),)
        labels = (f"label{number}",) if chance.random() < 0.1 else ()
        revisions.append(Revision(id=f"r{number}", down=down, depends_on=needs, labels=labels))
    chance.shuffle(revisions)
    return revisions


def _sources(revisions: list[Revision]) -> list[tuple[str, bytes]]:
    return [
        (
            f"{revision.id}.py",
            f"revision = {revision.id!r}\ndown_revision = {revision.down!r}\n"
            f"depends_on = {revision.depends_on!r}\nbranch_labels = {revision.labels!r}\n".encode(),
        )
        for revision in revisions
    ]


def _alembic_map(revisions: list[Revision]) -> RevisionMap:
    return RevisionMap(
        lambda: [
            AlembicRevision(
                revision.id,
                revision.down if len(revision.down) > 1 else next(iter(revision.down), None),
                revision.depends_on or None,
                revision.labels or None,
            )
            for revision in revisions
        ]
    )


@pytest.mark.parametrize("seed", range(0, 400, 40))
def test_heads_and_the_order_of_upgrades_are_alembics_on_random_graphs(seed: int) -> None:
    for number in range(seed, seed + 40):
        chance = random.Random(number)
        revisions = _random_revisions(chance)
        found = history.from_sources(_sources(revisions))
        assert found.faults == ()
        alembic = _alembic_map(revisions)
        assert found.heads == alembic.heads
        assert set(history.effective_heads(found)) == set(alembic._real_heads)
        # With several dependencies of one revision Alembic's order depends on the hash seed of the process.
        settled = all(len(one._normalized_resolved_dependencies) < 2 for one in alembic._revision_map.values() if one)
        for _ in range(4):
            start = _without_ancestors(chance.sample(revisions, chance.randint(0, min(3, len(revisions)))), alembic)
            theirs = [one.revision for one in alembic.iterate_revisions("heads", start or None, implicit_base=True)]
            ours = history.pending(found, start)
            assert sorted(ours) == sorted(theirs)
            assert not settled or list(ours) == theirs[::-1]
            assert _parents_first(ours, alembic)
        assert _parents_first(tuple(revision.id for revision in found.revisions), alembic)


def _without_ancestors(chosen: list[Revision], alembic: RevisionMap) -> tuple[str, ...]:
    """Ids such as a version table can hold: none is an ancestor of another."""
    above = {
        revision.id: {one.revision for one in alembic._get_ancestor_nodes([alembic.get_revision(revision.id)])}
        for revision in chosen
    }
    return tuple(one for one in above if not any(one in above[other] for other in above if other != one))


def _parents_first(order: tuple[str, ...], alembic: RevisionMap) -> bool:
    place = {id_: index for index, id_ in enumerate(order)}
    return all(
        place.get(parent, -1) < place[id_]
        for id_ in order
        for parent in alembic.get_revision(id_)._all_down_revisions  # type: ignore[union-attr]
    )


# -- comments that accept findings ------------------------------------------------------------------------------------


def test_acceptances_are_read_from_comments_wherever_they_stand(files: Files) -> None:
    files.put(
        "x.py",
        '"""first"""\n# neontest: accept data-loss: nobody used the column\nrevision = "x"\ndown_revision = None\n'
        "def upgrade():\n    op.drop_column('a', 'b')  #neontest:accept  table-rewrite :  small: 3 rows  \n",
    )
    (revision,) = files.read().revisions
    assert [(each.check, each.reason, each.revision, each.file, each.line) for each in revision.accepts] == [
        ("data-loss", "nobody used the column", "x", "migrations/versions/x.py", 2),
        ("table-rewrite", "small: 3 rows", "x", "migrations/versions/x.py", 6),
    ]


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        ("# neontest: accept data-loss", [("data-loss", "")]),
        ("# neontest: accept data-loss:", [("data-loss", "")]),
        ("# neontest: accept data-loss as it is", [("data-loss as it is", "")]),
        ("# neontest: accept: why not", [("", "why not")]),
        ("# neontest: accept", [("", "")]),
        ("# neontest: acceptance is another word", []),
        ("# see neontest: accept data-loss: x", []),
        ("text = '# neontest: accept data-loss: x'", []),
    ],
)
def test_what_a_comment_leaves_out_is_empty_and_what_is_no_comment_is_none(
    files: Files, comment: str, found: list[tuple[str, str]]
) -> None:
    files.put("x.py", f"revision = 'x'\ndown_revision = None\n{comment}\n")
    (revision,) = files.read().revisions
    assert [(each.check, each.reason) for each in revision.accepts] == found


def test_acceptances_are_read_in_the_files_own_encoding(files: Files) -> None:
    text = "# coding: latin-1\nrevision = 'x'\ndown_revision = None\n# neontest: accept data-loss: für später\n"
    files.put("x.py", "").write_bytes(text.encode("latin-1"))
    assert files.read().revisions[0].accepts[0].reason == "für später"
