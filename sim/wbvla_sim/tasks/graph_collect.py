"""Trials on the running graph, in real time: launches it, and runs one after the other, recorded through teleoperation
node and recorder, or only judged."""

from __future__ import annotations

import math
import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import rclpy
from rclpy.signals import SignalHandlerOptions
from rich.console import Console
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import Source, State
from wbvla_teleop.devices.scripted import REST
from wbvla_teleop.frame import EPISODE_DISCARD, EPISODE_START, EPISODE_STOP

from wbvla_msgs.msg import EpisodeStatus
from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.base import Outcome, Task, Verdict
from wbvla_sim.tasks.gamepad_node import ImitatedGamepad
from wbvla_sim.tasks.lockstep_trial import AFTER_S, OPERATOR, TrialResult
from wbvla_sim.tasks.referee import Referee
from wbvla_sim.tasks.supervisor import Supervisor

NODES = ("sim_node", "driver", "lmo_node")
LOWER_M, LOWER_SPEED_M_S = 0.16, 0.2
"""The robot hangs 10 cm above the floor; the rope is then 6 cm slack."""
SETTLE_S = 1.0


@dataclass(frozen=True)
class GraphOptions:
    """How to run: ``device`` scripted or joy, ``lmo`` bundle, ``out`` folder for bags, who operates, which robot;
    ``discard_last``: the last episode is discarded although it may be good. ``policy``: a VLA bundle instead of the
    operator; ``record`` False: nothing is recorded."""

    device: str
    lmo: str
    out: Path
    operator_name: str
    robot: str
    discard_last: bool = False
    namespace: str = "wbvla"
    policy: str = OPERATOR
    record: bool = True


def launch_arguments(task: Task, options: GraphOptions, seed: int) -> dict[str, str]:
    """Arguments of the launch file."""
    by_operator = options.policy == OPERATOR
    return {
        "sim": "true",
        "scene": task.scene,
        "seed": str(seed),
        "lmo": options.lmo,
        "teleop": options.device if by_operator else "",
        "record": "ready" if options.record else "false",
        **({} if by_operator else {"vla": options.policy}),
        "bag_dir": str(options.out.resolve()),
        "operator": options.operator_name,
        "namespace": options.namespace,
        "robot": options.robot,
    }


def run_all_on_graph(
    task: Task, spec: RobotSpec, options: GraphOptions, seeds: list[int], console: Console
) -> list[TrialResult]:
    """One trial for each seed; bags get names by time. Raises ScriptError when the graph fails."""
    from wbvla_cli.graph import Graph, GraphError

    results: list[TrialResult] = []
    if not seeds:
        return results
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    os.environ.setdefault("ROS_DOMAIN_ID", str(os.getpid() % 100 + 1))
    log = options.out / "launch.log"
    console.print(f"starting the graph (ROS_DOMAIN_ID {os.environ['ROS_DOMAIN_ID']}, output in {log})")
    with ExitStack() as stack:
        graph = stack.enter_context(Graph("x2", launch_arguments(task, options, seeds[0]), log))

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
        by_operator = options.policy == OPERATOR
        nodes = (
            *NODES,
            "teleop_node" if by_operator else "vla_node",
            *(["recorder"] if options.record else []),
        )
        supervisor.wait_for_nodes(nodes)
        referee = Referee(options.namespace, spec)
        stack.callback(referee.close)
        scribe: Scribe = ServiceScribe(supervisor, options.operator_name)
        if not options.record:
            scribe = Teller(supervisor, vla=not by_operator)
        elif options.device == "joy":
            scribe = GamepadScribe(supervisor, ImitatedGamepad(supervisor.node, spec, task.operator))
        for seed in seeds:
            keep = not (options.discard_last and seed == seeds[-1])
            try:
                result = run_on_graph(supervisor, referee, scribe, task, seed, options.out, keep)
            except KeyboardInterrupt:
                console.print(f"stopped after {len(results)} of {len(seeds)}")
                break
            results.append(result)
            state = "done" if result.verdict.success else result.verdict.reason
            console.print(f"seed {seed}: {result.sentence}: {state} ({result.verdict.time_s:.1f} s)")
    return results


