"""The variables that say what a project's code does, and not in which terminal it was started."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from neontest.process import MARK
from neontest.settings import FileSettings

PASSING: Final = re.compile(
    # Terminals, their multiplexers and shells, editors
    r"_|SHLVL|COLUMNS|LINES|TTY|PS1|TERM|COLORTERM|COLORFGBG|LS_COLORS|STY|NVIM|VIM|VIMRUNTIME|MYVIMRC|INSIDE_EMACS"
    r"|TERM_(?:PROGRAM|PROGRAM_VERSION|SESSION_ID|FEATURES)|TERMINAL_EMULATOR|SHELL_SESSION_ID|VTE_VERSION|WT_SESSION"
    r"|WT_PROFILE_ID|WSL_INTEROP|PTYXIS_PROFILE|(?:LC_TERMINAL|ITERM|KITTY|ALACRITTY|WEZTERM|GHOSTTY|GNOME_TERMINAL"
    r"|KONSOLE|XTERM|TMUX|ZELLIJ|TERMINATOR|TILIX|WARP|STARSHIP|ATUIN|_?P9K|DIRENV|FNM|__MISE|VSCODE)(?:_.*)?"
    r"|PYCHARM_HOSTED|GIT_ASKPASS|GIT_EDITOR|CONDA_SHLVL"
    # logins
    r"|DISPLAY|WAYLAND_DISPLAY|WINDOWID|WINDOWPATH|XAUTHORITY|SESSION_MANAGER|DESKTOP_STARTUP_ID|XDG_ACTIVATION_TOKEN"
    r"|XDG_SESSION_(?:ID|PATH|TYPE|CLASS)|XDG_VTNR|XDG_SEAT|DBUS_SESSION_BUS_ADDRESS|SSH_(?:AUTH_SOCK|AGENT_PID|CLIENT"
    r"|CONNECTION|TTY)|GPG_AGENT_INFO|GPG_TTY|INVOCATION_ID|JOURNAL_STREAM|SYSTEMD_EXEC_PID|MANAGERPID"
    r"|MEMORY_PRESSURE_.*|XPC_.*|SECURITYSESSIONID|__CFBundleIdentifier|Apple_PubSub_Socket_Render|COMMAND_MODE"
    # and who starts neontest; and where from, as that is told by itself, and where programs are, as long as none is run
    r"|MAKELEVEL|MAKEFLAGS|MAKEOVERRIDES|MAKE_TERMOUT|MAKE_TERMERR|MFLAGS|PRE_COMMIT|UV_RUN_RECURSION_DEPTH|VIRTUAL_ENV_PROMPT|PYTEST_CURRENT_TEST|PYTEST_XDIST_.*"
    r"|PWD|OLDPWD|PATH"
)
"""Those that another terminal has otherwise."""


def lasting(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Those that stay the same from one terminal to the next, without neontest's own, in order."""
    own = {MARK, *(f"NEONTEST_{each.upper()}" for each in FileSettings.__struct_fields__)}
    return sorted((name, each) for name, each in environ.items() if name not in own and not PASSING.fullmatch(name))
