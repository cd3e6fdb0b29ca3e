"""Runs the steps as processes of their own, several at a time where they do not need each other."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path

from rich.console import Console
from rich.live import Live
from rich.text import Text

from .cache import DONE, Cache, Stamp
from .steps import Step, needs

LOGS, LOCK = "logs", "pipeline.lock"
POLL_S, TELL_S = 0.2, 60.0
PATIENCE_S = 90.0
"""How long a stopped step may take to save what it has."""
LAST_LINES = 15
_KEEP = ("OMP_NUM_THREADS",)


@dataclass(frozen=True)
class Plan:
    """``chosen`` steps are run, those in ``anew`` even when nothing changed; others only when something did."""

    steps: tuple[Step, ...]
    chosen: frozenset[str]
    anew: frozenset[str] = frozenset()


@dataclass
class _Job:
    step: Step
    stamp: Stamp
    process: subprocess.Popen
    log: Path
    begin_s: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.begin_s


class Failed(RuntimeError):
    """A step did not end well; the text says which command, its last lines, and how to go on."""


def run(plan: Plan, cache: Cache, console: Console, jobs: int = 1, program: tuple[str, ...] = ()) -> None:
    """Run what has to run. ``program`` stands before a step's arguments; default this Python and ``wbvla``.

    Raises Failed for the first step that fails, when those beside it have ended, and KeyboardInterrupt for Ctrl-C, when
    all have saved and ended. Either way the same call goes on."""
    program = program or (sys.executable, "-m", "wbvla_cli.main")
    runner = _Runner(plan, cache, console, max(1, jobs), program)
    with _only_one(cache.out) as lock, _sigterm_as_ctrl_c():
        runner.run(lock)


class _Runner:
    def __init__(
        self, plan: Plan, cache: Cache, console: Console, jobs: int, program: tuple[str, ...]
    ) -> None:
        self._plan, self._cache, self._console, self._jobs, self._program = (
            plan,
            cache,
            console,
            jobs,
            program,
        )
        self._before = needs(plan.steps)
        self._left = [step for step in plan.steps if step.name in plan.chosen]
        self._total, self._ended = len(self._left), 0
        self._running: list[_Job] = []
        self._failed: list[str] = []
        self._told_s = time.monotonic()

    def run(self, lock: int) -> None:
        live = (
            Live(console=self._console, transient=True, refresh_per_second=2)
            if self._console.is_terminal
            else None
        )
        with live or contextlib.nullcontext():
            try:
                while self._running or (self._left and not self._failed):
                    self._start(lock)
                    if self._running:
                        time.sleep(POLL_S)
                    self._collect()
                    self._tell(live)
            except KeyboardInterrupt:
                self._stop()
                raise
        if self._failed:
            raise Failed("\n".join(self._failed))

    def _start(self, lock: int) -> None:
        """Begin what is due; a step that is fresh ends at once and may make others due."""
        moved = True
        while moved and not self._failed:
            moved = False
            busy = {step.name for step in self._left} | {job.step.name for job in self._running}
            for step in self._left:
                if len(self._running) >= self._jobs:
                    return
                if not busy & set(self._before[step.name]):
                    self._left.remove(step)
                    self._begin(step, lock)
                    moved = True
                    break

    def _begin(self, step: Step, lock: int) -> None:
        missing = [path for path in step.inputs if not path.exists()]
        if missing:
            self._failed.append(
                f"{step.name}: {missing[0]} is missing; run the step that makes it first (--list)"
            )
            return
        look = self._cache.look(step)
        anew = step.name in self._plan.anew
        if look.fresh and not anew:
            self._ended += 1
            assert look.stamp is not None
            self._say(step, f"as before ({duration(look.stamp.seconds)})")
            return
        stamp = self._cache.begin(step, look, anew)
        log = self._cache.out / LOGS / f"{step.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        for path in step.outputs:
            path.parent.mkdir(parents=True, exist_ok=True)
        command = step.command()
        with log.open("a" if stamp.attempts > 1 else "w", encoding="utf-8") as file:
            file.write(f"$ wbvla {' '.join(command)}\n")
            file.flush()
            process = subprocess.Popen(
                [*self._program, *command],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Ctrl-C at the terminal is passed on once, by _stop.
                start_new_session=True,
                # A step that outlives a killed pipeline keeps the folder locked until it ends.
                pass_fds=(lock,),
                env={"PYTHONUNBUFFERED": "1", **dict.fromkeys(_KEEP, "1"), **os.environ},
            )
        self._running.append(_Job(step, stamp, process, log, time.monotonic()))
        why = "anew" if anew and look.fresh else look.why
        if stamp.attempts > 1:
            why += f", goes on (attempt {stamp.attempts})"
        self._say(step, f"begins: {why}", number=self._ended + len(self._running))

    def _collect(self) -> None:
        for job in [job for job in self._running if job.process.poll() is not None]:
            self._running.remove(job)
            code, seconds = job.process.returncode, job.stamp.seconds + job.seconds
            missing = [path for path in job.step.outputs if not path.exists()]
            if code == 0 and not missing:
                self._ended += 1
                now = datetime.now(timezone.utc).isoformat(timespec="seconds")
                self._cache.write(job.step, replace(job.stamp, state=DONE, seconds=seconds, finished=now))
                self._say(job.step, f"done in {duration(seconds)}")
                continue
            self._cache.write(job.step, replace(job.stamp, seconds=seconds))
            why = f"ended with exit code {code}" if code else f"did not make {missing[0]}"
            self._failed.append(self._report(job, why))

    def _report(self, job: _Job, why: str) -> str:
        lines = job.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        return (
            f"step {job.step.name} {why} after {duration(job.seconds)}\n"
            f"  command: wbvla {' '.join(job.step.command())}\n"
            f"  last lines of {job.log}:\n"
            + "".join(f"    {line}\n" for line in lines)
            + "  to go on: mend the cause and "
            f"give the same pipeline command again; what is done is not done again, and {job.step.name} goes on where it "
            f"can. --only {job.step.name} runs it alone, --from {job.step.name} begins it anew."
        )

    def _stop(self) -> None:
        """Ctrl-C for every step that runs; after a while, or at the second Ctrl-C, the end."""
        if self._running:
            names = ", ".join(job.step.name for job in self._running)
            self._console.print(f"stopping {names}; what they have is saved (Ctrl-C again ends them at once)")
        for job in self._running:
            _signal(job.process, signal.SIGINT)
        deadline_s = time.monotonic() + PATIENCE_S
        try:
            while any(job.process.poll() is None for job in self._running) and time.monotonic() < deadline_s:
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            pass
        for job in self._running:
            if job.process.poll() is None:
                _signal(job.process, signal.SIGKILL)
                job.process.wait()
            self._cache.write(job.step, replace(job.stamp, seconds=job.stamp.seconds + job.seconds))

    def _tell(self, live: Live | None) -> None:
        if live is not None:
            live.update(Text("\n".join(_state(job, self._console.width) for job in self._running)))
        elif time.monotonic() - self._told_s > TELL_S:
            self._told_s = time.monotonic()
            for job in self._running:
                self._console.print(_state(job, 160), highlight=False, markup=False)

    def _say(self, step: Step, text: str, number: int | None = None) -> None:
        number = self._ended if number is None else number
        self._console.print(
            f"{number:>3}/{self._total} {step.name:<26} {text}", highlight=False, markup=False
        )


def duration(seconds: float) -> str:
    """As a person says it: 12 s, 3:05 min, 2:10 h."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d} h"


def _state(job: _Job, width: int) -> str:
    return f"    {job.step.name}  {duration(job.seconds)}  {_last_line(job.log)}"[: max(20, width - 1)]


def _last_line(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - 2000))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _signal(process: subprocess.Popen, number: int) -> None:
    """To the step and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


@contextlib.contextmanager
def _only_one(out: Path) -> Iterator[int]:
    """Keep other pipelines out of this folder; gives the lock to be inherited. Raises Failed."""
    import fcntl

    out.mkdir(parents=True, exist_ok=True)
    with (out / LOCK).open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Failed(
                f"{out}: a pipeline, or a step of one that was killed, is at work here; wait for its end"
            ) from None
        yield file.fileno()


@contextlib.contextmanager
def _sigterm_as_ctrl_c():
    """A polite kill ends the steps as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, interrupt)
    except ValueError:
        # Not in the main thread: the caller handles signals.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