def run_on_graph(
    supervisor: Supervisor,
    referee: Referee,
    scribe: Scribe,
    task: Task,
    seed: int,
    out: Path,
    keep: bool = True,
) -> TrialResult:
    """One trial: reset, stand up, record while the operator acts, judge. A failed one, or one not to keep, is
    discarded."""
    begin_s = time.monotonic()
    supervisor.instruct(REST)
    supervisor.call("estop", reason="between trials")
    supervisor.call("sim/reset", task=task.scene, seed=seed)
    sentence = referee.prepare(task, seed)
    supervisor.wait_for("the new scene", referee.shows, 10.0)
    try:
        stand_up(supervisor, referee)
    except ScriptError as error:
        verdict = Verdict(Outcome.FAILED, f"did not stand up: {error}", 0.0)
        return TrialResult(seed, sentence, verdict, None, 0.0, time.monotonic() - begin_s)
    start_s = time.monotonic()
    name = scribe.start(sentence)
    try:
        verdict = watch(supervisor, referee)
        time.sleep(AFTER_S)
    except BaseException:
        scribe.discard("interrupted")
        raise
    if verdict.success and keep:
        scribe.stop(verdict)
    else:
        scribe.discard(verdict.reason if not verdict.success else "not to be kept")
    end_s = time.monotonic()
    bag = out / name if name else None
    return TrialResult(seed, sentence, verdict, bag, end_s - start_s, end_s - begin_s)


class Scribe(Protocol):
    """Begins and ends episodes, and has the operator begin."""

    def start(self, sentence: str) -> str:
        """Returns the episode's name."""
        ...

    def stop(self, verdict: Verdict) -> None: ...

    def discard(self, reason: str) -> None: ...


class ServiceScribe:
    """By the recorder's services; the operator in the teleoperation node begins at the instruction."""

    def __init__(self, supervisor: Supervisor, operator_name: str) -> None:
        self._supervisor, self._operator_name = supervisor, operator_name

    def start(self, sentence: str) -> str:
        response = self._supervisor.call("start_episode", task=sentence, operator_name=self._operator_name)
        self._supervisor.instruct(sentence)
        return response.episode

    def stop(self, verdict: Verdict) -> None:
        self._supervisor.call("stop_episode", task_succeeded=verdict.success, note=verdict.reason)

    def discard(self, reason: str) -> None:
        self._supervisor.call("discard_episode", reason=reason)


class Teller:
    """Records nothing: tells the sentence, and gives a VLA the authority."""

    def __init__(self, supervisor: Supervisor, vla: bool) -> None:
        self._supervisor, self._vla = supervisor, vla

    def start(self, sentence: str) -> str:
        self._supervisor.instruct(sentence)
        if self._vla:
            self._supervisor.call("set_authority", source=int(Source.VLA))
        return ""

    def stop(self, verdict: Verdict) -> None:
        self._supervisor.instruct(REST)

    def discard(self, reason: str) -> None:
        self._supervisor.instruct(REST)


class GamepadScribe:
    """By the buttons of the imitated gamepad, as a person at the robot would."""

    def __init__(self, supervisor: Supervisor, gamepad: ImitatedGamepad) -> None:
        self._supervisor, self._gamepad = supervisor, gamepad

    def start(self, sentence: str) -> str:
        self._supervisor.instruct(sentence)
        time.sleep(0.2)
        self._gamepad.press(EPISODE_START)
        name = self._supervisor.wait_for_episode(EpisodeStatus.RECORDING)
        self._gamepad.begin(sentence)
        return name

    def stop(self, verdict: Verdict) -> None:
        self._gamepad.rest()
        self._gamepad.press(EPISODE_STOP)
        self._supervisor.wait_for_episode(EpisodeStatus.FINISHED, EpisodeStatus.FAILED)

    def discard(self, reason: str) -> None:
        self._gamepad.rest()
        self._gamepad.press(EPISODE_DISCARD)
        self._supervisor.wait_for_episode(EpisodeStatus.DISCARDED, EpisodeStatus.FAILED)


def stand_up(supervisor: Supervisor, referee: Referee) -> None:
    """From hanging in damping to standing on the floor without a rope. Raises ScriptError."""
    supervisor.wait_for("the robot to hang", lambda: math.isfinite(referee.gantry_height_m()), 5.0)
    time.sleep(0.5)
    supervisor.call("release", hoisted=True)
    supervisor.wait_for_state(State.STANDING, timeout_s=15.0)
    height = referee.gantry_height_m() - LOWER_M
    supervisor.call("sim/gantry", hooked=True, height=height, speed=LOWER_SPEED_M_S)
    supervisor.wait_for(
        "the rope to hang loose", lambda: supervisor.sim is not None and not supervisor.sim.hoisted, 10.0
    )
    time.sleep(SETTLE_S)
    supervisor.call("sim/gantry", hooked=False, height=0.0, speed=LOWER_SPEED_M_S)


def watch(supervisor: Supervisor, referee: Referee) -> Verdict:
    """Until the judge, or the driver's giving up, ends the trial."""
    last = Verdict(Outcome.FAILED, "the plant shows another scene", 0.0)
    while True:
        verdict = referee.look()
        if verdict is None or verdict.over:
            return verdict or last
        last = Verdict(Outcome.FAILED, f"the driver went to {supervisor.driver.name}", verdict.time_s)
        if supervisor.driver in (State.DAMPING, State.LAST_RESORT):
            return last
        time.sleep(0.005)
