from __future__ import annotations

import _signal  # and not `signal`, which has to be read itself


def main() -> None:
    """The command line. An interrupt that comes while it is still read ends it without a word."""
    before = _signal.getsignal(_signal.SIGINT)
    if before is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    from neontest.cli import main as command

    _signal.signal(_signal.SIGINT, before)
    command.main()


if __name__ == "__main__":
    main()
