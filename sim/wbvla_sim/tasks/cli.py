"""``wbvla task list|collect|eval``: what there is to do, demonstrations of it, and how well it is done."""

from __future__ import annotations

import json
import math
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from wbvla_core.bundle import BundleError
from wbvla_core.robot_spec import RobotSpec, RobotSpecError

from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.base import Task, find_task, tasks
from wbvla_sim.tasks.collect import episode_folder
from wbvla_sim.tasks.lockstep_trial import OPERATOR, TrialResult, run_trial


@dataclass
class List:
    """List the tasks with their scenes and what they ask."""


@dataclass
class Collect:
    """Record demonstrations by the scripted operator, one bag each; interrupted, it goes on where it was.

      wbvla task collect --task reach_table --episodes 50 --out bags/reach
      wbvla task collect --task reach_table --episodes 10 --out bags/graph --graph
    Failed trials are recorded too and marked as discarded, so that no dataset takes them."""

    task: str
    """Name of the task; see 'wbvla task list'."""
    out: Path
    """Folder for the bags; it may hold other episodes."""
    episodes: int = 10
    """Trials, one for each seed from SEED on."""
    seed: int = 0
    """Seed of the first trial. 1000 and above are kept for evaluation."""
    lockstep: bool = False
    """In one process and virtual time, as fast as the machine allows (the default)."""
    graph: bool = False
    """On the running graph, in real time: launches it with teleoperation node and recorder."""
    lmo: str | None = None
    """Locomotion bundle; default: the task's."""
    camera: bool = True
    """Record the head camera (needs OpenGL)."""
    device: Annotated[str, tyro.conf.arg(metavar="scripted|joy")] = "scripted"
    """With --graph: the operator's frames directly, or through Joy messages of an imitated gamepad."""
    discard_last: bool = False
    """With --graph: discard the last episode whatever came of it, to see that datasets leave it out."""
    namespace: str = "wbvla"
    """With --graph: namespace of the robot; another one than a graph that runs already."""
    operator_name: str = "script"
    """Who shows it; kept in the bags."""
    film: Path | None = None
    """In lock-step: folder for a film of each trial."""
    robot: str = "x2_ultra"
    """Robot spec, by name or path."""
    json: Path | None = None
    """Write the account here."""


@dataclass
class Eval:
    """Run trials and count successes; nothing is recorded.

    wbvla task eval --task box_loading --policy operator --trials 50 --json operator.json
    wbvla task eval --task cart_pushing --policy operator --trials 10 --graph
    wbvla task eval --task reach_table --policy vla/reach_table --trials 50 --swap-sentence"""

    task: str
    """Name of the task; see 'wbvla task list'."""
    policy: str = OPERATOR
    """'operator' for the scripted one, or a VLA bundle (by kind/name or path) that follows the sentence."""
    trials: int = 50
    """Number of trials, one for each seed."""
    first_seed: Annotated[int, tyro.conf.arg(aliases=["--seed"])] = 1000
    """Seed of the first trial; those from 1000 on are never collected from."""
    blind: bool = False
    """In lock-step: show the policy black pictures; it should fail."""
    swap_sentence: bool = False
    """In lock-step: ask for the other thing in the scene, and judge by the task's own sentence; it should fail."""
    sentence: str | None = None
    """In lock-step: tell the robot this instead of the task's sentence; the task's judge stays."""
    film: Path | None = None
    """In lock-step: folder for a film of each trial."""
    graph: bool = False
    """On the running graph, in real time."""
    namespace: str = "wbvla"
    """With --graph: namespace of the robot; another one than a graph that runs already."""
    lmo: str | None = None
    """Locomotion bundle; default: the task's."""
    robot: str = "x2_ultra"
    """Robot spec, by name or path."""
    json: Path | None = None
    """Write the account here."""


COMMANDS = {"list": List, "collect": Collect, "eval": Eval}


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    console = Console()
    call = tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="wbvla task", args=argv)
    try:
        if isinstance(call, List):
            return _list(console)
        if isinstance(call, Collect):
            return _collect(call, console)
        return _eval(call, console)
    except (ValueError, OSError, BundleError, RobotSpecError, ScriptError) as error:
        print(f"wbvla task: {error}", file=sys.stderr)
        return 1


def _list(console: Console) -> int:
    for task in tasks().values():
        console.print(f"[bold]{task.name}[/]  {task.summary}; {task.time_limit_s:g} s; legs by {task.lmo}")
    return 0


def _collect(call: Collect, console: Console) -> int:
    if call.lockstep and call.graph:
        raise ValueError("--lockstep and --graph exclude each other")
    if call.device not in ("scripted", "joy"):
        raise ValueError(f"--device {call.device}: expected scripted or joy")
    if call.episodes < 1:
        raise ValueError(f"--episodes {call.episodes}: expected 1 or more")
    task, spec = find_task(call.task), RobotSpec.load(call.robot)
    call.out.mkdir(parents=True, exist_ok=True)
    lmo = call.lmo or task.lmo
    if call.graph:
        from wbvla_sim.tasks.graph_collect import GraphOptions, run_all_on_graph

        options = GraphOptions(
            call.device, lmo, call.out, call.operator_name, call.robot, call.discard_last, call.namespace
        )
        results = run_all_on_graph(task, spec, options, _seeds(call.seed, call.episodes), console)
        return account(task, results, call.json, console)
    folders = {seed: episode_folder(call.out, task.name, seed) for seed in _seeds(call.seed, call.episodes)}
    left = [seed for seed, folder in folders.items() if folder is not None]
    if len(left) < len(folders):
        console.print(f"{len(folders) - len(left)} of {len(folders)} episodes are in {call.out} already")

    def one(seed: int) -> TrialResult:
        return run_trial(
            spec,
            task,
            seed,
            lmo=lmo,
            bag=folders[seed],
            operator_name=call.operator_name,
            camera=call.camera,
            film=_film(call.film, task, seed),
        )

    return account(task, _run(left, one, console), call.json, console)


