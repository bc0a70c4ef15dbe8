"""Loads what Alembic needs of a project: its configuration, its Flask application, its revisions.

A part of `worker`, so it runs in the project's interpreter too: Python 3.8, Alembic 1.8 to 1.20, nothing of ours.
"""

# ruff: noqa: UP006, UP035
from __future__ import annotations

import argparse
import inspect
import os
from typing import TYPE_CHECKING, Any, Dict, List

if TYPE_CHECKING:
    from neontest.migrate import watch
else:
    import neontest_watch as watch  # put there by worker

Facts = Dict[str, Any]


def flask_app() -> Any:
    """The application as `flask` itself finds it; FLASK_RUN_FROM_CLI keeps its `app.run()` from serving."""
    from flask.cli import ScriptInfo, load_dotenv

    os.environ["FLASK_RUN_FROM_CLI"] = "true"
    load_dotenv()
    app = ScriptInfo(app_import_path=os.environ.get("FLASK_APP")).load_app()
    if "migrate" not in app.extensions:
        raise RuntimeError("the Flask application was found, but Flask-Migrate is not initialised on it")
    return app


def config(project: Facts, urls: Dict[str, str], app: Any) -> Any:
    """Alembic's Config as its command line makes it, with the branch's URL in the section in use.

    `urls` are its forms by driver, "" the usual one; the ini's own URL may name a driver.
    """
    from alembic.config import Config

    ini, toml, section = project["ini"], project["toml"], project["section"]
    if app is not None:
        with app.app_context():
            config = app.extensions["migrate"].migrate.get_config(project["scripts"], x_arg=project["x"])
    elif "toml_file" in inspect.signature(Config.__init__).parameters:
        config = Config(file_=ini, toml_file=toml, ini_section=section)
    else:
        config = Config(file_=ini, ini_section=section)
    options = {"config": ini and [ini], "name": section, "x": project["x"] or None, "raiseerr": True}
    config.cmd_opts = config.cmd_opts or argparse.Namespace()
    for name, value in dict(options, quiet=False, sql=False, tag=None, verbose=False).items():
        if getattr(config.cmd_opts, name, None) is None:
            setattr(config.cmd_opts, name, value)
    section, parser = config.config_ini_section, config.file_config
    own = parser.get(section, "sqlalchemy.url", raw=True, fallback="") if parser.has_section(section) else ""
    url = urls.get(own.partition("://")[0].partition("+")[2], urls[""]).replace("%", "%%")
    config.set_section_option(section, "sqlalchemy.url", url)
    if parser.has_option(section, "url"):
        config.set_section_option(section, "url", url)
    return config


def revisions(scripts: List[Any], names: Dict[str, str]) -> List[Facts]:
    """What the scripts, heads first, say of themselves, parents first; `names` are those of their files."""
    found = []
    for each in scripts:
        found.append(
            {
                "id": each.revision,
                "down": list(each._versioned_down_revisions),
                "depends_on": list(getattr(each, "_resolved_dependencies", ())),
                "labels": sorted(each._orig_branch_labels),
                "message": watch.text((each.doc or "").split("\n")[0]),
                "file": names[each.path],
                "upgrade_line": line_of(each.module, "upgrade"),
                "downgrade_line": line_of(each.module, "downgrade"),
            }
        )
    return found[::-1]


def line_of(module: Any, name: str) -> int:
    code = getattr(getattr(module, name, None), "__code__", None)
    return code.co_firstlineno if code is not None else 0
