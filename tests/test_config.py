from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from neontest.config import seconds, settle
from neontest.errors import ConfigError, UsageError
from neontest.settings import Settings


def settled(root: Path, toml: str = "", environ: dict[str, str] | None = None, **flags: Any) -> Settings:
    (root / "pyproject.toml").write_text(toml, encoding="utf-8")
    return settle(flags, dict.fromkeys(flags, "flag"), environ or {}, root)


def test_a_flag_beats_the_file_and_the_file_the_default(tmp_path: Path) -> None:
    toml = "[tool.neontest]\nmode = 'whole'\nheads = 'many'\n"
    settings = settled(tmp_path, toml, mode="stairway", heads=None)
    assert (settings.mode, settings.heads, settings.fail_on) == ("stairway", "many", "error")
    assert [settings.sources[name] for name in ("mode", "heads", "fail_on")] == ["flag", "pyproject.toml", "default"]


def test_an_unknown_key_is_refused_with_the_one_that_was_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='no key "project_id"') as caught:
        settled(tmp_path, "[tool.neontest]\nproject_id = 'x'\n")
    assert caught.value.hint == 'did you mean "project-id"?'
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "toml",
    [
        "[tool.neontest]\nmode = 'sideways'\n",
        "[tool.neontest]\ntests = 5\n",
        "[tool]\nneontest = 1\n",
        "[tool.neontest.commands]\nupgrade = 'x'\n",
        "[tool.neontest.commands]\nupgrade = 'x {revision}'\ndowngrade = ['x', 'base']\n",
        "not toml",
    ],
)
def test_bad_values_are_one_sentence_that_names_the_file(tmp_path: Path, toml: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settled(tmp_path, toml)
    assert "pyproject.toml" in caught.value.message
    assert "\n" not in caught.value.message


def test_a_binary_pyproject_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot be read"):
        settle({}, {}, {}, tmp_path)


def test_no_pyproject_is_fine(tmp_path: Path) -> None:
    assert settle({}, {}, {}, tmp_path).engine == "local"


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), (30, 30), (" 2 m ", 120)]
)
def test_durations(text: str | float, expected: float) -> None:
    assert seconds(text, what="timeout") == expected


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "1d", "1 2", "inf", "nan"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a duration"):
        seconds(text, what="timeout")


def test_a_key_chooses_neon_and_no_key_this_machine(tmp_path: Path) -> None:
    neon = settled(tmp_path, environ={"NEON_API_KEY": "k"}, project_id="p")
    assert (neon.engine, neon.engine_why) == ("neon", "NEON_API_KEY is set")
    local = settled(tmp_path)
    assert (local.engine, local.engine_why) == ("local", "NEON_API_KEY is not set")


def test_an_empty_key_is_none_as_github_gives_missing_secrets(tmp_path: Path) -> None:
    assert settled(tmp_path, environ={"NEON_API_KEY": ""}).engine == "local"


def test_local_is_local_even_with_a_key(tmp_path: Path) -> None:
    settings = settled(tmp_path, environ={"NEON_API_KEY": "k"}, engine="local")
    assert (settings.engine, settings.engine_why) == ("local", "--local was given")


def test_neon_without_a_key_or_a_project_says_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NEON_API_KEY is not set"):
        settled(tmp_path, engine="neon")
    with pytest.raises(UsageError, match="no Neon project") as caught:
        settled(tmp_path, environ={"NEON_API_KEY": "k"})
    assert "NEON_PROJECT_ID" in (caught.value.hint or "")


def test_flags_for_the_local_parent_are_refused_on_neon_but_not_the_files_keys(tmp_path: Path) -> None:
    environ = {"NEON_API_KEY": "k"}
    with pytest.raises(UsageError, match="--seed"):
        settled(tmp_path, environ=environ, project_id="p", seed="x.sql")
    assert settled(tmp_path, "[tool.neontest]\nseed = 'x.sql'\n", environ, project_id="p").seed == "x.sql"


def test_the_base_branch_comes_from_github_unless_it_is_named(tmp_path: Path) -> None:
    environ = {"GITHUB_BASE_REF": "main"}
    assert settled(tmp_path, environ=environ).base == "main"
    assert settled(tmp_path, environ=environ, from_revision="base").base == "main"
    assert settled(tmp_path, environ=environ, base="release").base == "release"


ACCEPT = "[[tool.neontest.accept]]\ncheck = 'data-loss'\n"