def _eval(call: Eval, console: Console) -> int:
    if call.trials < 1:
        raise ValueError(f"--trials {call.trials}: expected 1 or more")
    if call.policy == OPERATOR and (call.blind or call.swap_sentence):
        raise ValueError("--blind and --swap-sentence are for policies; give --policy BUNDLE")
    if call.sentence is not None and call.swap_sentence:
        raise ValueError("--sentence and --swap-sentence exclude each other")
    task, spec = find_task(call.task), RobotSpec.load(call.robot)
    lmo = call.lmo or task.lmo
    if call.graph:
        if call.film is not None or call.sentence is not None or call.blind or call.swap_sentence:
            raise ValueError(
                "--film, --sentence, --blind and --swap-sentence need lock-step; leave --graph out"
            )
        from wbvla_sim.tasks.graph_collect import GraphOptions, run_all_on_graph

        with tempfile.TemporaryDirectory() as log:
            options = GraphOptions(
                "scripted",
                lmo,
                Path(log),
                "",
                call.robot,
                namespace=call.namespace,
                policy=call.policy,
                record=False,
            )
            results = run_all_on_graph(task, spec, options, _seeds(call.first_seed, call.trials), console)
        return account(task, results, call.json, console)

    def one(seed: int) -> TrialResult:
        film = _film(call.film, task, seed)
        return run_trial(
            spec, task, seed, lmo=lmo, policy=call.policy, sentence=call.sentence, film=film, blind=call.blind,
            swap=call.swap_sentence,
        )  # fmt: skip

    return account(task, _run(_seeds(call.first_seed, call.trials), one, console), call.json, console)


def _film(folder: Path | None, task: Task, seed: int) -> Path | None:
    return None if folder is None else folder / f"{task.name}_{seed:05d}.mp4"


def _seeds(first: int, count: int) -> list[int]:
    return list(range(first, first + count))


def _run(seeds: list[int], one: Callable[[int], TrialResult], console: Console) -> list[TrialResult]:
    """All trials, with progress; Ctrl-C ends after what is done."""
    results: list[TrialResult] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("trials", total=len(seeds))
        try:
            for seed in seeds:
                result = one(seed)
                results.append(result)
                good = sum(r.verdict.success for r in results)
                progress.update(bar, advance=1, description=f"{good}/{len(results)} done")
                if not result.verdict.success:
                    console.print(f"seed {seed}: {result.sentence}: {result.verdict.reason}")
        except KeyboardInterrupt:
            console.print(f"stopped after {len(results)} of {len(seeds)}; run the same command to go on")
    return results


def account(task: Task, results: list[TrialResult], file: Path | None, console: Console) -> int:
    """Print and write what came out; the exit code (1 when no trial succeeded)."""
    good = sum(result.verdict.success for result in results)
    low, high = wilson(good, len(results))
    virtual_s, wall_s = (sum(getattr(result, name) for result in results) for name in ("virtual_s", "wall_s"))
    names = dict.fromkeys(name for result in results for name in result.verdict.subgoals)
    subgoals = {name: sum(result.verdict.subgoals.get(name, False) for result in results) for name in names}
    summary = {
        "task": task.name,
        "trials": len(results),
        "successes": good,
        "success_rate": good / len(results) if results else 0.0,
        "confidence_95": [low, high],
        "subgoals": subgoals,
        "falls": sum(result.verdict.reason == "the robot fell" for result in results),
        "mean_success_s": _mean([result.verdict.time_s for result in results if result.verdict.success]),
        "times_real_time": virtual_s / wall_s if wall_s else 0.0,
        "episodes": [
            {**asdict(result.verdict), "outcome": result.verdict.outcome.value, "seed": result.seed,
             "sentence": result.sentence, "bag": str(result.bag or ""), "messages": result.messages}
            for result in results
        ],
    }  # fmt: skip
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    if results:
        parts = ", ".join(f"{name} {count}" for name, count in subgoals.items()) if len(subgoals) > 1 else ""
        if parts:
            console.print(f"subgoals of {len(results)}: {parts}")
        console.print(
            f"{task.name}: {good} of {len(results)} succeeded "
            f"({summary['success_rate']:.0%}, 95 % interval {low:.0%} to {high:.0%}), "
            f"{summary['times_real_time']:.1f} x real time"
        )
    return 0 if good or not results else 1


def wilson(good: int, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Confidence interval of a success rate (Wilson's score interval, 95 % by default)."""
    if trials == 0:
        return 0.0, 1.0
    rate, extra = good / trials, z * z / trials
    centre = (rate + extra / 2) / (1 + extra)
    half = z / (1 + extra) * math.sqrt(rate * (1 - rate) / trials + extra / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
