"""``wbvla demo --task``: a task on the running graph, from pixels and a sentence, recorded, judged, filmed, reported."""

from __future__ import annotations

import html
import json
import signal
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import yaml
from rich.console import Console
from wbvla_core.bundle import FILE_NAME
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.account import FELL, Asked, summarise
from wbvla_sim.tasks.base import Task, find_task
from wbvla_sim.tasks.graph_collect import GraphOptions, Session, graph_session
from wbvla_sim.tasks.graph_trial import run_on_graph
from wbvla_sim.tasks.lockstep_trial import OPERATOR, TrialResult
from wbvla_sim.tasks.scribes import WholeTrialScribe
from wbvla_sim.view import check_available
from wbvla_teleop.recorder_core import EPISODE_FILE

from wbvla_cli import report, run_figures
from wbvla_cli.bag_metrics import measure
from wbvla_cli.open_session import Announcer, judge_what_is_asked
from wbvla_cli.processes import ProcessSampler

NAMESPACE = "wbvla"


VLA = "vla/x2"
"""The bundle that knows the sentences of all tasks."""


@dataclass(frozen=True)
class TaskDemo:
    """What to run; ``policy`` None: the shipped bundle, else the scripted operator."""

    task: str
    policy: str | None
    trials: int
    seed: int
    robot: str
    video: bool
    view: bool
    port: int


def choose_policy(asked: str | None) -> str:
    """``asked``, else the VLA bundle of all tasks where it is shipped, else the operator."""
    if asked is not None:
        return asked
    return VLA if (bundle_path(VLA) / FILE_NAME).is_file() else OPERATOR


def check_policy(policy: str) -> None:
    """Raises ValueError that names the folder when there is no such bundle."""
    if policy != OPERATOR and not (bundle_path(policy) / FILE_NAME).is_file():
        raise ValueError(
            f"--policy {policy}: there is no bundle in {bundle_path(policy)}; name another, or 'operator'"
        )


def who_acts(policy: str) -> str:
    """One sentence that leaves no doubt about who solved the task."""
    if policy == OPERATOR:
        return "the scripted operator acted; it sees the simulator's object poses, and no VLA took part"
    return (
        f"the VLA bundle {policy} acted, from the head camera's pictures, the sentence and the robot's state"
    )


def run_task_demo(asked: TaskDemo, out: Path, console: Console) -> int:
    """Exit code 0 when a trial succeeded. Raises ValueError for what cannot be run."""
    task, spec = find_task(asked.task), RobotSpec.load(asked.robot)
    if asked.trials < 1:
        raise ValueError(f"--trials {asked.trials}: expected 1 or more")
    if asked.view:
        check_available()
    policy = choose_policy(asked.policy)
    check_policy(policy)
    summary = (out / "plant.json").resolve()
    bags = out / "bag"
    bags.mkdir(parents=True, exist_ok=True)
    options = GraphOptions(
        "scripted", task.lmo, bags, "script" if policy == OPERATOR else policy, asked.robot,
        namespace=NAMESPACE, policy=policy, plant_summary=str(summary), log=out / "launch.log",
    )  # fmt: skip
    console.print(f"{task.name}: {task.summary}; {who_acts(policy)}")
    # Whoever ends this command with SIGTERM must not leave the graph behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with graph_session(task, spec, options, asked.seed, console) as session:
            usage = ProcessSampler(session.graph.process.pid)
            usage.start()
            results = _trials(session, task, options, asked, console)
            usage.stop()
            statuses = dict(session.supervisor.statuses)
    except ScriptError as error:
        console.print(f"[red]the demo stopped:[/] {error}")
        return 1
    vla_hz = statuses["vla_node"].rate_hz if policy == OPERATOR else 0.0
    fell = any(result.verdict.reason == FELL for result in results)
    run = run_figures.Run(statuses, fell, spec.name, vla_hz)
    return _report(
        run, results, task, policy, asked, out, usage, json.loads(summary.read_text()), spec, console
    )


