"""``wbvla task list|collect|eval``: what there is to do, demonstrations of it, and how well it is done."""

from __future__ import annotations

import hashlib
import random
import shlex
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from wbvla_core.bundle import FILE_NAME, BundleError
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec, RobotSpecError

from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.account import Asked, account, earlier_results, summarise, write_account
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
      wbvla task collect --task box_loading --episodes 50 --seed 500 --policy vla/x2 --out bags/corrections
    With --policy the policy begins, and the operator takes over after a random time: recorded is how to go on from where
    the policy came. A trial that the policy ends by itself is not recorded.
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
    policy: str = OPERATOR
    """In lock-step: a VLA bundle that begins each trial."""
    takeover_s: tuple[float, float] = (2.0, 40.0)
    """With --policy: after how long the operator takes over, at random within this."""
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
    wbvla task eval --task reach_table --policy vla/reach_table --trials 50 --swap-sentence
    Exit code 1 when the operator never succeeds; a policy's figure is a figure. 130: stopped before the last trial."""

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
    """Write the account here; in lock-step after every trial."""
    resume: bool = False
    """In lock-step: leave out the trials that --json holds from an evaluation that was stopped."""


STOPPED = 130
"""Exit code of a command that Ctrl-C ended before the last trial."""
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
        return _eval(call, shlex.join(["wbvla", "task", *(sys.argv[1:] if argv is None else argv)]), console)
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
    low_s, high_s = call.takeover_s
    if call.policy != OPERATOR and (call.graph or not 0.0 <= low_s <= high_s):
        raise ValueError("--policy needs lock-step, and --takeover-s two times, 0 <= first <= second")
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
            policy=call.policy,
            takeover_s=None if call.policy == OPERATOR else random.Random(seed).uniform(low_s, high_s),
            bag=folders[seed],
            operator_name=call.operator_name,
            camera=call.camera,
            film=_film(call.film, task, seed),
        )

    results = _run(left, one, console)
    code = account(task, results, call.json, console)
    if len(results) < len(left):
        return STOPPED
    return code if len(left) == len(folders) else 0


def _eval(call: Eval, command: str, console: Console) -> int:
    if call.trials < 1:
        raise ValueError(f"--trials {call.trials}: expected 1 or more")
    if call.policy == OPERATOR and (call.blind or call.swap_sentence):
        raise ValueError("--blind and --swap-sentence are for policies; give --policy BUNDLE")
    if call.sentence is not None and call.swap_sentence:
        raise ValueError("--sentence and --swap-sentence exclude each other")
    task, spec = find_task(call.task), RobotSpec.load(call.robot)
    lmo = call.lmo or task.lmo
    if call.resume and (call.json is None or call.graph):
        raise ValueError("--resume needs --json and lock-step")
    asked = Asked(call.trials, command, _options(call, lmo))
    seeds = _seeds(call.first_seed, call.trials)
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
            results = run_all_on_graph(task, spec, options, seeds, console)
        return _judged(call, account(task, results, call.json, console, asked), len(results))
    earlier = earlier_results(call.json, task, asked) if call.resume and call.json else []
    earlier = [result for result in earlier if result.seed in seeds]
    left = sorted(set(seeds) - {result.seed for result in earlier})
    if earlier:
        console.print(f"{len(earlier)} of {len(seeds)} trials are in {call.json} already")

    def keep(results: list[TrialResult]) -> None:
        if call.json is not None:
            write_account(call.json, summarise(task, _by_seed(earlier + results), asked))

    def one(seed: int) -> TrialResult:
        film = _film(call.film, task, seed)
        return run_trial(
            spec, task, seed, lmo=lmo, policy=call.policy, sentence=call.sentence, film=film, blind=call.blind,
            swap=call.swap_sentence,
        )  # fmt: skip

    results = _by_seed(earlier + _run(left, one, console, keep))
    return _judged(call, account(task, results, call.json, console, asked), len(results))


def _options(call: Eval, lmo: str) -> dict[str, Any]:
    """What decides what comes out of a trial; of a policy also which weights it has."""
    names = ("policy", "robot", "blind", "swap_sentence", "sentence", "graph")
    found = {name: getattr(call, name) for name in names} | {"lmo": lmo}
    if call.policy != OPERATOR:
        file = bundle_path(call.policy) / FILE_NAME
        found["policy_sha256"] = hashlib.sha256(file.read_bytes()).hexdigest() if file.exists() else ""
    return found


def _judged(call: Eval, code: int, done: int) -> int:
    if done < call.trials:
        return STOPPED
    return code if call.policy == OPERATOR else 0


def _by_seed(results: list[TrialResult]) -> list[TrialResult]:
    return sorted(results, key=lambda result: result.seed)


def _film(folder: Path | None, task: Task, seed: int) -> Path | None:
    return None if folder is None else folder / f"{task.name}_{seed:05d}.mp4"


def _seeds(first: int, count: int) -> list[int]:
    return list(range(first, first + count))


def _run(
    seeds: list[int],
    one: Callable[[int], TrialResult],
    console: Console,
    keep: Callable[[list[TrialResult]], None] = lambda _results: None,
) -> list[TrialResult]:
    """All trials, with progress; ``keep`` is given what there is after each. Ctrl-C ends after what is done."""
    results: list[TrialResult] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("trials", total=len(seeds))
        try:
            for seed in seeds:
                result = one(seed)
                results.append(result)
                keep(results)
                good = sum(r.verdict.success for r in results)
                progress.update(bar, advance=1, description=f"{good}/{len(results)} done")
                if not result.verdict.success:
                    console.print(f"seed {seed}: {result.sentence}: {result.verdict.reason}")
        except KeyboardInterrupt:
            how = "collecting goes on with the same command, eval with --resume"
            console.print(f"stopped after {len(results)} of {len(seeds)}; {how}")
    return results


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
