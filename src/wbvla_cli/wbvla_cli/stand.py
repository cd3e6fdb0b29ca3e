"""``wbvla stand``: a simulated robot that hangs in its gantry is put on its feet."""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass

import rclpy
import tyro
from rclpy.signals import SignalHandlerOptions
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.shared_slots import MailboxError
from wbvla_core.types import State
from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.graph_trial import begin_scene, stand_up
from wbvla_sim.tasks.referee import Referee
from wbvla_sim.tasks.supervisor import Supervisor

NODES = ("sim_node", "driver", "lmo_node")
START_S = 60.0
UP = (State.STANDING, State.ACTIVE)


@dataclass
class Arguments:
    """Put the simulated robot on its feet: released in its gantry, lowered, the rope taken off. Takes about seven seconds;
    waits for a graph that is just starting."""

    seed: int | None = None
    """Hang it up again first, also after a fall, with the scene laid out by this seed."""
    scene: str | None = None
    """With --seed: another scene or task than the one that is there."""
    namespace: str = "wbvla"
    """Namespace of the robot."""
    robot: str = "x2_ultra"
    """Robot spec, by name or path."""


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla stand")
    if arguments.scene is not None and arguments.seed is None:
        print("wbvla stand: --scene goes with --seed", file=sys.stderr)
        return 2
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        watcher = Referee(arguments.namespace, RobotSpec.load(arguments.robot))
        supervisor = Supervisor(arguments.namespace, name="stand")
        try:
            print(stand(supervisor, watcher, arguments.scene, arguments.seed))
        finally:
            supervisor.close()
            watcher.close()
    except MailboxError as error:
        print(f"wbvla stand: no simulation runs ({error}): wbvla launch x2 sim:=true", file=sys.stderr)
        return 1
    except ScriptError as error:
        print(f"wbvla stand: {error}", file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


def stand(supervisor: Supervisor, watcher: Referee, scene: str | None, seed: int | None) -> str:
    """Until it stands without a rope; says where. Raises ScriptError that says what to do instead."""
    wait_for_graph(supervisor, NODES, START_S)
    supervisor.wait_for("the plant's first word", lambda: watcher.scene() is not None, 10.0)
    there = watcher.scene()
    assert there is not None
    if seed is not None:
        wanted = (scene or there[0], seed)
        begin_scene(supervisor, *wanted)
        supervisor.wait_for("the new scene", lambda: watcher.scene() == wanted, 10.0)
        there = wanted
    elif not math.isfinite(watcher.gantry_height_m()):
        if supervisor.driver in UP:
            return f"it stands already; scene {there[0]}, seed {there[1]}"
        raise ScriptError(
            f"the robot is {supervisor.driver.name} and not in its gantry; --seed {there[1]} hangs it up again"
        )
    stand_up(supervisor, watcher)
    return f"it stands; scene {there[0]}, seed {there[1]}"


def wait_for_graph(supervisor: Supervisor, nodes: tuple[str, ...], timeout_s: float) -> None:
    """Until these nodes are active. Raises ScriptError, which says where nobody answered when nobody did."""
    try:
        supervisor.wait_for_nodes(nodes, timeout_s)
    except ScriptError:
        if supervisor.statuses:
            raise
        where = f"{supervisor.node.get_namespace()}, ROS_DOMAIN_ID {os.environ.get('ROS_DOMAIN_ID', '0')}"
        raise ScriptError(
            f"nobody answers in {where}; start a graph there (wbvla launch x2), or set what it said at its start"
        ) from None
