"""Clips of the robot's arms at a table, seen by its own still head camera."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from wbvla_core.model import build_mjspec
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim import scene_parts as parts
from wbvla_sim.render import Renderer
from wbvla_sim.video import rooms, textures
from wbvla_sim.video.arms import STEP_S, Arms
from wbvla_sim.video.clip import HEIGHT_PX, RATE_HZ, WIDTH_PX, Clip, new_scene, spans_of
from wbvla_sim.video.handling import HANDLING, handle
from wbvla_sim.video.wearers import Robot

SECONDS = (4.2, 6.0)
_TWIN_ROOM = 0.4
_BOTH_HANDS = 0.3
_THING = "thing"
_LOWEST_M = 0.06


@dataclass(frozen=True)
class _Scene:
    """Compiled scene; the thing's place on the table [3] (world), its half width, and the hands that take it."""

    model: mujoco.MjModel
    thing_m: np.ndarray
    half_width_m: float
    hands: tuple[int, ...]


class ManiFilm:
    """Makes clips of handling."""

    def __init__(self, spec: RobotSpec, arms: Arms) -> None:
        self._spec, self._arms = spec, arms

    def film(self, rng: np.random.Generator) -> Clip:
        """One clip, decided by ``rng`` alone."""
        scene = self._build(rng)
        model, data = scene.model, mujoco.MjData(scene.model)
        robot = Robot(model, self._spec)
        lowered = float(rng.uniform(0.0, _LOWEST_M))
        still = np.zeros(6)
        robot.pose(data, np.zeros(2), 0.0, lowered, still, 0.0)
        mujoco.mj_kinematics(model, data)
        pelvis = data.body(self._spec.links[0].name)
        turn, origin = pelvis.xmat.reshape(3, 3).copy(), pelvis.xpos.copy()
        motion = handle(rng, turn.T @ (scene.thing_m - origin), scene.hands, scene.half_width_m)
        begin, end = self._window(rng, motion.phase)
        joints = self._solve(motion.points_m[:end])
        every = round(1.0 / (RATE_HZ * STEP_S) * 2)
        # Steps of 0.04 s and frames of 0.1 s meet every fifth step: the nearest step before a frame is shown.
        steps = np.arange(2 * begin, 2 * end, every) // 2
        address = int(model.joint(f"{_THING}_joint").qposadr[0])
        frames = np.empty((len(steps), HEIGHT_PX, WIDTH_PX, 3), np.uint8)
        sway = rng.uniform(0.0, 0.003) * np.sin(np.arange(len(steps)) * rng.uniform(0.1, 0.5))
        with Renderer(model, WIDTH_PX, HEIGHT_PX) as renderer:
            for row, step in enumerate(steps):
                robot.joints_rad[self._spec.index("arms")] = joints[step]
                robot.opening = motion.opening[step]
                still[4] = sway[row]
                robot.pose(data, np.zeros(2), 0.0, lowered, still, 0.0)
                data.qpos[address : address + 3] = scene.thing_m + turn @ motion.carried_m[step]
                mujoco.mj_kinematics(model, data)
                mujoco.mj_comPos(model, data)
                mujoco.mj_camlight(model, data)
                frames[row] = renderer.camera(data, robot.camera)
        side = "both" if len(scene.hands) == 2 else ("left", "right")[scene.hands[0]]
        return Clip(frames, "robot", spans_of(motion.phase[steps], [(name, side) for name in HANDLING]))

    @staticmethod
    def _window(rng: np.random.Generator, phase: np.ndarray) -> tuple[int, int]:
        """First and last step: a clip begins with any phase."""
        begins = [0, *(np.flatnonzero(np.diff(phase)) + 1).tolist()]
        length = round(rng.uniform(*SECONDS) / STEP_S)
        begin = begins[int(rng.integers(len(begins)))]
        begin = max(0, min(begin, len(phase) - length))
        return begin, begin + length

    def _solve(self, points_m: np.ndarray) -> np.ndarray:
        """Arm joints [N, arms]: up beside the body first, then along the points."""
        self._arms.reset()
        side = np.array([[0.16, 0.36, 0.02], [0.16, -0.36, 0.02]])
        side[np.isnan(points_m[0]).any(1)] = np.nan
        for waypoint in (side, points_m[0]):
            for _ in range(30):
                self._arms.step(waypoint)
        return np.stack([self._arms.step(points) for points in points_m])

    def _build(self, rng: np.random.Generator) -> _Scene:
        scene = new_scene(build_mjspec(self._spec, feet="none", bodies_collide=False))
        gap = rng.uniform(0.2, 0.3)
        table = np.array([gap + parts.TABLE_HALF_M[0], rng.uniform(-0.1, 0.1)])
        points = np.array([[0.0, 0.0], table])
        if rng.random() < _TWIN_ROOM:
            parts.add_room(scene, rng)
            bounds = rooms.Bounds((-parts.ROOM_HALF_M,) * 2, (parts.ROOM_HALF_M,) * 2, 2.8)
        else:
            bounds = rooms.Bounds.around(rng, points)
            rooms.add_shell(scene, rng, bounds)
            rooms.add_clutter(scene, rng, bounds, points, points)
        height = float(rng.uniform(0.6, 0.72))
        parts.add_table(scene, rng, "table", table, height)
        both = rng.random() < _BOTH_HANDS
        side = 0 if rng.random() < 0.5 else 1
        y = 0.0 if both else (0.2 - 0.4 * side) + rng.uniform(-0.1, 0.1)
        x = rng.uniform(0.36, 0.42) if both else rng.uniform(0.32, 0.46)
        if both:
            parts.add_box(scene, rng, _THING, (x + 0.02, y, height), 0.0)
            half = np.array(parts.BOX_SIZE_M) / 2
            thing, width = np.array([x + 0.02, y, height + half[2]]), float(half[1])
        else:
            thing = np.array([x, y, height + _add_small_thing(scene, rng, (x, y, height))])
            width = 0.03
        for i, colour in enumerate(rng.permutation(list(parts.BALL_COLOURS))[: int(rng.integers(0, 4))]):
            spot = np.array([x + rng.uniform(-0.05, 0.15), y - np.sign(y or 1.0) * (0.25 + 0.1 * i)])
            if abs(spot[1] - table[1]) < parts.TABLE_HALF_M[1] - 0.03:
                parts.add_ball(scene, rng, str(colour), (*spot, height), f"other_{i}")
        return _Scene(scene.compile(), thing, width, (0, 1) if both else (side,))


def _add_small_thing(scene: mujoco.MjSpec, rng: np.random.Generator, at: tuple[float, float, float]) -> float:
    """A ball, block or can named _THING standing on ``at``; half its height [m]."""
    kind = rng.integers(3)
    if kind == 0:
        colours = list(parts.BALL_COLOURS)
        parts.add_ball(scene, rng, colours[int(rng.integers(len(colours)))], at, _THING)
        return parts.BALL_RADIUS_M
    half = float(rng.uniform(0.03, 0.06))
    body = scene.worldbody.add_body(name=_THING, pos=[at[0], at[1], at[2] + half])
    body.add_freejoint(name=f"{_THING}_joint")
    material = textures.add_surface(scene, rng, _THING, textures.colour(rng), textures.OBJECTS, 0.2)
    geom = body.add_geom(material=material, mass=0.1)
    if kind == 1:
        geom.type, geom.size = mujoco.mjtGeom.mjGEOM_BOX, [0.03, 0.03, half]
    else:
        geom.type, geom.size = mujoco.mjtGeom.mjGEOM_CYLINDER, [0.03, half, 0.0]
    return half
