"""Interleaves runs, crashes, lost answers, expiries and sweeps by chance: only what is ours goes, and all of it."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import hypothesis
from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from neontest.errors import NeontestError
from neontest.lease import names
from neontest.lease.cleanup import cleanup
from neontest.lease.lease import Lease, Leases
from neontest.lease.ledger import Entry, Hold, Ledger
from neontest.lease.sweep import owners, plan, sweep
from neontest.neon.client import Neon
from neontest.neon.models import CreatedBranch, Operation
from neontest.neon.paths import stamp
from neontest.stop import Deadline, Stop
from tests.chaos.ours import Actor, Asked, Clock, Model
from tests.conftest import away
from tests.neon.server import KEY, PROJECT, FakeNeon, Refusal, serving

MACHINES = 2
ELSEWHERE = 2
"""A machine on which nothing was ever run."""
FAULTS: dict[str, dict[str, Any]] = {
    "none": {},
    "create lost": {"method": "POST", "path": "/branches$", "drop": True},
    "create lost after it was done": {"method": "POST", "path": "/branches$", "drop": True, "committed": True},
    "create answered with 524": {
        "method": "POST", "path": "/branches$", "status": 524, "body": b"<html>", "committed": True,
    },
    "create refused": {"method": "POST", "path": "/branches$", "status": 403, "message": "not allowed", "times": 9},
    "busy": {"method": "DELETE", "path": "", "status": 423, "message": "conflicting operations", "times": 3},
    "delete lost": {"method": "DELETE", "path": "", "drop": True},
    "delete lost after it was done": {"method": "DELETE", "path": "", "drop": True, "committed": True},
    "delete refused": {"method": "DELETE", "path": "", "status": 403, "message": "not allowed", "times": 99},
    "reads fail": {"method": "GET", "path": "/branches", "status": 500, "times": 99},
    "one read fails": {"method": "GET", "path": "/branches", "status": 503, "times": 1},
    "an operation's answer is lost": {"method": "GET", "path": "/operations/", "drop": True},
}  # fmt: skip
FOR_CREATE = [name for name, how in FAULTS.items() if how.get("method") != "DELETE"] + ["none"] * 4
FOR_DELETE = [name for name, how in FAULTS.items() if how.get("method") != "POST"] + ["none"] * 4
DEATHS = ("before the create", "with the create on its way", "after the create", "while its operations run")
FOREIGN: dict[str, dict[str, Any]] = {
    "another tool's": {"annotation": {"owner": "me"}},
    "without an annotation": {},
    "of another version": {"annotation": {"neontest": "2", "until": "2026-11-22T12:00:00Z"}},
    "of a run elsewhere": {"annotation": {"neontest": "1", "lease": "f" * 16, "run": "9-9"}, "hours": 1},
    "kept elsewhere": {"annotation": {"neontest": "1", "lease": "e" * 16, "keep": "1"}, "hours": 1, "expires": 24},
    "ours and protected": {"annotation": {"neontest": "1", "lease": "d" * 16}, "hours": 0, "protected": True},
    "ours and without an end": {"annotation": {"neontest": "1", "lease": "c" * 16}},
}
chance = strategies.integers(0, 1000)


class Died(BaseException):
    """The process is gone at this point of its own code; nothing catches that."""


class Mortal(Neon):
    """A client whose process can die around a create."""

    death = "never"
    late: Callable[[dict[str, Any]], None]
    """Has a create arrive when who sent it is gone."""

    def create_branch(self, *args: Any, **more: Any) -> CreatedBranch:
        if self.death == "before the create":
            raise Died
        if self.death == "with the create on its way":
            more["deadline"].check()  # as before each that is really sent
            self.late(more)
            raise Died
        made = super().create_branch(*args, **more)
        if self.death == "after the create":
            raise Died
        return made

    def wait_for(self, project_id: str, operations: Any, *args: Any, **more: Any) -> tuple[Operation, ...]:
        if self.death == "while its operations run":
            raise Died
        return super().wait_for(project_id, operations, *args, **more)


class Watched(FakeNeon):
    """An API that tells the model what it carries out."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def _create(self, query: dict[str, list[str]], body: Any) -> tuple[int, Any]:
        status, answer = super()._create(query, body)
        branch = answer["branch"]
        self.model.creation(branch["id"], body["annotation_value"], datetime.fromisoformat(branch["expires_at"]))
        return status, answer

    def _delete(self, query: dict[str, list[str]], body: Any, branch_id: str) -> tuple[int, Any]:
        branch, annotation = self.branches.get(branch_id), self.annotations.get(branch_id, {})
        answer = super()._delete(query, body, branch_id)
        if branch is not None:
            self.model.deletion(branch, annotation)
        return answer


