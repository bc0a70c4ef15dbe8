"""The variables that say what a project's code does, and not in which terminal it was started."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from neontest.process import MARK
from neontest.settings import FileSettings

PASSING: Final = frozenset(
    """
    _ PWD OLDPWD SHLVL COLUMNS LINES TTY PS1 MAIL TERM COLORTERM TERM_PROGRAM TERM_PROGRAM_VERSION TERM_SESSION_ID
    LC_TERMINAL LC_TERMINAL_VERSION ITERM_SESSION_ID ITERM_PROFILE KITTY_WINDOW_ID KITTY_PID KITTY_PUBLIC_KEY
    ALACRITTY_LOG ALACRITTY_SOCKET ALACRITTY_WINDOW_ID WEZTERM_PANE WEZTERM_UNIX_SOCKET GNOME_TERMINAL_SCREEN
    GNOME_TERMINAL_SERVICE KONSOLE_DBUS_SESSION KONSOLE_DBUS_WINDOW KONSOLE_DBUS_SERVICE VTE_VERSION WT_SESSION
    WT_PROFILE_ID WSL_INTEROP TMUX TMUX_PANE STY WINDOW ZELLIJ ZELLIJ_SESSION_NAME ZELLIJ_PANE_ID NVIM
    STARSHIP_SESSION_KEY ATUIN_SESSION P9K_TTY DIRENV_DIFF DIRENV_WATCHES FNM_MULTISHELL_PATH VIRTUAL_ENV_PROMPT
    DISPLAY WAYLAND_DISPLAY WINDOWID WINDOWPATH XAUTHORITY SESSION_MANAGER DESKTOP_STARTUP_ID INVOCATION_ID
    JOURNAL_STREAM SSH_AUTH_SOCK SSH_AGENT_PID SSH_CLIENT SSH_CONNECTION SSH_TTY GPG_AGENT_INFO GPG_TTY
    DBUS_SESSION_BUS_ADDRESS XDG_SESSION_ID XDG_SESSION_PATH XDG_SESSION_TYPE XDG_SESSION_CLASS XDG_VTNR XDG_SEAT
    XPC_SERVICE_NAME XPC_FLAGS SECURITYSESSIONID __CFBundleIdentifier Apple_PubSub_Socket_Render COMMAND_MODE
    TERMINAL_EMULATOR PYCHARM_HOSTED VSCODE_GIT_IPC_HANDLE VSCODE_IPC_HOOK_CLI VSCODE_INJECTION
    MAKELEVEL MAKEFLAGS MFLAGS UV_RUN_RECURSION_DEPTH
    PYTEST_CURRENT_TEST PYTEST_XDIST_WORKER PYTEST_XDIST_WORKER_COUNT PYTEST_XDIST_TESTRUNUID
    PATH
    """.split()  # noqa: SIM905 (a list of a hundred lines)
)
"""Those of terminals, logins, editors and test runners, which another one has otherwise. Where programs are says
nothing either, as long as none is run."""


def lasting(environ: Mapping[str, str]) -> list[tuple[str, str]]:
    """Those that stay the same from one terminal to the next, without neontest's own, in order."""
    passing = {MARK, *PASSING, *(f"NEONTEST_{each.upper()}" for each in FileSettings.__struct_fields__)}
    return sorted((name, each) for name, each in environ.items() if name not in passing)
