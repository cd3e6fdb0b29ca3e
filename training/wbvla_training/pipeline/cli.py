"""``wbvla pipeline``: the whole chain from video to the table of results, one command; what is done is not done again."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console

from .cache import Cache
from .chain import Wanted, chain
from .run import Failed, Plan, duration, run
from .scale import ROWS, groups_of, scale_of
from .steps import ChainError, Step, dependants, find, needs


@dataclass
class Pipeline:
    """Make video, train latent actions and the VLA, collect demonstrations, fine-tune, and evaluate in closed loop.

      wbvla pipeline --list                        the steps, their lines, how long each takes
      wbvla pipeline                               all of them; given again, it goes on where it was
      wbvla pipeline --scale smoke --out runs/smoke   the same chain with tiny counts, in minutes
      wbvla pipeline --config paper                the plan for eight GPUs; starts nothing
    A step is left out when its arguments, the content of its inputs and its source are what they were. Everything lies
    in OUT; OUT/summary.html shows losses, probes, pictures and the table of results. Ctrl-C saves what there is."""

    config: Literal["tiny", "paper"] = "tiny"
    """tiny runs on two cores; paper prints its plan with memory, time and torchrun lines."""
    out: Path = Path("runs/pipeline")
    """Folder of everything that is made."""
    scale: Literal["tiny", "smoke"] = "tiny"
    """How much of everything; smoke only shows that the chain holds."""
    tasks: tuple[str, ...] = ("reach_table", "box_loading", "cart_pushing")
    """What to learn; one model learns them all."""
    rows: tuple[str, ...] = ()
    """More rows of the table: no_lam, blind, swapped, few; or all."""
    shared: bool = False
    """Also train a latent action model of both kinds of video, for comparison."""
    only: str = ""
    """Just this step, if it has to run."""
    begin: Annotated[str, tyro.conf.arg(name="from")] = ""
    """This step and all that needs it, anew."""
    list: bool = False
    """Show the steps with their lines and time estimates."""
    dry_run: bool = False
    """Say what would run, and why."""
    any_code: bool = False
    """Do not run a step again because its source has changed."""
    jobs: int = 0
    """Steps at a time; 0: one for each core, at most 2."""
    gpus: int = 8
    """For --config paper: how many."""
    gpu_gb: float = 80.0
    """For --config paper: memory of each."""


def main(argv: list[str] | None = None) -> int:
    """Run it; returns the exit code: 0 done, 1 a step failed, 2 a wrong call, 130 stopped."""
    console = Console(soft_wrap=True)
    call = tyro.cli(Pipeline, prog="wbvla pipeline", args=argv)
    try:
        if call.config == "paper":
            return _paper(call, console)
        if call.only and call.begin:
            raise ChainError("--only and --from exclude each other")
        steps = chain(_wanted(call))
        if call.list:
            return _list(steps, call, console)
        plan, cache = _plan(steps, call), Cache(call.out, call.any_code)
        return _dry_run(plan, cache, console) if call.dry_run else _run(plan, cache, call, console)
    except ChainError as error:
        print(f"wbvla pipeline: {error}", file=sys.stderr)
        return 2


def _wanted(call: Pipeline) -> Wanted:
    groups_of(call.tasks)
    rows = ROWS if "all" in call.rows else call.rows
    return Wanted(call.out, scale_of(call.scale), call.tasks, rows, call.shared)


def _plan(steps: tuple[Step, ...], call: Pipeline) -> Plan:
    everything = frozenset(step.name for step in steps)
    if call.only:
        return Plan(steps, frozenset({find(steps, call.only).name}))
    if call.begin:
        return Plan(steps, everything, frozenset(dependants(steps, call.begin)))
    return Plan(steps, everything)


def _paper(call: Pipeline, console: Console) -> int:
    from .plan import Cluster, plan_text

    if call.gpus < 1:
        raise ChainError(f"--gpus {call.gpus}: expected 1 or more")
    console.print(plan_text(Cluster(call.gpus, call.gpu_gb)), highlight=False, markup=False)
    return 0


def _list(steps: tuple[Step, ...], call: Pipeline, console: Console) -> int:
    for step in steps:
        console.print(
            f"[bold]{step.name}[/]  {step.what}; about {duration(step.minutes * 60)}", highlight=False
        )
        console.print(f"    wbvla {' '.join(step.argv)}", highlight=False, markup=False)
    jobs = _jobs(call)
    total = duration(60 * sum(step.minutes for step in steps))
    console.print(
        f"{len(steps)} steps, about {total} of one core, {duration(60 * makespan(steps, jobs))} with {jobs} at a time; the "
        f"longest about {duration(60 * max(step.minutes for step in steps))}. Estimates of the tiny configuration's counts.",
        highlight=False,
    )
    return 0


def _dry_run(plan: Plan, cache: Cache, console: Console) -> int:
    before, running = needs(plan.steps), set[str]()
    for step in plan.steps:
        if step.name not in plan.chosen:
            continue
        look = cache.look(step)
        late = [name for name in before[step.name] if name in running]
        why = "anew" if step.name in plan.anew else look.why
        if look.fresh and not late and step.name not in plan.anew:
            console.print(f"{step.name:<26} as before", highlight=False)
            continue
        running.add(step.name)
        why = why or f"after {', '.join(late)}, unless that makes the same again"
        console.print(f"{step.name:<26} would run: {why}", highlight=False, markup=False)
        console.print(f"    wbvla {' '.join(step.command())}", highlight=False, markup=False)
    cache.hashes.save()
    return 0


def _run(plan: Plan, cache: Cache, call: Pipeline, console: Console) -> int:
    from .summary import write_summary

    begin_s, code = time.monotonic(), 0
    try:
        run(plan, cache, console, _jobs(call))
    except Failed as failure:
        console.print(str(failure), style="red", highlight=False, markup=False)
        code = 1
    except KeyboardInterrupt:
        console.print("stopped; the same command goes on", highlight=False)
        code = 130
    page = write_summary(call.out, plan.steps, cache)
    console.print(f"{duration(time.monotonic() - begin_s)}; {page}", highlight=False)
    return code


def makespan(steps: tuple[Step, ...], jobs: int) -> float:
    """Minutes that all steps take by their estimates, ``jobs`` at a time."""
    before, ends = needs(steps), dict[str, float]()
    free = [0.0] * jobs
    left = list(steps)
    while left:
        ready = [step for step in left if all(name in ends for name in before[step.name])]
        start = {step.name: max([0.0, *(ends[name] for name in before[step.name])]) for step in ready}
        step = min(ready, key=lambda step: max(start[step.name], min(free)))
        begin = max(start[step.name], min(free))
        free[free.index(min(free))] = ends[step.name] = begin + step.minutes
        left.remove(step)
    return max(ends.values(), default=0.0)


def _jobs(call: Pipeline) -> int:
    if call.jobs < 0:
        raise ChainError(f"--jobs {call.jobs}: expected 0 or more")
    return call.jobs or min(2, os.cpu_count() or 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
