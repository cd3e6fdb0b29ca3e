"""Trials on the running graph, in real time: launches it, and runs one after the other, recorded through teleoperation
node and recorder, or only judged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import rclpy
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from wbvla_core.robot_spec import RobotSpec
from wbvla_ros.launched_graph import Graph, GraphError

from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.base import Task
from wbvla_sim.tasks.gamepad_node import ImitatedGamepad
from wbvla_sim.tasks.graph_trial import run_on_graph
from wbvla_sim.tasks.graph_watch import GraphWatch
from wbvla_sim.tasks.lockstep_trial import OPERATOR, TrialResult
from wbvla_sim.tasks.referee import Referee
from wbvla_sim.tasks.scribes import GamepadScribe, Scribe, ServiceScribe, Teller
from wbvla_sim.tasks.supervisor import Supervisor

NODES = ("sim_node", "driver", "lmo_node")


@dataclass(frozen=True)
class GraphOptions:
    """How to run: ``device`` scripted or joy, ``lmo`` bundle, ``out`` folder for bags, who operates, which robot;
    ``discard_last``: the last episode is discarded although it may be good. ``policy``: a VLA bundle instead of the
    operator; ``record`` False: nothing is recorded; ``plant_summary``: file for the plant's own account ("" for none);
    ``log``: for the graph's output (None: OUT/launch.log)."""

    device: str
    lmo: str
    out: Path
    operator_name: str
    robot: str
    discard_last: bool = False
    namespace: str = "wbvla"
    policy: str = OPERATOR
    record: bool = True
    plant_summary: str = ""
    log: Path | None = None

    @property
    def by_operator(self) -> bool:
        """Whether the scripted operator acts, and no VLA."""
        return self.policy == OPERATOR


def launch_arguments(task: Task, options: GraphOptions, seed: int) -> dict[str, str]:
    """Arguments of the launch file; those left empty are not given, because ros2 launch refuses ``name:=``."""
    arguments = {
        "sim": "true",
        "scene": task.scene,
        "seed": str(seed),
        "lmo": options.lmo,
        "teleop": options.device if options.by_operator else "",
        "record": "ready" if options.record else "false",
        **({} if options.by_operator else {"vla": options.policy}),
        "bag_dir": str(options.out.resolve()),
        "operator": options.operator_name,
        "namespace": options.namespace,
        "robot": options.robot,
        "plant_summary": options.plant_summary,
    }
    return {name: value for name, value in arguments.items() if value}


@dataclass(frozen=True)
class Session:
    """A running graph with whoever runs trials on it."""

    graph: Graph
    supervisor: Supervisor
    referee: Referee


@contextmanager
def graph_session(
    task: Task, spec: RobotSpec, options: GraphOptions, seed: int, console: Console
) -> Iterator[Session]:
    """Launch the graph with the scene of ``task`` and ``seed``, wait until it is up, and end it afterwards.

    Raises ScriptError when it does not come up."""
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    log = options.log or options.out / "launch.log"
    console.print(f"starting the graph (ROS_DOMAIN_ID {os.environ['ROS_DOMAIN_ID']}, output in {log})")
    with ExitStack() as stack:
        graph = stack.enter_context(Graph("x2", launch_arguments(task, options, seed), log))

        def alive() -> None:
            try:
                graph.check()
            except GraphError as error:
                raise ScriptError(str(error)) from None

        # Ctrl-C ends the trial as discarded, which takes a living context.
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        stack.callback(rclpy.try_shutdown)
        supervisor = Supervisor(options.namespace, alive)
        stack.callback(supervisor.close)
        actor = "teleop_node" if options.by_operator else "vla_node"
        supervisor.wait_for_nodes((*NODES, actor, *(["recorder"] if options.record else [])))
        referee = Referee(options.namespace, spec)
        stack.callback(referee.close)
        yield Session(graph, supervisor, referee)


def run_all_on_graph(
    task: Task, spec: RobotSpec, options: GraphOptions, seeds: list[int], console: Console
) -> list[TrialResult]:
    """One trial for each seed; bags get names by time. Raises ScriptError when the graph fails."""
    results: list[TrialResult] = []
    if not seeds:
        return results
    with graph_session(task, spec, options, seeds[0], console) as session:
        scribe = _scribe(task, spec, options, session.supervisor)
        watch = GraphWatch(session.supervisor.node)
        for seed in seeds:
            watch.begin()
            keep = not (options.discard_last and seed == seeds[-1])
            try:
                result = run_on_graph(
                    session.supervisor, session.referee, scribe, task, seed, options.out, keep
                )
            except KeyboardInterrupt:
                console.print(f"stopped after {len(results)} of {len(seeds)}")
                break
            results.append(replace(result, notes=watch.notes()))
            state = "done" if result.verdict.success else result.verdict.reason
            console.print(f"seed {seed}: {result.sentence}: {state} ({result.verdict.time_s:.1f} s)")
    return results


def _scribe(task: Task, spec: RobotSpec, options: GraphOptions, supervisor: Supervisor) -> Scribe:
    if not options.record:
        return Teller(supervisor, vla=not options.by_operator)
    if options.device == "joy":
        return GamepadScribe(supervisor, ImitatedGamepad(supervisor.node, spec, task.operator))
    return ServiceScribe(supervisor, options.operator_name)