class NotedLedger(Ledger):
    """A ledger that remembers the locks of one run, to let go of them all when that dies."""

    def __init__(self, ledger: Ledger, noted: Callable[[Entry], None]) -> None:
        super().__init__(ledger.folder)
        self.holds: list[Hold] = []
        self._noted = noted

    def write(self, entry: Entry) -> Hold:
        hold = super().write(entry)
        self.holds.append(hold)
        self._noted(entry)
        return hold


@dataclass
class Run:
    """A run that is alive."""

    number: int
    machine: int
    leases: Leases
    ledger: NotedLedger
    neon: Mortal
    taken: list[Lease]
    keeps: bool
    until: datetime


class World(RuleBasedStateMachine):
    """Two machines with a ledger each, runs on them, other people, and the API that all of them use."""

    @initialize()
    def begin(self) -> None:
        self.clock = Clock()
        self.model = Model(self.clock)
        self.ends = ExitStack()
        self.folder = away("leases")
        self.ends.callback(shutil.rmtree, self.folder, ignore_errors=True)
        self.server: Any = self.ends.enter_context(serving(Watched(self.model)))
        self.server.limit = 1000
        self.ledgers = [Ledger(self.folder / f"ledger{number}") for number in range(MACHINES + 1)]
        self.neon = self.ends.enter_context(self.client(Neon))
        self.runs: list[Run] = []
        self.numbers = 0
        self.noted: list[str] = []
        self.foreign: set[str] = {self.server.main["id"]}

    def client(self, kind: type[Neon]) -> Any:
        clock = self.clock
        return kind(KEY, host=self.server.url, sleep=clock.sleep, clock=clock.monotonic, jitter=lambda: 0.5)

    def deadline(self, seconds: float = 60.0) -> Deadline:
        return Deadline(seconds, what="the test", clock=self.clock.monotonic)

    @contextmanager
    def acting(self, actor: Actor, fault: str = "none") -> Iterator[None]:
        self.model.remembered = {number: self.marks(number) for number in range(MACHINES + 1)}
        self.model.actor = actor
        if FAULTS[fault]:
            self.server.fault(**FAULTS[fault])
        try:
            yield
        finally:
            self.server.faults.clear()
            self.model.actor = Actor("nobody")

    def marks(self, machine: int) -> set[str]:
        """What that machine's ledger has, read as files."""
        found = set()
        for each in self.ledgers[machine].found():
            assert each.entry is not None, f"{each.path} cannot be read"
            found.add(each.entry.annotation["lease"])
            if each.hold is not None:
                each.hold.release()
        return found

    def pick(self, choices: list[Any], number: int) -> Any:
        return choices[number % len(choices)]

    # -- runs

    @precondition(lambda self: len(self.runs) < 3)
    @rule(
        machine=strategies.integers(0, MACHINES - 1),
        keeps=strategies.booleans(),
        same=strategies.booleans(),
        takes=strategies.booleans(),
    )
    def begin_a_run(self, machine: int, keeps: bool, same: bool, takes: bool) -> None:
        """`same`: another job of the same name, such as a matrix has. `takes`: it has its candidate at once."""
        self.numbers += 1
        number, now = self.numbers, self.clock.now()
        until = now + timedelta(hours=1)

        def noted(entry: Entry) -> None:
            mark = entry.annotation["lease"]
            announced = entry.annotation.get("keep") == "1"
            self.model.asked[mark] = Asked(mark=mark, run=number, machine=machine, keeps=announced, until=until)
            self.model.alive.add(mark)
            self.noted.append(entry.name)

        ledger, neon = NotedLedger(self.ledgers[machine], noted), self.client(Mortal)
        leases = Leases(
            neon, ledger, project_id=PROJECT, parent=neon.branch(PROJECT, self.server.main["id"]),
            owner=names.owner({}, user="a", sha="abc", token="same" if same else f"r{number}"),
            expires_at=now + timedelta(hours=24) if keeps else names.expiry(3600, now=now), until=until, keep=keeps,
            stop=Stop(), clock=self.clock.monotonic, now=self.clock.now,
        )  # fmt: skip
        neon.late = self.late
        self.runs.append(Run(number, machine, leases, ledger, neon, [], keeps, until))
        if takes:
            self.takes(self.runs[-1], "none", "never")

    def late(self, asked: dict[str, Any]) -> None:
        """The service carries a create out a second later, whoever is still there."""
        branch = {"name": asked["name"], "parent_id": asked["parent_id"], "expires_at": stamp(asked["expires_at"])}
        body = {"branch": branch, "annotation_value": dict(asked["annotation"])}

        def arrive() -> None:
            with suppress(Refusal):  # the name is taken by now
                self.server.handle("POST", f"/projects/{PROJECT}/branches", {}, body)

        self.clock.at(1.0, arrive)

    @precondition(lambda self: self.runs)
    @rule(
        which=chance,
        fault=strategies.sampled_from(FOR_CREATE),
        death=strategies.sampled_from([*DEATHS, *["never"] * 4]),
    )
    def take(self, which: int, fault: str, death: str) -> None:
        self.takes(self.pick(self.runs, which), fault, death)

    def takes(self, run: Run, fault: str, death: str) -> None:
        role = "sibling" if run.taken else "candidate"
        run.neon.death = death
        with self.acting(Actor("run", run.number), fault):
            try:
                # A run takes nothing after its own end.
                left = (run.until - self.clock.now()).total_seconds()
                run.taken.append(run.leases.take(role, deadline=self.deadline(max(0.0, min(60.0, left)))))
            except NeontestError:
                pass
            except Died:
                self.die(run)
        run.neon.death = "never"

    @precondition(lambda self: any(run.taken for run in self.runs))
    @rule(which=chance, lease=chance, fault=strategies.sampled_from(FOR_DELETE))
    def give_back(self, which: int, lease: int, fault: str) -> None:
        run = self.pick([run for run in self.runs if run.taken], which)
        given = self.pick(run.taken, lease)
        if self.model.asked[given.branch.annotation["lease"]].kept:
            return
        with self.acting(Actor("run", run.number), fault):
            done = run.leases.give_back(given)
        if not done.proved:
            self.model.alive.discard(given.branch.annotation["lease"])  # left to cleanup from now on

    @precondition(lambda self: self.runs)
    @rule(which=chance, fault=strategies.sampled_from(FOR_DELETE))
    def end_a_run(self, which: int, fault: str) -> None:
        run = self.pick(self.runs, which)
        with self.acting(Actor("run", run.number), fault):
            run.leases.give_back_all()
        self.die(run)

    @precondition(lambda self: any(run.keeps and run.taken for run in self.runs))
    @rule(which=chance)
    def keep(self, which: int) -> None:
        run = self.pick([run for run in self.runs if run.keeps and run.taken], which)
        lease = run.taken[0]
        if lease.role == "candidate":
            run.leases.keep(lease)
            self.model.asked[lease.branch.annotation["lease"]].kept = True

    @precondition(lambda self: self.runs)
    @rule(which=chance, sent=strategies.booleans())
    def crash(self, which: int, sent: bool) -> None:
        """`sent`: it had just asked for a deletion."""
        run = self.pick(self.runs, which)
        if sent and run.taken and not self.model.asked[run.taken[-1].branch.annotation["lease"]].kept:
            with self.acting(Actor("run", run.number)):
                here = run.taken[-1].branch.id
                if here in self.server.branches and self.model.refusal(
                    self.server.branches[here], self.server.annotations[here]
                ) is None:  # fmt: skip
                    with suppress(NeontestError):  # somebody made a branch of it
                        run.neon.delete_branch(PROJECT, here, self.deadline())
        self.die(run)

    def die(self, run: Run) -> None:
        for hold in run.ledger.holds:
            hold.release()
        self.model.alive -= {mark for mark, asked in self.model.asked.items() if asked.run == run.number}
        self.runs.remove(run)
        run.neon.close()

    # -- other people, and time

    @rule(kind=strategies.sampled_from([*FOREIGN]))
    def somebody_makes(self, kind: str) -> None:
        facts = dict(FOREIGN[kind])
        annotation = facts.pop("annotation", {})
        hours = facts.pop("hours", None)
        if hours is not None:
            until = self.clock.now() + timedelta(hours=hours)
            expires = self.clock.now() + timedelta(hours=facts.pop("expires", hours))
            annotation = {**annotation, "until": f"{until:%Y-%m-%dT%H:%M:%SZ}"}
            facts["expires_at"] = f"{expires:%Y-%m-%dT%H:%M:%SZ}"
        self.numbers += 1
        made = self.server.branch(f"neontest/a/abc/r{self.numbers}", annotation=annotation, **facts)
        self.foreign.add(made["id"])

    @precondition(lambda self: self.model.made)
    @rule(
        which=chance,
        how=strategies.sampled_from(["protects", "unprotects", "makes a branch of", "deletes", "marks", "marks"]),
    )
    def somebody(self, which: int, how: str) -> None:
        there = [each for id, each in self.server.branches.items() if id in self.model.made and id not in self.foreign]
        if not there:
            return
        branch = self.pick(there, which)
        if how == "makes a branch of":
            self.foreign.add(
                self.server.branch(f"of-{branch['id']}-{len(self.server.branches)}", parent_id=branch["id"])["id"]
            )
        elif how == "marks":
            self.server.annotations[branch["id"]] = {"neontest": "1", "run": "another", "keep": "1"}
            self.foreign.add(branch["id"])
        elif how == "deletes":
            if not self.children(branch["id"]):
                del self.server.branches[branch["id"]]
        else:
            branch["protected"] = how == "protects"

    @precondition(lambda self: self.model.asked)
    @rule(which=chance)
    def somebody_takes_the_name(self, which: int) -> None:
        """What a run here has asked for is not there, and another run elsewhere has a branch of that name."""
        there = {each["name"] for each in self.server.branches.values()}
        free = [name for name in self.noted if name not in there]
        if free:
            self.foreign.add(
                self.server.branch(self.pick(free, which), annotation={"neontest": "1", "keep": "1"})["id"]
            )

    @precondition(lambda self: self.model.made)
    @rule(which=chance)
    def somebody_takes_its_place(self, which: int) -> None:
        """A branch of ours is gone, and another one has its name and nearly its annotation."""
        mine = [each for id, each in self.server.branches.items() if id in self.model.made and id not in self.foreign]
        there = [each for each in mine if not self.children(each["id"])]
        if there:
            branch = self.pick(there, which)
            theirs = {**self.server.annotations[branch["id"]], "pr": "another"}
            theirs.pop("lease")
            del self.server.branches[branch["id"]]
            self.foreign.add(
                self.server.branch(branch["name"], annotation=theirs, expires_at=branch["expires_at"])["id"]
            )

    @rule(seconds=strategies.sampled_from([1, 300, 700, 3700, 3700, 4300, 90_000, 180_000]))
    def time_passes(self, seconds: int) -> None:
        self.clock.sleep(seconds)

    @rule()
    def the_service_removes_what_has_expired(self) -> None:
        for id, branch in list(self.server.branches.items()):
            expires = branch.get("expires_at")
            over = expires and datetime.fromisoformat(expires) <= self.clock.now()
            if over and not branch["protected"] and not self.children(id):
                del self.server.branches[id]

    def children(self, branch_id: str) -> list[str]:
        return [each["id"] for each in self.server.branches.values() if each.get("parent_id") == branch_id]

    # -- the commands

    @rule(machine=strategies.integers(0, MACHINES), fault=strategies.sampled_from(FOR_DELETE))
    def cleanup(self, machine: int, fault: str) -> None:
        self.clean(machine, fault)

    def clean(self, machine: int, fault: str) -> None:
        with self.acting(Actor("cleanup", machine=machine), fault):
            dead = self.model.remembered[machine] - self.model.alive
            list(
                cleanup(
                    self.ledgers[machine], self.neon, now=self.clock.now, sweep_local=lambda folder: None,
                    clock=self.clock.monotonic,
                )
            )  # fmt: skip
        if fault == "none":
            there = {self.server.annotations[id].get("lease"): id for id in self.server.branches}
            for mark in dead & (set(there) - {None}):
                branch = self.server.branches[there[mark]]
                held = branch["protected"] or self.children(branch["id"]) or there[mark] in self.foreign
                assert held, f"cleanup left {branch['name']}, whose owner is gone"

    @rule(
        machine=strategies.integers(0, ELSEWHERE),
        dry=strategies.sampled_from([False, False, False, True]),
        fault=strategies.sampled_from(FOR_DELETE),
    )
    def sweep(self, machine: int, dry: bool, fault: str) -> None:
        self.swept(machine, dry=dry, fault=fault)

    def swept(self, machine: int, *, dry: bool = False, fault: str = "none") -> None:
        with self.acting(Actor("nobody" if dry else "sweep", machine=machine), fault):
            try:
                planned = plan(self.neon, PROJECT, now=self.clock.now(), known=owners(self.ledgers[machine]))
                if not dry:
                    list(sweep(self.neon, PROJECT, planned, clock=self.clock.monotonic))
            except NeontestError:
                assert fault != "none"

    # -- what holds at every moment

    @invariant()
    def nothing_was_done_that_may_not_be(self) -> None:
        assert not self.model.faults, "\n".join(self.model.faults)

    @invariant()
    def what_is_there_is_remembered(self) -> None:
        """Deleted, the deletion proved, and only then forgotten; but for what is kept, or has expired long ago."""
        remembered = set().union(*(self.marks(number) for number in range(MACHINES)))
        for id, annotation in self.model.made.items():
            if id not in self.server.branches or id in self.foreign:
                continue
            asked = self.model.asked[annotation["lease"]]
            expires = datetime.fromisoformat(self.server.branches[id]["expires_at"])
            if not asked.kept and self.clock.now() < expires + timedelta(days=1):
                assert asked.mark in remembered, f"{self.server.branches[id]['name']} is there, and forgotten"

    def teardown(self) -> None:
        """Everybody dies; once all deadlines have passed and all is swept, nothing of ours is left."""
        if not hasattr(self, "ends"):
            return
        with self.ends:
            for run in list(self.runs):
                self.die(run)
            for branch in self.server.branches.values():
                branch["protected"] = branch["protected"] and branch["id"] in self.foreign
            self.clock.sleep(2 * 86_400)
            for machine in range(MACHINES):
                self.clean(machine, "none")
            self.swept(ELSEWHERE)
            self.nothing_was_done_that_may_not_be()
            left = [
                each for id, each in self.server.branches.items()
                if self.server.annotations[id].get("neontest") == "1" and id not in self.foreign and not self.over(id)
            ]  # fmt: skip
            assert not left, f"left for ever: {[each['name'] for each in left]}"
            assert not any(self.marks(machine) for machine in range(MACHINES)), "the ledgers are not empty"
            assert self.server.main["id"] in self.server.branches

    def over(self, branch_id: str) -> bool:
        """Somebody's branch was made from it, or from one made from it: it cannot go."""
        return any(child in self.foreign or self.over(child) for child in self.children(branch_id))