def _trials(
    session: Session, task: Task, options: GraphOptions, asked: TaskDemo, console: Console
) -> list[TrialResult]:
    announcer = Announcer(session.supervisor.node)
    scribe = WholeTrialScribe(session.supervisor, not options.by_operator, options.operator_name)
    results = []
    with ExitStack() as stack:
        if asked.view:
            viewer = start_viewer(options, asked)
            stack.callback(_stop, viewer)
        for number, seed in enumerate(range(asked.seed, asked.seed + asked.trials), 1):
            announcer.say(f"{task.name}, trial {number} of {asked.trials} runs")
            result = run_on_graph(session.supervisor, session.referee, scribe, task, seed, options.out)
            results.append(result)
            state = "done" if result.verdict.success else result.verdict.reason
            line = f"seed {seed}: {result.sentence}: {state} ({result.verdict.time_s:.1f} s)"
            announcer.say(line)
            console.print(line)
        if asked.view:
            console.print("the view stays open: type a sentence there; Ctrl-C ends and writes the report")
            judge_what_is_asked(session, announcer, console)
    return results


def start_viewer(options: GraphOptions, asked: TaskDemo) -> subprocess.Popen:
    """``wbvla view`` beside the graph, out of reach of this terminal's Ctrl-C."""
    command = [sys.executable, "-m", "wbvla_cli.main", "view", "--namespace", options.namespace]
    command += [
        "--robot",
        options.robot,
        "--port",
        str(asked.port),
        *(["--operator"] if options.by_operator else []),
    ]
    return subprocess.Popen(command, start_new_session=True)


def _stop(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _report(
    run: run_figures.Run, results: list[TrialResult], task: Task, policy: str, asked: TaskDemo, out: Path,
    usage: ProcessSampler, plant: dict, spec: RobotSpec, console: Console,
) -> int:  # fmt: skip
    bags = [result.bag for result in results if result.bag is not None]
    if not bags:
        console.print(f"[red]no trial began:[/] {results[-1].verdict.reason if results else 'stopped'}")
        return 1
    console.print("reading the bags")
    metrics = measure(bags[0], NAMESPACE)
    figures = run_figures.assemble(run, metrics, plant, usage, [], sum(map(dropped_in, bags)))
    trials = summarise(task, results, Asked(asked.trials))
    figures["task"] = {"policy": policy, "by": who_acts(policy), **trials}
    films = {}
    if asked.video:
        from wbvla_cli.video import render_bag

        for result in results:
            if result.bag is not None:
                films[result.seed] = film = f"{task.name}_{result.seed:05d}.mp4"
                render_bag(result.bag, out / film, spec, NAMESPACE, task.scene, result.seed, console)
    report.write_json(out / "report.json", figures)
    title = f"wbvla demo, {task.name}, seed {asked.seed}"
    report.write_html(out / "report.html", title, figures, metrics, spec, None, story(results, policy, films))
    console.print(f"{trials['successes']} of {len(results)} succeeded; {who_acts(policy)}")
    run_figures.summarise(console, figures, out)
    return 0 if trials["successes"] else 1


def dropped_in(bag: Path) -> int:
    """Messages that were published and are not in the bag, by the recorder's account."""
    return int(yaml.safe_load((bag / EPISODE_FILE).read_text(encoding="utf-8"))["dropped"])


def story(results: list[TrialResult], policy: str, films: dict[int, str]) -> str:
    """HTML: who acted, and for each trial the sentence, what came of it, its subgoals and its film."""
    parts = [f"<p>In all trials {html.escape(who_acts(policy))}.</p>"]
    for result in results:
        verdict = result.verdict
        subgoals = "".join(
            f"<li class={'ok' if met else 'bad'}>{html.escape(name)}: {'met' if met else 'not met'}</li>"
            for name, met in verdict.subgoals.items()
        )
        film = films.get(result.seed)
        parts.append(
            f"<h2>Seed {result.seed}: {html.escape(result.sentence)}</h2>"
            f"<p><b class={'ok' if verdict.success else 'bad'}>{'succeeded' if verdict.success else 'failed'}</b> after "
            f"{verdict.time_s:.1f} s: {html.escape(verdict.reason or 'done')}</p><ul>{subgoals}</ul>"
            + (f'<video controls src="{html.escape(film)}"></video>' if film else "")
        )
    return "".join(parts)
