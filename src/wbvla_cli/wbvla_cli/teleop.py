"""``wbvla teleop``: the teleoperation node in this terminal, for a person with a keyboard or a gamepad."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated, Literal

import tyro
from rclpy.parameter import Parameter
from wbvla_ros.process import main_of
from wbvla_teleop.node import TeleopNode


@dataclass
class Arguments:
    """Drive the running robot from this terminal: keys or gamepad, episodes by its buttons. Ctrl-C ends it safely.

    wbvla teleop keyboard --task "raise your left hand" """

    device: Annotated[Literal["keyboard", "joystick", "joy"], tyro.conf.Positional] = "keyboard"
    """keyboard: this terminal's; joystick: a gamepad of this machine; joy: whatever publishes Joy messages."""
    task: str = ""
    """Sentence of the episodes that are begun here, until another one comes on 'instruction'."""
    operator: str = ""
    """Who drives; kept in the episodes."""
    layout: str = "ps5"
    """Gamepads: ps5, xbox, or a file."""
    namespace: str = "wbvla"
    """Namespace of the robot."""
    robot: str = "x2_ultra"
    """Robot spec, by name or path."""


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla teleop")
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    main_of(lambda: make_node(arguments))()
    return 0


def make_node(arguments: Arguments) -> TeleopNode:
    """The node as a launch file would start it."""
    values = {
        "autostart": True,
        "robot": arguments.robot,
        "device": arguments.device,
        "layout": arguments.layout,
        "task": arguments.task,
        "operator_name": arguments.operator,
    }
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    return TeleopNode(namespace=f"/{arguments.namespace.strip('/')}", parameter_overrides=overrides)