def explored(examples: int, *, steps: int = 25, derandomize: bool = True, shrink: bool = False) -> None:
    """Try that many interleavings; AssertionError with the shortest that was found where one breaks a promise."""
    with ExitStack() as stack:
        home = away("hypothesis")
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        hypothesis.configuration.set_hypothesis_home_dir(home)
        settings = hypothesis.settings(
            max_examples=examples, stateful_step_count=steps, derandomize=derandomize, database=None, deadline=None,
            phases=[hypothesis.Phase.generate, *([hypothesis.Phase.shrink] if shrink else [])],
            suppress_health_check=list(hypothesis.HealthCheck), print_blob=False,
        )  # fmt: skip
        hypothesis.stateful.run_state_machine_as_test(World, settings=settings)


def main(args: list[str]) -> int:
    """Explore at large; 1 where a promise was broken, with the shortest way there."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos leases", description=__doc__)
    parser.add_argument("--examples", type=int, default=1000, help="how many interleavings")
    parser.add_argument("--steps", type=int, default=50, help="of how many steps each, at most")
    parser.add_argument("--derandomize", action="store_true", help="the same ones each time")
    given = parser.parse_args(args)
    began = time.monotonic()
    try:
        explored(given.examples, steps=given.steps, derandomize=given.derandomize)
    except AssertionError as error:
        print(f"{error}\n" + "\n".join(getattr(error, "__notes__", ())), file=sys.stderr)
        print(f"a promise was broken, after {time.monotonic() - began:.0f} s")
        return 1
    print(
        f"{given.examples} interleavings of up to {given.steps} steps: nothing that is not ours was deleted, nothing of"
        f" ours was left, in {time.monotonic() - began:.0f} s"
    )
    return 0
