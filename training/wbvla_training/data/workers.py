"""Converts several bags at once, each in a process of its own that Ctrl-C at the terminal does not reach."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from wbvla_training.data.convert_bag import BagPlan, BagResult, convert_bag
from wbvla_training.data.errors import BagProblem, DataError, DiskFullError

Outcome = BagResult | BagProblem


def convert_all(
    plans: Sequence[BagPlan], folder: Path, jobs: int, report: Callable[[BagPlan, float], None]
) -> Iterator[tuple[BagPlan, Outcome]]:
    """Each plan with what became of it, as they finish; ``report`` is told the seconds of a bag done so far.

    Raises:
        DiskFullError: no room left; the other workers are stopped.
    """
    if jobs == 1:
        for plan in plans:
            try:
                yield plan, convert_bag(plan, folder, lambda seconds, plan=plan: report(plan, seconds))
            except BagProblem as problem:
                yield plan, problem
        return
    waiting, running = list(plans), selectors.DefaultSelector()
    try:
        while waiting or running.get_map():
            while waiting and len(running.get_map()) < jobs:
                worker = _Worker(waiting.pop(0), folder)
                running.register(worker.process.stdout, selectors.EVENT_READ, worker)
            for key, _ in running.select():
                worker = key.data
                outcome = worker.take(report)
                if outcome is not None:
                    running.unregister(key.fileobj)
                    worker.close()
                    yield worker.plan, outcome
    finally:
        for key in list(running.get_map().values()):
            key.data.close()
        running.close()


class _Worker:
    """A process that converts one bag and tells about it in lines of JSON."""

    def __init__(self, plan: BagPlan, folder: Path) -> None:
        self.plan = plan
        self.process = subprocess.Popen(
            [sys.executable, "-m", "wbvla_training.data.workers"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        content = {"plan": {**asdict(plan), "path": str(plan.path)}, "folder": str(folder), "parent": os.getpid()}
        self.process.stdin.write(json.dumps(content))
        self.process.stdin.close()

    def take(self, report: Callable[[BagPlan, float], None]) -> Outcome | None:
        """The next line; None while the bag is not done."""
        line = self.process.stdout.readline()
        if not line:
            return BagProblem(f"bag '{self.plan.path}': the process converting it ended ({self.process.wait()})")
        told = json.loads(line)
        if "seconds_done" in told:
            report(self.plan, told["seconds_done"])
            return None
        if "disk_full" in told:
            raise DiskFullError(told["disk_full"])
        if "problem" in told:
            return BagProblem(told["problem"])
        return BagResult(tuple(told["pieces"]), tuple(told["notes"]), told["seconds"])

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait()
        self.process.stdout.close()


def _work() -> int:
    """The worker's side: a plan on standard input, its story on standard output."""
    told = json.load(sys.stdin)
    plan = BagPlan(**{**told["plan"], "path": Path(told["plan"]["path"])})

    def tell(content: dict) -> None:
        print(json.dumps(content), flush=True)

    def report(seconds: float) -> None:
        if os.getppid() != told["parent"]:
            raise InterruptedError("nobody waits for this any more")
        tell({"seconds_done": seconds})

    try:
        tell(asdict(convert_bag(plan, Path(told["folder"]), report)))
    except DiskFullError as error:
        tell({"disk_full": str(error)})
    except DataError as error:
        tell({"problem": str(error)})
    return 0


if __name__ == "__main__":
    sys.exit(_work())