def test_levels_and_acceptances_are_read_from_the_file(tmp_path: Path) -> None:
    settings = settled(
        tmp_path,
        ACCEPT + "reason = 'copied elsewhere'\nrevision = '3b7d'\nuntil = 2026-12-31\n"
        "[tool.neontest]\ngate = 'all'\n[tool.neontest.levels]\nirreversible = 'off'\n",
    )
    (accept,) = settings.accept
    assert (accept.check, accept.reason, accept.revision) == ("data-loss", "copied elsewhere", "3b7d")
    assert accept.until == date(2026, 12, 31)
    assert (settings.levels, settings.gate) == ({"irreversible": "off"}, "all")


@pytest.mark.parametrize(
    "toml",
    [
        ACCEPT,
        ACCEPT + "reason = 'r'\nuntil = 'soon'\n",
        ACCEPT + "reason = 'r'\nuntill = 2026-12-31\n",
        "[tool.neontest.levels]\nirreversible = 'fatal'\n",
        "[tool.neontest]\ngate = 'mine'\n",
    ],
)
def test_an_acceptance_without_a_reason_and_a_level_that_is_none_are_refused(tmp_path: Path, toml: str) -> None:
    with pytest.raises(ConfigError, match=r"pyproject\.toml"):
        settled(tmp_path, toml)


def test_the_api_key_is_in_no_repr(tmp_path: Path) -> None:
    assert "sesame" not in repr(settled(tmp_path, environ={"NEON_API_KEY": "sesame"}, project_id="p"))


def test_tests_false_means_none(tmp_path: Path) -> None:
    settings = settled(tmp_path, "[tool.neontest]\ntests = false\n")
    assert (settings.run_tests, settings.tests) == (False, None)


def test_what_github_is_told_can_be_set_and_a_name_is_short(tmp_path: Path) -> None:
    settings = settled(tmp_path, "[tool.neontest]\ngithub = 'off'\ncomment = 'billing'\n")
    assert (settings.github, settings.comment) == ("off", "billing")
    assert settled(tmp_path).github == "on"
    assert settled(tmp_path, "[tool.neontest]\ncomment = 'billing'\n", comment="off").comment == "off"
    for name in ("x" * 101, "two\nlines"):
        with pytest.raises(UsageError, match="at most 100"):
            settled(tmp_path, comment=name)
    with pytest.raises(ConfigError):
        settled(tmp_path, "[tool.neontest]\ngithub = 'no'\n")


def test_waiting_for_a_free_branch_may_be_zero_as_no_other_duration_may(tmp_path: Path) -> None:
    toml = "[tool.neontest]\nwait = '10m'\n"
    assert (settled(tmp_path).wait, settled(tmp_path, toml).wait, settled(tmp_path, toml, wait="0").wait) == (0, 600, 0)
    assert settled(tmp_path, "[tool.neontest]\nwait = 0\n").wait == 0
    with pytest.raises(ConfigError, match="timeout"):
        settled(tmp_path, timeout="0")
    with pytest.raises(ConfigError, match="wait"):
        settled(tmp_path, wait="soon")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"parent_time": "2026-01-31T12:00:00Z", "parent_lsn": "0/1A"}, "each name a moment"),
        ({"schema_only": True, "anonymize": "rules.toml"}, "no row that --anonymize could mask"),
        ({"schema_only": True, "parent_lsn": "0/1A"}, "present schema"),
        ({"parent_time": "2026-01-31T12:00:00"}, "no moment of RFC 3339"),
        ({"parent_time": "2026-13-31T12:00:00Z"}, "no moment of RFC 3339"),
        ({"parent_time": "2999-01-31T12:00:00+02:00"}, "is in the future"),
        ({"parent_lsn": "1A2B"}, "is no LSN"),
        ({"parent_lsn": "0/123456789"}, "is no LSN"),
        ({"engine": "local", "parent_lsn": "0/1A"}, "a local cluster has no time travel"),
        ({"engine": "local", "schema_only": True, "seed": "seed.sql"}, "none of the rows that --seed makes"),
    ],
)
def test_data_that_no_branch_can_have_is_refused_in_one_sentence(
    tmp_path: Path, flags: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        settled(tmp_path, environ={"NEON_API_KEY": "k"}, project_id="p", **flags)
    assert (caught.value.exit_code, "\n" in caught.value.message) == (2, False)
