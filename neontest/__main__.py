from __future__ import annotations

import signal


def main() -> None:
    """The command line. An interrupt that comes while it is still read ends it without a word."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from neontest.cli import main as command

    signal.signal(signal.SIGINT, before)
    command.main()


if __name__ == "__main__":
    main()
