"""``wbvla bench loop``: lateness of the LMO's 50 Hz loop beside that of a plain node on the same machine and input."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import rclpy
import tyro
from rich.console import Console
from wbvla_ros.launched_graph import Graph
from wbvla_sim.script import play

from wbvla_cli.demo import NODES
from wbvla_cli.demo_script import STAND_UP
from wbvla_cli.director import Director

NAMESPACE = "wbvla"


@dataclass
class Arguments:
    """Stand in simulation with camera and recording on, and time both loops at once.

    ours: the LMO node (own thread, absolute deadlines). baseline: the same input and inference in create_timer(0.02)
    of a plain node. The baseline publishes on a topic of its own, so that the robot stands under our loop.
    """

    seconds: float = 60.0
    """How long to measure."""
    json: Path | None = None
    """Write the figures to this file."""
    bundle: str = "lmo/x2"
    """LMO bundle that both loops run."""
    robot: str = "x2_ultra"
    """Robot spec by name or path."""
    record: bool = True
    """Record the contract's topics meanwhile."""


def measure(arguments: Arguments, folder: Path, console: Console) -> dict:
    """Run the graph and the baseline; returns {"ours": {...}, "baseline": {...}}."""
    launch_arguments = {
        "sim": "true",
        "record": str(arguments.record).lower(),
        "namespace": NAMESPACE,
        "bag_dir": str(folder / "bag"),
        "lmo": arguments.bundle,
        "statistics_window_s": str(arguments.seconds + 30.0),
    }
    with Graph("x2", launch_arguments, folder / "launch.log") as graph:
        rclpy.init()
        director = Director(NAMESPACE, arguments.robot, graph, console)
        baseline = None
        try:
            director.wait_for_graph(NODES if arguments.record else NODES[:3])
            play(STAND_UP, director)
            baseline = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "wbvla_cli.baseline_node",
                    arguments.bundle,
                    arguments.robot,
                    "--ros-args",
                    "-r",
                    f"__ns:=/{NAMESPACE}",
                ],
                stdout=subprocess.PIPE,
                text=True,
            )
            console.print(f"standing; measuring {arguments.seconds:.0f} s")
            director.wait(arguments.seconds)
            ours = director.statuses["lmo_node"]
            baseline.send_signal(signal.SIGINT)
            output, _ = baseline.communicate(timeout=10.0)
            fell = director.fell
        finally:
            if baseline is not None and baseline.poll() is None:
                baseline.kill()
            director.close()
            rclpy.try_shutdown()
    return {
        "seconds": arguments.seconds,
        "fell": fell,
        "ours": {
            "p50_ms": ours.lateness_p50_ms,
            "p99_ms": ours.lateness_p99_ms,
            "max_ms": ours.lateness_max_ms,
            "missed_fraction": ours.missed / max(1, ours.ticks + ours.missed),
        },
        "baseline": {name: value for name, value in json.loads(output).items() if name != "ticks"},
    }


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla bench loop")
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory(prefix="wbvla-bench-") as folder:
        figures = measure(arguments, Path(folder), console)
    for name in ("ours", "baseline"):
        row = figures[name]
        console.print(
            f"{name:<9} late p50 {row['p50_ms']:.3f} ms  p99 {row['p99_ms']:.3f} ms  max {row['max_ms']:.2f} ms  "
            f"missed {row['missed_fraction']:.5f}"
        )
    limit_ms = max(2.0, 1.2 * figures["baseline"]["p99_ms"] + 0.3)
    within = figures["ours"]["p99_ms"] <= limit_ms and figures["ours"]["missed_fraction"] <= 0.001
    figures["limit_p99_ms"], figures["within"] = limit_ms, within
    console.print(f"limit for our p99: {limit_ms:.2f} ms, missed 0.001: {'met' if within else 'NOT met'}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0
