"""Finding a project's migrations, compared with what Alembic makes of the same files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory

from neontest.errors import UsageError
from neontest.migrate import project
from neontest.migrate.project import Project


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A folder to be in, as `alembic` reads relative paths from there."""
    before = Path.cwd()
    os.chdir(tmp_path)
    yield tmp_path
    os.chdir(before)


def put(root: Path, name: str, text: str = "", encoding: str = "utf-8") -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding=encoding)
    return path


def ini(text: str = "script_location = migrations\n", section: str = "alembic") -> str:
    return f"[{section}]\n{text}"


def find(root: Path, **options: object) -> Project:
    return project.find(root, **{"environ": {}, **options})  # type: ignore[arg-type]


def alembic_sees(config: Path, section: str = "alembic") -> tuple[Path, tuple[Path, ...]]:
    """The script location and the version locations that Alembic itself takes from the file."""
    if config.suffix == ".toml":
        taken = Config(toml_file=config)
    else:
        taken = Config(str(config), toml_file=config.parent / "pyproject.toml", ini_section=section)
    directory = ScriptDirectory.from_config(taken)
    return Path(directory.dir).absolute(), tuple(directory._version_locations)


def assert_as_alembic(found: Project) -> None:
    assert found.config is not None
    scripts, locations = alembic_sees(found.config, found.section)
    assert found.script_location == scripts
    assert found.version_locations == locations


def test_alembic_ini_in_the_root_is_plain_alembic(root: Path) -> None:
    put(root, "alembic.ini", ini())
    put(root, "migrations/env.py")
    found = find(root)
    assert (found.kind, found.config, found.cwd) == ("alembic", root / "alembic.ini", root)
    assert_as_alembic(found)


@pytest.mark.parametrize(
    "location",
    ["migrations", "./migrations", "%(here)s/migrations", "db/../migrations"],
)
def test_each_form_of_a_script_location_is_where_alembic_finds_it(root: Path, location: str) -> None:
    put(root, "alembic.ini", ini(f"script_location = {location}\n"))
    put(root, "migrations/env.py")
    put(root, "db/keep")
    found = find(root)
    assert found.script_location.samefile(root / "migrations")
    assert found.script_location.samefile(alembic_sees(root / "alembic.ini")[0])


def test_a_percent_sign_in_the_path_is_no_obstacle(tmp_path: Path) -> None:
    root = tmp_path / "100%s"
    put(root, "alembic.ini", ini("script_location = %(here)s/migrations\n"))
    put(root, "migrations/env.py")
    assert find(root).script_location == root / "migrations"


@pytest.mark.parametrize("packages", ["", "src/"])
def test_a_package_path_is_found_without_importing_the_package(root: Path, packages: str) -> None:
    put(root, "alembic.ini", ini("script_location = shop.db:migrations\n"))
    put(root, f"{packages}shop/__init__.py", "raise SystemExit('imported')")
    put(root, f"{packages}shop/db/__init__.py", "raise SystemExit('imported')")
    put(root, f"{packages}shop/db/migrations/env.py")
    assert find(root).script_location == root / packages / "shop/db/migrations"


def test_a_package_path_is_found_where_prepend_sys_path_pythonpath_or_an_editable_install_says(root: Path) -> None:
    put(root, "one/shop/migrations/env.py")
    put(root, "alembic.ini", ini("script_location = shop:migrations\nprepend_sys_path = one\n"))
    assert find(root).script_location == root / "one/shop/migrations"
    put(root, "alembic.ini", ini("script_location = shop:migrations\n"))
    assert find(root, environ={"PYTHONPATH": "one"}).script_location == root / "one/shop/migrations"
    put(root, ".venv/lib/python3.12/site-packages/shop.pth", f"import sys\n{root / 'one'}\n")
    assert find(root).script_location == root / "one/shop/migrations"


def test_a_package_that_is_nowhere_is_said_with_the_places(root: Path) -> None:
    put(root, "alembic.ini", ini("script_location = no_such_shop:migrations\n"))
    with pytest.raises(UsageError, match="no_such_shop") as caught:
        find(root)
    assert str(root / "src") in caught.value.message


