"""``wbvla demo``: the whole graph in simulation, through a script, with a report of what happened."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import rclpy
import tyro
from rich.console import Console
from wbvla_core.robot_spec import RobotSpec
from wbvla_ros.launched_graph import Graph, GraphError
from wbvla_sim.script import Reaction, ScriptError, play

from wbvla_cli import report
from wbvla_cli.bag_metrics import measure
from wbvla_cli.demo_script import DEMO
from wbvla_cli.director import Director
from wbvla_cli.processes import ProcessSampler
from wbvla_cli.run_figures import Run, assemble, fault_row, summarise

NAMESPACE = "wbvla"
NODES = ("driver", "lmo_node", "vla_node", "recorder")


@dataclass
class Arguments:
    """Run the graph in simulation: hung, lowered, standing, squatting, reaching, pushed, faulted, released again.

    Leaves in --out: the bag (bag/), report.json, report.html, demo.mp4 and launch.log. Takes about two minutes.
    With --task it does that task instead: a sentence and the head camera's pictures in, joint commands out.
    """

    task: str | None = None
    """Do this task; see 'wbvla task list'."""
    policy: str | None = None
    """With --task: a VLA bundle by kind/name or path, or 'operator' for the scripted one; default: vla/x2, or
    the operator where it is not shipped."""
    trials: int = 1
    """With --task: trials, one for each seed from --seed on."""
    view: bool = False
    """With --task: a 3D view in the browser, where another sentence can be typed; stays open until Ctrl-C."""
    port: int = 8080
    """With --view: where the page is."""

    out: Path | None = None
    """Folder for the results; default out/demo-<time>."""
    seed: int = 1
    """Seed of scene and sensor noise."""
    robot: str = "x2_ultra"
    """Robot spec by name or path."""
    scene: str = "table"
    """Scene to stand in."""
    video: bool = True
    """Render demo.mp4 afterwards."""
    domain: int | None = None
    """ROS_DOMAIN_ID to use; default: the environment's, else one derived from the process id."""


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla demo")
    console = Console(stderr=False, highlight=False)
    if arguments.task is None and (arguments.policy or arguments.view or arguments.trials != 1):
        print("wbvla demo: --policy, --trials and --view belong to --task TASK", file=sys.stderr)
        return 2
    out = arguments.out or Path("out") / f"demo-{datetime.now():%Y%m%d-%H%M%S}"
    if out.exists() and not out.is_dir():
        print(f"wbvla demo: {out} is not a folder; name one with --out", file=sys.stderr)
        return 2
    if out.exists() and any(out.iterdir()):
        print(f"wbvla demo: {out} exists and is not empty; name another folder with --out", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    domain = (
        arguments.domain
        if arguments.domain is not None
        else int(os.environ.get("ROS_DOMAIN_ID", os.getpid() % 100 + 1))
    )
    os.environ["ROS_DOMAIN_ID"] = str(domain)
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    if arguments.task is not None:
        from wbvla_cli.task_demo import TaskDemo, run_task_demo

        asked = TaskDemo(
            arguments.task, arguments.policy, arguments.trials, arguments.seed, arguments.robot,
            arguments.video, arguments.view, arguments.port,
        )  # fmt: skip
        return run_task_demo(asked, out, console)
    spec = RobotSpec.load(arguments.robot)
    summary = (out / "plant.json").resolve()
    launch_arguments = {
        "sim": "true",
        "record": "true",
        "scene": arguments.scene,
        "seed": str(arguments.seed),
        "bag_dir": str((out / "bag").resolve()),
        "plant_summary": str(summary),
        "namespace": NAMESPACE,
    }
    console.print(f"starting the graph (ROS_DOMAIN_ID {domain}, output in {out / 'launch.log'})")
    faults: list[Reaction] = []
    with Graph("x2", launch_arguments, out / "launch.log") as graph:
        rclpy.init()
        director = Director(NAMESPACE, arguments.robot, graph, console)
        usage = ProcessSampler(graph.process.pid)
        try:
            begin_ns = time.time_ns()
            director.wait_for_graph(NODES)
            director.say("the graph is up; the robot hangs in its gantry")
            usage.start()
            faults = play(DEMO, director)
            usage.stop()
        except (ScriptError, GraphError) as error:
            console.print(f"[red]the script stopped:[/] {error}")
            console.print(f"\nlast words of the graph:\n{graph.last_words()}", markup=False)
            return 1
        finally:
            director.close()
            rclpy.try_shutdown()
    plant = json.loads(summary.read_text())
    console.print("reading the bag")
    bag = next(path for path in sorted((out / "bag").iterdir()) if path.is_dir())
    metrics = measure(bag, NAMESPACE)
    run = Run(director.statuses, director.fell, spec.name)
    rows = [fault_row(reaction, begin_ns) for reaction in faults]
    result = assemble(run, metrics, plant, usage, rows, int(director.statuses["recorder"].dropped))
    report.write_json(out / "report.json", result)
    film = None
    if arguments.video:
        from wbvla_cli.video import render_bag

        film = "demo.mp4"
        render_bag(bag, out / film, spec, NAMESPACE, arguments.scene, arguments.seed, console)
    report.write_html(out / "report.html", f"wbvla demo, seed {arguments.seed}", result, metrics, spec, film)
    return 0 if summarise(console, result, out) else 1
