"""Bad input of every kind: each case has one sentence, the right exit code, no traceback, and leaves nothing."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
from pathlib import Path

from tests import forking
from tests.bad_input import table
from tests.bad_input.case import Refused, tried


def main(args: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos input", description=__doc__)
    parser.add_argument("only", nargs="?", default="", help="a regular expression for the names of cases or rooms")
    parser.add_argument("-v", "--verbose", action="store_true", help="show all that each case said")
    options = parser.parse_args(args)
    shm = Path("/dev/shm")
    top = Path(tempfile.mkdtemp(prefix="neontest-input-", dir=shm if shm.is_dir() else None))
    top.chmod(0o711)
    bad = done = refused = 0
    try:
        for room, cases in table.every().items():
            print(f"\n{room}")
            for case in cases:
                if not re.search(options.only, f"{room}: {case.name}"):
                    continue
                try:
                    outcome = tried(case, top / "state")
                except Refused as error:
                    refused += 1
                    print(f"  -     {case.name}: not tried: {error}")
                    continue
                done += 1
                bad += bool(outcome.wrong)
                print(
                    f"  {'WRONG' if outcome.wrong else 'ok':5} {outcome.code:>3}  {outcome.seconds:5.2f} s  {case.name}"
                )
                print(f"{'':20}{outcome.said[:300]}")
                for each in outcome.wrong:
                    print(f"{'':20}* {each}")
                if options.verbose or outcome.wrong:
                    print(
                        "\n".join(f"{'':24}| {line[:250]}" for line in (outcome.out + outcome.err).splitlines()[-40:])
                    )
                sys.stdout.flush()
    finally:
        forking.end()
        shutil.rmtree(top, ignore_errors=True)
    print(f"\n{done} cases tried, {done - bad} as they must be, {bad} wrong, {refused} not possible here")
    return 1 if bad or not done else 0
