"""Every error that neontest raises on purpose, as one tree.

NeontestError                       exit code
├── UsageError                      2   an argument, a setting or the project's files are wrong
│   └── ConfigError                 2   an unknown key or a bad value in `[tool.neontest]`
├── CouldNotTest                    3   nothing is known about the migrations
│   ├── Defect                      3   an exception that neontest did not foresee
│   ├── DatabaseError               3   a database that neontest itself uses did not answer as it should
│   ├── DeadlineExceeded            3   the run, a visit or a wait took too long
│   ├── UnknownRevision             3   the parent is at a revision that no file here has
│   ├── WorkerError                 3   the project could not be loaded in its own interpreter
│   ├── WrongDatabase               3   the project connected to something that is not the branch
│   ├── GitHubError                 3   GitHub did not take or give something; a run only says so, `publish` fails
│   │   ├── GitHubDenied            4xx: the token, or what was asked for
│   │   └── GitHubLost              5xx or no answer: it may have been carried out
│   ├── LocalError                  3   the local engine
│   │   └── NoPostgres              3   no Postgres binaries to use
│   └── NeonError                   3   the Neon API; see `neontest.neon.client`
│       ├── Unauthorized            401
│       ├── Forbidden               403
│       ├── NotFound                404
│       ├── AlreadyExists           409
│       ├── PasswordNotStored       412
│       ├── LimitExceeded           422, a limit of the plan
│       │   └── NoFreeBranch        the project has as many branches, or computes, as it may have
│       ├── HasChildren             422, a branch that others were made from
│       ├── Refused                 any other 4xx
│       ├── Locked                  423, and 422 "not ready yet", past all retries
│       ├── RateLimited             429, past all retries
│       ├── Unavailable             5xx, past all retries
│       ├── Unreachable             no answer at all
│       ├── UnexpectedAnswer        an answer that is not what the contract says
│       └── OperationFailed         an operation ended as failed, error or cancelled
├── BranchLeftBehind                4   a branch could not be given back
└── Stopped                         129, 130, 143   SIGHUP, SIGINT, SIGTERM

The message says what happened to what; `hint` says what to do now. Neither ever holds a secret.
"""

from __future__ import annotations

import signal


def one_line(text: str) -> str:
    """What others wrote, fit for a terminal and a log: one line, printable, and no command to GitHub's runner.

    Source: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands (2026-11).
    """
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return (": " + line[1:] if line.startswith("::") else line).replace("##[", "## [")


class NeontestError(Exception):
    """Something that neontest foresaw: one sentence, and what to do now.

    The message may quote what others wrote, so it is made fit to print.
    """

    exit_code: int = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(one_line(message))
        self.message = one_line(message)
        self.hint = hint


class UsageError(NeontestError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class CouldNotTest(NeontestError):
    exit_code = 3


class Defect(CouldNotTest):
    """Nobody foresaw it."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="please report it, with the traceback; your migrations may be fine")


class DatabaseError(CouldNotTest):
    pass


class ComputesBusy(DatabaseError):
    """As many computes of the project run as may run at once."""


class DeadlineExceeded(CouldNotTest):
    pass


class UnknownRevision(CouldNotTest):
    pass


class WorkerError(CouldNotTest):
    pass


class WrongDatabase(CouldNotTest):
    pass


class GitHubError(CouldNotTest):
    def __init__(self, message: str, *, hint: str | None = None, status: int | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class GitHubDenied(GitHubError):
    pass


class GitHubLost(GitHubError):
    pass


class LocalError(CouldNotTest):
    pass


class NoPostgres(LocalError):
    pass


class NeonError(CouldNotTest):
    """The Neon API said no, or said nothing. `request_id` is what Neon's support asks for; the message has it too."""

    def __init__(
        self, message: str, *, hint: str | None = None, status: int | None = None, request_id: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.status = status
        self.request_id = request_id


class Unauthorized(NeonError):
    pass


class Forbidden(NeonError):
    pass


class NotFound(NeonError):
    pass


class AlreadyExists(NeonError):
    pass


class PasswordNotStored(NeonError):
    pass


class LimitExceeded(NeonError):
    pass


class NoFreeBranch(LimitExceeded):
    """It may be had later: others give theirs back."""


class HasChildren(NeonError):
    pass


class Refused(NeonError):
    pass


class Locked(NeonError):
    pass


class RateLimited(NeonError):
    pass


class Unavailable(NeonError):
    pass


class Unreachable(NeonError):
    pass


class UnexpectedAnswer(NeonError):
    pass


class OperationFailed(NeonError):
    pass


class BranchLeftBehind(NeontestError):
    exit_code = 4


class Stopped(NeontestError):
    """A signal asked neontest to stop; `exit_code` is 128 + its number, as shells count."""

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum
        self.exit_code = 128 + signum
