"""``wbvla view``: the running simulation in the browser, with a place to type what the robot shall do.

It reads the simulator's mailbox, which costs the physics nothing, and is a node like any other."""

from __future__ import annotations

import io
import os
import signal
import sys
import time
from dataclasses import dataclass

import mujoco
import numpy as np
import rclpy
import tyro
from PIL import Image
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.shared_slots import MailboxError
from wbvla_core.types import Reason, Source, State
from wbvla_core.vla_input import InputError, check_sentence
from wbvla_sim.mirror import Mirror
from wbvla_sim.script import ScriptError
from wbvla_sim.sim_mailbox import SimMailbox, SimSnapshot
from wbvla_sim.tasks.base import tasks_of
from wbvla_sim.tasks.graph_trial import VERDICT_TOPIC, begin_scene, rest, stand_up
from wbvla_sim.tasks.supervisor import Supervisor
from wbvla_sim.view.browser import SceneView, address, open_server
from wbvla_sim.view.panel import PICTURE_SHAPE, Panel, Wishes

from wbvla_ros import qos

RATE_HZ = 20.0
PICTURE_EVERY, STATE_EVERY = 4, 10
"""In turns of the loop: 5 pictures a second, the state twice."""
OPEN_TIMEOUT_S = 60.0
NICENESS = 5
"""Whoever looks on must not disturb the control loops."""
MOVING = (State.STANDING, State.ACTIVE)


@dataclass
class Arguments:
    """Look at the running simulation in the browser; type a sentence, and the robot follows it from the next tick on."""

    namespace: str = "wbvla"
    """Namespace of the robot."""
    port: int = 8080
    """Where the page is; the next free one when it is taken."""
    host: str = "127.0.0.1"
    """127.0.0.1: only this machine. Whoever can open the page can command the robot."""
    operator: bool = False
    """The scripted operator of a teleoperation node follows the sentences, not the VLA."""
    robot: str = "x2_ultra"
    """Robot spec, by name or path."""
    seconds: float = 0.0
    """Stop after so many seconds; 0: until Ctrl-C."""