@pytest.mark.parametrize(
    ("separator", "written"),
    [
        ("version_path_separator = :", "a:b:%(here)s/c"),
        ("version_path_separator = ;", "a;b;%(here)s/c"),
        ("version_path_separator = os", f"a{os.pathsep}b{os.pathsep}%(here)s/c"),
        ("version_path_separator = space", "a b %(here)s/c"),
        ("path_separator = newline", "\n    a\n    b\n    %(here)s/c"),
        ("path_separator = os", f"a{os.pathsep}b{os.pathsep}%(here)s/c"),
        ("", "a b, %(here)s/c"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_version_locations_are_divided_as_alembic_divides_them(root: Path, separator: str, written: str) -> None:
    put(root, "alembic.ini", ini(f"script_location = m\n{separator}\nversion_locations = {written}\n"))
    put(root, "m/env.py")
    found = find(root)
    assert found.version_locations == (root / "a", root / "b", root / "c")
    assert_as_alembic(found)


def test_a_separator_that_alembic_does_not_know_is_said_with_its_line(root: Path) -> None:
    put(root, "alembic.ini", ini("script_location = m\nversion_path_separator = comma\nversion_locations = a,b\n"))
    put(root, "m/env.py")
    with pytest.raises(UsageError, match=r"alembic\.ini:3: version_path_separator is 'comma'"):
        find(root)


def test_version_locations_may_lie_in_a_package(root: Path) -> None:
    put(
        root, "alembic.ini", ini("script_location = m\nversion_path_separator = space\nversion_locations = shop:vs v\n")
    )
    put(root, "m/env.py")
    put(root, "shop/__init__.py")
    assert find(root).version_locations == (root / "shop/vs", root / "v")


def test_flags_are_read_as_alembic_reads_them(root: Path) -> None:
    put(root, "m/env.py")
    put(root, "alembic.ini", ini("script_location = m\nrecursive_version_locations = true\nsourceless = yes\n"))
    found = find(root)
    assert (found.recursive, found.sourceless) == (True, False)


def test_tool_alembic_in_pyproject_is_enough(root: Path) -> None:
    put(root, "m/env.py")
    put(
        root,
        "pyproject.toml",
        '[tool.alembic]\nscript_location = "%(here)s/m"\nversion_locations = ["%(here)s/one", "two"]\n'
        "recursive_version_locations = true\n",
    )
    found = find(root)
    assert (found.config, found.toml, found.ini) == (root / "pyproject.toml", root / "pyproject.toml", None)
    assert found.recursive
    assert_as_alembic(found)


def test_an_ini_and_a_pyproject_are_read_together_the_ini_first(root: Path) -> None:
    put(root, "m/env.py")
    put(root, "alembic.ini", "[alembic]\nversion_locations = %(here)s/of_ini\npath_separator = os\n")
    put(root, "pyproject.toml", '[tool.alembic]\nscript_location = "m"\nversion_locations = ["of_toml"]\n')
    found = find(root)
    assert (found.ini, found.toml) == (root / "alembic.ini", root / "pyproject.toml")
    assert_as_alembic(found)
    assert found.version_locations == (root / "of_ini",)


def test_another_section_is_taken_by_its_name_and_a_wrong_name_lists_those_there_are(root: Path) -> None:
    put(root, "one/env.py")
    put(root, "two/env.py")
    put(root, "alembic.ini", ini("script_location = one\n", "one") + ini("script_location = two\n", "two"))
    assert find(root, section="two").script_location == root / "two"
    with pytest.raises(UsageError, match=r"no section \[alembic\]") as caught:
        find(root)
    assert caught.value.hint is not None
    assert "[one], [two]" in caught.value.hint or "one, two" in caught.value.hint


def test_flask_migrate_is_known_by_its_folder(root: Path) -> None:
    put(root, "migrations/alembic.ini", "[alembic]\n# no script_location\n")
    put(root, "migrations/env.py", "from flask import current_app\n")
    found = find(root, environ={"FLASK_APP": "shop:create_app"})
    assert (found.kind, found.script_location, found.cwd) == ("flask", root / "migrations", root)
    assert found.flask_app == "shop:create_app"
    assert found.version_locations == (root / "migrations/versions",)


def test_flask_app_is_found_in_flaskenv_and_env_as_flask_loads_them(root: Path) -> None:
    put(root, "migrations/alembic.ini", "[alembic]\n")
    put(root, "migrations/env.py", "from flask import current_app\n")
    assert find(root).flask_app is None
    put(root, ".flaskenv", "# FLASK_APP=no\nFLASK_APP=of_flaskenv\n")
    assert find(root).flask_app == "of_flaskenv"
    put(root, ".env", 'export FLASK_APP="of_env:app"  # first\n')
    assert find(root).flask_app == "of_env:app"


def test_a_flask_folder_of_another_name_or_place_is_named_by_alembic_config(root: Path) -> None:
    put(root, "backend/db/alembic.ini", "[alembic]\n")
    put(root, "backend/db/env.py", "from flask import current_app\n")
    found = find(root, alembic_config=Path("backend/db"))
    assert (found.kind, found.script_location, found.cwd) == ("flask", root / "backend/db", root)
    put(root, "backend/app.py")
    assert find(root, alembic_config=Path("backend/db/alembic.ini")).cwd == root / "backend"


def test_with_both_the_one_that_alembic_itself_takes_wins_and_the_other_is_named(root: Path) -> None:
    put(root, "alembic.ini", ini("script_location = plain\n"))
    put(root, "plain/env.py")
    put(root, "migrations/alembic.ini", "[alembic]\n")
    put(root, "migrations/env.py", "from flask import current_app\n")
    found = find(root)
    assert found.kind == "alembic"
    assert "alembic.ini was taken, not migrations/alembic.ini" in found.why
    assert "--alembic-config" in found.why
    assert find(root, alembic_config=Path("migrations")).kind == "flask"


def test_an_alembic_ini_over_flask_migrates_own_folder_is_flask_migrate(root: Path) -> None:
    put(root, "alembic.ini", ini())
    put(root, "migrations/alembic.ini", "[alembic]\n")
    put(root, "migrations/env.py", "from flask import current_app\n")
    assert find(root).kind == "flask"
    put(root, "migrations/env.py", "from shop import app\nwith app.app_context():\n    from flask import current_app\n")
    assert find(root).kind == "alembic"


def test_the_only_environment_below_is_taken_with_the_folder_that_its_paths_mean(root: Path) -> None:
    put(root, "backend/alembic.ini", ini())
    put(root, "backend/migrations/env.py")
    put(root, ".venv/lib/other/alembic.ini", ini())
    put(root, "node_modules/other/alembic.ini", ini())
    found = find(root)
    assert (found.root, found.cwd) == (root, root / "backend")
    assert found.script_location == root / "backend/migrations"
    assert found.name(root / "backend/migrations/env.py") == "backend/migrations/env.py"


def test_a_broken_pyproject_of_something_else_below_is_no_obstacle(root: Path) -> None:
    put(root, "backend/alembic.ini", ini())
    put(root, "backend/migrations/env.py")
    put(root, "template/pyproject.toml", "{{ this.is }} no TOML")
    assert find(root).config == root / "backend/alembic.ini"


def test_several_below_are_all_named(root: Path) -> None:
    for service in ("orders", "users"):
        put(root, f"{service}/alembic.ini", ini())
        put(root, f"{service}/migrations/env.py")
    with pytest.raises(UsageError, match=r"orders/alembic\.ini, users/alembic\.ini") as caught:
        find(root)
    assert "--alembic-config" in str(caught.value.hint)


def test_none_says_where_it_looked(root: Path) -> None:
    with pytest.raises(UsageError) as caught:
        find(root)
    for place in ("alembic.ini", "[tool.alembic]", "migrations/alembic.ini"):
        assert place in caught.value.message


@pytest.mark.parametrize("name", ["nope.ini", "folder", "pyproject.toml"])
def test_an_alembic_config_that_names_nothing_is_refused(root: Path, name: str) -> None:
    put(root, "folder/keep")
    put(root, "pyproject.toml", "[tool.other]\n")
    with pytest.raises(UsageError, match="--alembic-config"):
        find(root, alembic_config=Path(name))


def test_alembic_config_of_the_environment_is_followed_as_alembic_follows_it(root: Path) -> None:
    put(root, "conf/db.ini", ini())
    put(root, "migrations/env.py")
    assert find(root, environ={"ALEMBIC_CONFIG": "conf/db.ini"}).config == root / "conf/db.ini"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("script_location = m\n", r"alembic\.ini:1: .*before the first \[section\]"),
        ("[alembic]\nscript_location = m\n[alembic]\n", r"alembic\.ini:3: .*section \[alembic\] twice"),
        ("[alembic]\nscript_location = m\nscript_location = n\n", r"alembic\.ini:3: .*'script_location'.* twice"),
        ("[alembic]\nwhat is this\n", r"alembic\.ini:2: "),
        ("[alembic]\n\nscript_location = %(nope)s/m\n", r"alembic\.ini:3: .*%\(nope\)s"),
        ("[alembic]\nscript_location = 100%/m\n", r"alembic\.ini:2: "),
    ],
)
def test_a_broken_ini_is_one_sentence_with_its_line(root: Path, text: str, sentence: str) -> None:
    put(root, "alembic.ini", text)
    with pytest.raises(UsageError, match=sentence) as caught:
        find(root)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[tool.alembic\n", r"pyproject\.toml:1: not TOML"),
        ('[tool.alembic]\nscript_location = "%(there)s/m"\n', r"pyproject\.toml.*script_location"),
    ],
)
def test_a_broken_pyproject_is_one_sentence(root: Path, text: str, sentence: str) -> None:
    put(root, "pyproject.toml", text)
    with pytest.raises(UsageError, match=sentence) as caught:
        find(root)
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
def test_any_encoding_of_the_ini_is_read(root: Path, encoding: str) -> None:
    put(root, "alembic.ini", "[alembic]\n# für alle\nscript_location = migrations\n", encoding)
    put(root, "migrations/env.py")
    assert find(root).script_location == root / "migrations"


def test_options_that_need_no_filling_in_do_not_break_the_ini(root: Path) -> None:
    put(
        root,
        "alembic.ini",
        ini("script_location = m\nsqlalchemy.url = %(DB_URL)s\nfile_template = %%(rev)s_%%(slug)s\n"),
    )
    put(root, "m/env.py")
    assert find(root).script_location == root / "m"


@pytest.mark.parametrize("made", [False, True])
def test_a_script_location_without_env_py_is_said(root: Path, made: bool) -> None:
    put(root, "alembic.ini", ini())
    if made:
        put(root, "migrations/script.py.mako")
    with pytest.raises(UsageError, match="has no env.py" if made else "does not exist"):
        find(root)
