"""``wbvla doctor``: what is missing or disagrees on this machine and in the running graph. Moves nothing."""

from __future__ import annotations

import importlib
import json
import os
import platform
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro
from rich.console import Console
from wbvla_core.bundle import load_bundle
from wbvla_core.contract import Contract
from wbvla_core.paths import models_dir
from wbvla_core.robot_spec import RobotSpec

COMMAND_TOPICS = (
    "leg_waist_command",
    "loco_command",
    "vla/arm_target",
    "vla/loco_command",
    "teleop/arm_target",
    "teleop/loco_command",
)


@dataclass
class Arguments:
    """List what is missing or disagrees. Exit code 1 when something would stop the robot from running."""

    namespace: str = "wbvla"
    """Namespace of the robot to look for."""
    robot: str = "x2_ultra"
    """Robot spec by name or path."""
    no_graph: bool = False
    """Do not look at the running graph (saves two seconds)."""
    json: Path | None = None
    """Write the findings to this file too."""


@dataclass(frozen=True)
class Finding:
    """One line of the examination: level ``ok``, ``note`` (works, but) or ``fault`` (must be cured)."""

    level: str
    subject: str
    detail: str
    cure: str = ""


def software() -> Iterator[Finding]:
    yield Finding("ok", "python", f"{platform.python_version()} on {platform.machine()}")
    for module, need in (
        ("mujoco", "simulation"),
        ("onnxruntime", "policies"),
        ("rclpy", "the graph"),
        ("mcap", "bags"),
    ):
        try:
            found = importlib.import_module(module)
        except ModuleNotFoundError:
            yield Finding("fault", module, f"missing; needed for {need}", "make setup")
            continue
        where = (
            "embedded"
            if module == "rclpy" and "embedded" in (found.__file__ or "")
            else getattr(found, "__version__", "")
        )
        yield Finding("ok", module, str(where))
    try:
        import torch
    except ModuleNotFoundError:
        yield Finding("note", "torch", "not installed; only training needs it", "make setup")
    else:
        yield Finding("ok", "torch", f"{torch.__version__}, {'CUDA' if torch.cuda.is_available() else 'CPU'}")


def picture() -> Iterator[Finding]:
    from wbvla_sim.render import probe

    try:
        yield Finding("ok", "rendering", probe())
    except Exception as error:
        # Any failure of the GL stack is a finding, not a crash of the doctor.
        yield Finding("fault", "rendering", str(error), "apt-get install libegl1 libgl1-mesa-dri")


def real_time() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0))
    level = "ok" if cores >= 2 else "note"
    yield Finding(level, "cores", str(cores), "" if cores >= 2 else "the graph needs two for its rates")
    limit = resource.getrlimit(resource.RLIMIT_RTPRIO)[0]
    if os.geteuid() == 0 or limit > 0:
        yield Finding("ok", "real-time priority", "permitted")
    else:
        yield Finding(
            "note",
            "real-time priority",
            "not permitted; loops run at normal priority",
            "add '@realtime - rtprio 90' and '@realtime - memlock unlimited' to the limits of your user",
        )
    free = shutil.disk_usage(".").free
    yield Finding(
        "ok" if free > 5e9 else "note",
        "disk",
        f"{free / 1e9:.0f} GB free here",
        "" if free > 5e9 else "bags need about 3 MB/s",
    )


def models(robot: str) -> Iterator[Finding]:
    spec = RobotSpec.load(robot)
    contract = Contract.load("x2")
    yield Finding("ok", "robot spec", f"{spec.name}, {spec.n} joints, {spec.hash}")
    yield Finding("ok", "contract", contract.hash)
    for path in sorted(models_dir().glob("*/*/bundle.json")):
        name = f"{path.parent.parent.name}/{path.parent.name}"
        try:
            load_bundle(path.parent, path.parent.parent.name, spec)
        except ValueError as error:
            yield Finding("fault", f"bundle {name}", str(error), "export it again for this robot")
        else:
            yield Finding("ok", f"bundle {name}", "complete and for this robot")


def graph(namespace: str) -> Iterator[Finding]:
    import rclpy

    local = os.environ.get("ROS_LOCALHOST_ONLY", "1") == "1"
    yield Finding(
        "ok" if local else "note",
        "DDS reach",
        "this host only" if local else "the whole network",
        "" if local else "commands are not authenticated: set ROS_LOCALHOST_ONLY=1 or isolate the network",
    )
    rclpy.init()
    node = rclpy.create_node("wbvla_doctor")
    try:
        time.sleep(2.0)
        present = sorted(
            name for name, space in node.get_node_names_and_namespaces() if space.strip("/") == namespace
        )
        yield Finding(
            "ok" if present else "note", "graph", ", ".join(present) or f"no node under /{namespace}"
        )
        for topic in COMMAND_TOPICS:
            publishers = node.get_publishers_info_by_topic(f"/{namespace}/{topic}")
            if len(publishers) > 1:
                names = ", ".join(sorted(publisher.node_name for publisher in publishers))
                yield Finding("fault", topic, f"{len(publishers)} publishers ({names})", "stop all but one")
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


def examine(arguments: Arguments) -> list[Finding]:
    rooms: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("software", software),
        ("rendering", picture),
        ("real time", real_time),
        ("models", lambda: models(arguments.robot)),
    ]
    if not arguments.no_graph:
        rooms.append(("graph", lambda: graph(arguments.namespace)))
    findings: list[Finding] = []
    for name, room in rooms:
        try:
            findings += room()
        except Exception as error:
            # A check that breaks is itself a finding; the others still run.
            findings.append(Finding("fault", name, f"{type(error).__name__}: {error}"))
    return findings


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla doctor")
    findings = examine(arguments)
    console = Console(highlight=False)
    marks = {"ok": "[green]ok   [/]", "note": "[yellow]note [/]", "fault": "[red]fault[/]"}
    for finding in findings:
        cure = f"\n      -> {finding.cure}" if finding.cure else ""
        console.print(f"{marks[finding.level]} {finding.subject}: {finding.detail}{cure}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(finding) for finding in findings], indent=2) + "\n")
    return int(any(finding.level == "fault" for finding in findings))
