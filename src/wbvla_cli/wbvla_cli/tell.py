"""``wbvla tell``: a sentence for the running robot, simulated or real."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import Annotated

import rclpy
import tyro
from rclpy.signals import SignalHandlerOptions
from wbvla_core.types import Source
from wbvla_core.vla_input import InputError, check_sentence
from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.graph_trial import rest
from wbvla_sim.tasks.supervisor import Supervisor

from wbvla_cli.stand import UP, wait_for_graph

NODES = ("driver", "vla_node")
START_S, TAKE_S = 10.0, 5.0


@dataclass
class Arguments:
    """Tell the running robot what to do: the sentence is published on 'instruction', and the VLA gets the authority.

    wbvla tell "touch the red ball with your left hand"
    wbvla tell --stop"""

    sentence: Annotated[str, tyro.conf.Positional] = ""
    """What it shall do."""
    stop: bool = False
    """Take the authority away from whoever has it: the robot stands."""
    namespace: str = "wbvla"
    """Namespace of the robot."""


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla tell")
    try:
        sentence = "" if arguments.stop else check_sentence(" ".join(arguments.sentence.split()))
    except InputError as error:
        print(f"wbvla tell: {error}", file=sys.stderr)
        return 2
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    supervisor = Supervisor(arguments.namespace, name="tell")
    try:
        wait_for_graph(supervisor, NODES, START_S)
        if arguments.stop:
            rest(supervisor)
            print("stopped; it stands")
        else:
            print(tell(supervisor, sentence))
    except ScriptError as error:
        print(f"wbvla tell: {error}", file=sys.stderr)
        return 1
    finally:
        supervisor.close()
        rclpy.try_shutdown()
    return 0


def tell(supervisor: Supervisor, sentence: str) -> str:
    """Until the VLA follows; says who acts. Raises ScriptError when it cannot or does not want to."""
    if supervisor.driver not in UP:
        raise ScriptError(
            f"the robot is {supervisor.driver.name}; put it on its feet first (simulation: wbvla stand)"
        )
    supervisor.instruct(sentence)
    try:
        supervisor.wait_for("the VLA", lambda: heard(supervisor, sentence), TAKE_S)
    except ScriptError:
        raise ScriptError(
            f"the VLA did not take the sentence, it may be too long for it; it is at: {detail(supervisor)}"
        ) from None
    supervisor.call("set_authority", source=int(Source.VLA))
    return f"told: {sentence}\nwho acts: {detail(supervisor).partition(':')[0]}"


def heard(supervisor: Supervisor, sentence: str) -> bool:
    """Whether the VLA says that it has this sentence."""
    return detail(supervisor).endswith(sentence)


def detail(supervisor: Supervisor) -> str:
    """What the VLA says of itself: its bundle and its sentence."""
    return supervisor.statuses["vla_node"].detail
