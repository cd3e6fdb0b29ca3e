"""A film of a recorded run: third person with the head camera inset, rendered from the bag's positions."""

from __future__ import annotations

import io
from pathlib import Path

import mujoco
import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import Progress
from rosbags.highlevel import AnyReader
from wbvla_core.model import ROOT_JOINT, hand_addresses, joint_addresses, opening_to_finger_m
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S
from wbvla_sim.film import Film
from wbvla_sim.gantry import show_gantry
from wbvla_sim.render import Renderer
from wbvla_sim.scenes import build_scene

SIZE = (960, 540)
INSET_WIDTH = 300
FRAME_RATE_HZ = 20
OUT_OF_SIGHT_M = (0.0, 0.0, 20.0)
CAMERA = "head_camera/image_raw/compressed"


class Stage:
    """The scene posed by messages: joint_states for the robot's joints, sim/state for all that floats."""

    def __init__(self, spec: RobotSpec, scene: str, seed: int):
        self.spec = spec
        self.model = build_scene(spec, scene, seed).compile()
        self.data = mujoco.MjData(self.model)
        self._joints, _ = joint_addresses(self.model, spec)
        self._hands, _ = hand_addresses(self.model, spec)
        self._root = int(self.model.joint(ROOT_JOINT).qposadr[0])

    def set_joints(self, position: np.ndarray) -> None:
        """``position`` [n + hands]: joints [rad], then gripper openings."""
        n = self.spec.n
        self.data.qpos[self._joints] = position[:n]
        fingers_m = opening_to_finger_m(self.spec, position[n:])
        self.data.qpos[self._hands] = self.data.qpos[self._hands + 1] = fingers_m

    def set_world(self, state) -> None:
        """``state``: wbvla_msgs/SimState."""
        self._free_body(self._root, state.pelvis)
        for thing in state.objects:
            body = self.model.body(thing.name)
            if body.jntnum[0] == 1 and self.model.jnt_type[body.jntadr[0]] == mujoco.mjtJoint.mjJNT_FREE:
                self._free_body(int(self.model.jnt_qposadr[body.jntadr[0]]), thing.pose)
            elif body.jntnum[0] == 3:
                self._rolling_body(thing.name, thing.pose)
        hooked = bool(np.isfinite(state.gantry_height))
        p = state.pelvis.position
        bar = (p.x, p.y, state.gantry_height) if hooked else OUT_OF_SIGHT_M
        show_gantry(self.model, self.data, np.array([*bar, 1.0, 0.0, 0.0, 0.0]), hooked)

    def _rolling_body(self, name: str, pose) -> None:
        """A cart: joints along and across its first heading, and about the vertical."""
        body, q = self.model.body(name), pose.orientation
        first = 2.0 * np.arctan2(body.quat[3], body.quat[0])
        dx, dy = pose.position.x - body.pos[0], pose.position.y - body.pos[1]
        c, s = np.cos(first), np.sin(first)
        turned = 2.0 * np.arctan2(q.z, q.w) - first
        for axis, value in (("x", c * dx + s * dy), ("y", c * dy - s * dx), ("yaw", turned)):
            self.data.joint(f"{name}_{axis}").qpos[0] = value

    def _free_body(self, address: int, pose) -> None:
        p, q = pose.position, pose.orientation
        self.data.qpos[address : address + 7] = p.x, p.y, p.z, q.w, q.x, q.y, q.z


def render_bag(
    bag: Path, film: Path, spec: RobotSpec, namespace: str, scene: str, seed: int, console: Console
) -> None:
    """Write ``film`` from ``bag``. Raises ValueError when the bag lacks joint_states or sim/state."""
    prefix = f"/{namespace.strip('/')}/"
    joints, world, camera = (prefix + name for name in ("joint_states", "sim/state", CAMERA))
    stage = Stage(spec, scene, seed)
    writer = Film(film, *SIZE, FRAME_RATE_HZ)
    frames = 0
    with (
        AnyReader([bag]) as reader,
        Renderer(stage.model, *SIZE, shadows=True) as renderer,
        Progress(console=console, transient=True) as progress,
    ):
        task = progress.add_task("rendering the film", total=(reader.end_time - reader.start_time) / NS_PER_S)
        connections = [
            connection for connection in reader.connections if connection.topic in (joints, world, camera)
        ]
        newest: dict = {}
        due_ns = reader.start_time
        for connection, log_ns, raw in reader.messages(connections):
            newest[connection.topic] = (connection.msgtype, raw)
            if log_ns < due_ns or joints not in newest or world not in newest:
                continue
            due_ns += NS_PER_S // FRAME_RATE_HZ
            messages = {topic: reader.deserialize(data, kind) for topic, (kind, data) in newest.items()}
            stage.set_joints(np.asarray(messages[joints].position))
            stage.set_world(messages[world])
            mujoco.mj_forward(stage.model, stage.data)
            pelvis = messages[world].pelvis.position
            picture = renderer.third_person(stage.data, (pelvis.x, pelvis.y, 0.75), distance_m=3.0)
            if camera in messages:
                _put_inset(picture, messages[camera].data)
            writer.add(picture)
            frames += 1
            progress.update(task, completed=(log_ns - reader.start_time) / NS_PER_S)
    writer.close()
    if not frames:
        raise ValueError(f"bag {bag} has no joint_states or no sim/state under {prefix}; nothing to render")


def _put_inset(picture: np.ndarray, jpeg: np.ndarray) -> None:
    image = Image.open(io.BytesIO(bytes(jpeg)))
    size = (INSET_WIDTH, round(INSET_WIDTH * image.height / image.width))
    small = np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))
    picture[8 : 8 + size[1], 8 : 8 + size[0]] = small
