from __future__ import annotations

import _signal  # and not `signal`, which has to be read itself
import gc

OFTEN = (20_000, 20, 50)
"""When garbage is looked for: hardly any of what a short run imports and reads is some, and by Python's own numbers the
search takes 2 to 5 % of the time."""


def main() -> None:
    """The command line. An interrupt that comes while it is still read ends it without a word."""
    before = _signal.getsignal(_signal.SIGINT)
    if before is _signal.default_int_handler:
        _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    gc.set_threshold(*OFTEN)
    from neontest.cli import main as command

    _signal.signal(_signal.SIGINT, before)
    command.main()


if __name__ == "__main__":
    main()