class Visit:
    """The robot as the page shows it, and what the page's buttons do to it."""

    def __init__(self, arguments: Arguments) -> None:
        """Raises MailboxError when no simulation runs."""
        self._by_operator = arguments.operator
        self._spec = RobotSpec.load(arguments.robot)
        self._box = SimMailbox.open(arguments.namespace, self._spec, OPEN_TIMEOUT_S)
        self._mirror = Mirror(self._spec)
        self._snapshot: SimSnapshot | None = None
        self._jpeg: bytes | None = None
        self._verdict = ""
        self._supervisor = Supervisor(arguments.namespace, name="view")
        node = self._supervisor.node
        node.create_subscription(
            CompressedImage, "head_camera/image_raw/compressed", self._on_image, qos.CAMERA
        )
        node.create_subscription(String, VERDICT_TOPIC, self._on_verdict, qos.LATCHED)
        self.server = open_server(arguments.host, arguments.port)
        self._scene = SceneView(self.server)
        self._panel = Panel(self.server, Wishes(self._say, self._stop, self._estop, self._anew))

    def turn(self, number: int) -> None:
        """One turn of the loop: show what is new."""
        snapshot = self._box.read()
        if snapshot is None:
            return
        before, self._snapshot = self._snapshot, snapshot
        self._mirror.follow(snapshot)
        model, data = self._mirror.model, self._mirror.data
        if before is None or (before.task, before.seed) != (snapshot.task, snapshot.seed):
            self._panel.offer(sentences_of(snapshot.task, snapshot.seed, model))
        if not self.server.get_clients():
            return
        mujoco.mj_tendon(model, data)
        self._scene.follow(model, data)
        if number % PICTURE_EVERY == 0 and self._jpeg is not None:
            jpeg, self._jpeg = self._jpeg, None
            self._panel.look(small_picture(jpeg))
        if number % STATE_EVERY == 0:
            self._panel.show(self._state_text(snapshot))

    def rejoin(self) -> None:
        """Join a plant that was started anew. Raises MailboxError when there is none any more."""
        if self._box.orphaned:
            box = SimMailbox.open(self._supervisor.node.get_namespace().strip("/"), self._spec)
            self._box.close()
            self._box = box

    def gantry_height_m(self) -> float:
        """Of the bar; NaN while unhooked."""
        return float("nan") if self._snapshot is None else self._snapshot.gantry_height_m

    def close(self) -> None:
        """Leave the graph and close the page."""
        self._supervisor.close()
        self._box.close()
        self.server.stop()

    # What is pressed, in threads of the server.

    def _say(self, text: str) -> str:
        try:
            sentence = check_sentence(" ".join(text.split()))
        except InputError as error:
            return str(error)
        if self._supervisor.driver not in MOVING:
            return f"the robot is {self._supervisor.driver.name}; press New scene"
        try:
            self._supervisor.instruct(sentence)
            if not self._by_operator:
                self._supervisor.call("set_authority", source=int(Source.VLA))
        except ScriptError as error:
            return str(error)
        return f"told: {sentence}"

    def _stop(self) -> str:
        try:
            rest(self._supervisor)
        except ScriptError as error:
            return str(error)
        return "stopped; it stands"

    def _estop(self) -> str:
        try:
            self._supervisor.call("estop", reason="browser")
        except ScriptError as error:
            return str(error)
        return "emergency stop"

    def _anew(self) -> str:
        snapshot = self._snapshot
        if snapshot is None:
            return "the plant does not say where the robot is"
        seed = snapshot.seed + 1
        try:
            begin_scene(self._supervisor, snapshot.task, seed)
            self._supervisor.wait_for(
                "the new scene", lambda: self._snapshot is not None and self._snapshot.seed == seed, 10.0
            )
            stand_up(self._supervisor, self)
        except ScriptError as error:
            return str(error)
        return f"scene {snapshot.task}, seed {seed}"

    # What is shown.

    def _state_text(self, snapshot: SimSnapshot) -> str:
        lines = [f"**{snapshot.task}**, seed {snapshot.seed}, {snapshot.real_time_factor:.2f} x real time"]
        for name, title in (("driver", "robot"), ("vla_node", "VLA"), ("teleop_node", "operator")):
            status = self._supervisor.statuses.get(name)
            if status is not None:
                reason = "" if status.reason == int(Reason.NONE) else f" ({Reason(status.reason).name})"
                detail = f": {status.detail}" if status.detail else ""
                lines.append(f"{title} **{State(status.state).name}**{reason}{detail}")
        return "\n\n".join([*lines, *([f"judge: **{self._verdict}**"] if self._verdict else [])])

    def _on_image(self, message: CompressedImage) -> None:
        self._jpeg = bytes(message.data)

    def _on_verdict(self, message: String) -> None:
        self._verdict = message.data


def sentences_of(scene: str, seed: int, model: mujoco.MjModel) -> tuple[str, ...]:
    """What the tasks of a scene ask for, and what else could be asked there."""
    found: list[str] = []
    for task in tasks_of(scene):
        found.append(task.sentence(model, seed))
        if task.swapped is not None:
            found.append(task.swapped(model, found[-1]))
    return tuple(dict.fromkeys(found))


def small_picture(jpeg: bytes) -> np.ndarray:
    """RGB [240, 320, 3] of a JPEG."""
    image = Image.open(io.BytesIO(jpeg))
    height, width, _ = PICTURE_SHAPE
    image.draft("RGB", (width, height))
    return np.asarray(image.convert("RGB").resize((width, height)))


def main(argv: list[str]) -> int:
    arguments = tyro.cli(Arguments, args=argv, prog="wbvla view")
    os.nice(NICENESS)
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    try:
        visit = Visit(arguments)
    except MailboxError as error:
        print(f"wbvla view: {error}", file=sys.stderr)
        rclpy.try_shutdown()
        return 1
    print(f"look at {address(visit.server)} (Ctrl-C ends)", flush=True)
    begin_s, number = time.monotonic(), 0
    try:
        while not stopping:
            visit.turn(number)
            number += 1
            if number % round(RATE_HZ) == 0:
                visit.rejoin()
            if arguments.seconds and time.monotonic() - begin_s > arguments.seconds:
                break
            time.sleep(max(0.0, begin_s + number / RATE_HZ - time.monotonic()))
    except MailboxError as error:
        print(f"wbvla view: {error}", file=sys.stderr)
        return 1
    finally:
        visit.close()
        rclpy.try_shutdown()
    return 0
