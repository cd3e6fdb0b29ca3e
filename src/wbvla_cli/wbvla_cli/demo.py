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
from wbvla_cli.bag_metrics import BagMetrics, measure
from wbvla_cli.demo_script import DEMO
from wbvla_cli.director import Director
from wbvla_cli.processes import ProcessSampler

NAMESPACE = "wbvla"
NODES = ("driver", "lmo_node", "vla_node", "recorder")
TOPICS = {"camera": "head_camera/image_raw/compressed", "vla": "vla/loco_command"}


@dataclass
class Arguments:
    """Run the graph in simulation: hung, lowered, standing, squatting, reaching, pushed, faulted, released again.

    Leaves in --out: the bag (bag/), report.json, report.html, demo.mp4 and launch.log. Takes about two minutes.
    """

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


def node_figures(director: Director, name: str) -> dict:
    status = director.statuses[name]
    total = max(1, status.ticks + status.missed)
    return {
        "rate_hz": round(status.rate_hz, 3),
        "lateness_ms": {
            "p50": round(status.lateness_p50_ms, 3),
            "p99": round(status.lateness_p99_ms, 3),
            "max": round(status.lateness_max_ms, 3),
        },
        "missed_fraction": round(status.missed / total, 6),
    }


def fault_row(reaction: Reaction, begin_ns: int) -> dict:
    return {
        "reason": reaction.reason.name,
        "time_s": round((reaction.injected_ns - begin_ns) / 1e9, 2),
        "detected_ms": round(reaction.detected_ms, 1),
        "end_state": reaction.end_state.name,
        "detail": reaction.noticed.detail,
    }


def assemble(
    director: Director,
    metrics: BagMetrics,
    plant: dict,
    usage: ProcessSampler,
    faults: list[Reaction],
    begin_ns: int,
    dropped: int,
) -> dict:
    """The content of report.json (keys are a contract)."""
    return {
        "robot": {"fell": director.fell, "spec": director.spec.name},
        "sim": {"rtf": round(plant["rtf"], 4)},
        "driver": {"rate_hz": round(plant["set_points_hz"], 1)},
        "lmo": node_figures(director, "lmo_node"),
        "vla": {"rate_hz": metrics.rates_hz.get(TOPICS["vla"], 0.0)},
        "camera": {"rate_hz": metrics.rates_hz.get(TOPICS["camera"], 0.0)},
        "state_to_command_ms": report.percentiles(metrics.state_to_command_ms),
        "bag": {"path": metrics.path, "messages": metrics.messages, "dropped": dropped},
        "cpu": {
            **(cores := {name: round(value, 3) for name, value in usage.cores().items()}),
            "sum": round(sum(cores.values()), 3),
        },
        "memory_mb": {
            **(memory := {name: round(value, 1) for name, value in usage.memory_mb().items()}),
            "sum": round(sum(memory.values()), 1),
        },
        "faults": [fault_row(reaction, begin_ns) for reaction in faults],
    }


def summarise(console: Console, result: dict, out: Path) -> bool:
    """Print what matters; True when the run met the stack's own limits."""
    limits = [
        ("stood throughout", not result["robot"]["fell"], "fell" if result["robot"]["fell"] else "yes"),
        ("real-time factor >= 0.99", result["sim"]["rtf"] >= 0.99, f"{result['sim']['rtf']:.3f}"),
        (
            "actuator set-points >= 490 Hz",
            result["driver"]["rate_hz"] >= 490,
            f"{result['driver']['rate_hz']:.0f} Hz",
        ),
        ("LMO 49.5..50.5 Hz", 49.5 <= result["lmo"]["rate_hz"] <= 50.5, f"{result['lmo']['rate_hz']:.2f} Hz"),
        (
            "LMO missed <= 0.001",
            result["lmo"]["missed_fraction"] <= 0.001,
            f"{result['lmo']['missed_fraction']:.4f}",
        ),
        ("VLA 9.8..10.2 Hz", 9.8 <= result["vla"]["rate_hz"] <= 10.2, f"{result['vla']['rate_hz']:.1f} Hz"),
        (
            "no message lost by the recorder",
            result["bag"]["dropped"] == 0,
            f"{result['bag']['dropped']} lost",
        ),
        ("CPU <= 1.6 cores", result["cpu"]["sum"] <= 1.6, f"{result['cpu']['sum']:.2f}"),
        ("memory < 1000 MB", result["memory_mb"]["sum"] < 1000, f"{result['memory_mb']['sum']:.0f} MB"),
    ]
    for text, met, value in limits:
        console.print(f"  {'[green]ok  [/]' if met else '[red]over[/]'} {text}: {value}", highlight=False)
    console.print(f"\nLook at {out / 'report.html'}", highlight=False)
    return not result["robot"]["fell"]


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla demo")
    console = Console(stderr=False, highlight=False)
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
    dropped = int(director.statuses["recorder"].dropped)
    result = assemble(director, metrics, plant, usage, faults, begin_ns, dropped)
    report.write_json(out / "report.json", result)
    film = None
    if arguments.video:
        from wbvla_cli.video import render_bag

        film = "demo.mp4"
        render_bag(bag, out / film, spec, NAMESPACE, arguments.scene, arguments.seed, console)
    report.write_html(out / "report.html", f"wbvla demo, seed {arguments.seed}", result, metrics, spec, film)
    return 0 if summarise(console, result, out) else 1
