"""Clips of walking, turning, sidestepping and squatting about a target, seen from the wearer's head."""

from __future__ import annotations

import mujoco
import numpy as np
from wbvla_core.model import build_mjspec
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim import scene_parts as parts
from wbvla_sim.render import Renderer
from wbvla_sim.video import rooms
from wbvla_sim.video.clip import HEIGHT_PX, RATE_HZ, WIDTH_PX, Clip, new_scene, spans_of
from wbvla_sim.video.primitives import DOMAINS, PERSON, ROBOT, Domain, Path, Segment, draw_script, walk
from wbvla_sim.video.wearers import Person, Robot, Wearer

SECONDS = (4.2, 6.0)
_TRIES = 40
# From the camera to the target's near edge when the primitive ends (or, for those that move away or stay, begins).
_GAP_M = {
    "approach_near": (0.2, 0.5), "advance": (0.5, 1.8), "back_away": (0.2, 0.6), "squat_down": (0.25, 0.9),
    "stand_up": (0.25, 0.9), "stop_ready": (0.2, 0.8), "turn": (0.5, 1.8), "sidestep": (0.4, 1.5),
}  # fmt: skip
_AT_BEGIN = ("back_away", "squat_down", "stand_up", "stop_ready", "turn", "sidestep")
_BODY_M = 0.22
# Share of the robot's clips in the very room of the twin's tasks.
_TWIN_ROOM = 0.4


class LocoFilm:
    """Makes clips; ``ready_poses`` are arm joints [K, arms] that the robot takes when it gets its hands ready."""

    def __init__(self, spec: RobotSpec, ready_poses: np.ndarray) -> None:
        self._spec, self._ready_poses = spec, ready_poses

    def film(self, rng: np.random.Generator) -> Clip:
        """One clip, decided by ``rng`` alone."""
        domain = DOMAINS["robot" if rng.random() < 0.5 else "person"]
        script, path, target, yaw, kind = _plan(rng, domain)
        scene = new_scene(
            build_mjspec(self._spec, feet="none", bodies_collide=False) if domain is ROBOT else None
        )
        _build_room(scene, rng, domain, path, target, yaw, kind)
        wearer: Wearer
        if domain is PERSON:
            wearer = Person(
                scene,
                rng,
                rng.uniform(*domain.eye_m),
                rng.uniform(*domain.pitch_rad),
                rng.uniform(*domain.fov_rad),
            )
        model = scene.compile()
        if domain is ROBOT:
            wearer = Robot(model, self._spec)
            wearer.ready_rad = self._ready_poses[int(rng.integers(len(self._ready_poses)))]
        frames = _render(model, wearer, rng, domain, script, path)
        names = [(segment.primitive, _side(segment)) for segment in script]
        return Clip(frames, domain.name, spans_of(path.segment, names))


def _side(segment: Segment) -> str:
    turned = segment.left_m_s + segment.turn_rad_s
    return "none" if turned == 0.0 else ("left" if turned > 0.0 else "right")


def _plan(rng: np.random.Generator, domain: Domain) -> tuple[list[Segment], Path, np.ndarray, float, str]:
    """A script, its path, and a target (middle [2], yaw, kind) that the path does not run into."""
    while True:
        script, lowered = draw_script(rng, domain, SECONDS)
        path = walk(rng, script, lowered, RATE_HZ)
        for _ in range(_TRIES):
            kind = str(rng.choice(rooms.TARGETS))
            anchor = int(rng.integers(len(script)))
            primitive = script[anchor].primitive
            frames = np.flatnonzero(path.segment == anchor)
            frame = int(frames[0] if primitive in _AT_BEGIN else frames[-1])
            ahead = path.ahead(frame)
            across = np.array([-ahead[1], ahead[0]])
            gap = rng.uniform(*_GAP_M[primitive]) + rooms.target_depth_m(kind)
            target = path.xy_m[frame] + ahead * gap + across * rng.uniform(-0.3, 0.3)
            yaw = float(path.yaw_rad[frame] + rng.uniform(-0.2, 0.2))
            if _clear(path, target, yaw, rooms.target_depth_m(kind)):
                return script, path, target, yaw, kind


def _clear(path: Path, target: np.ndarray, yaw_rad: float, depth_m: float) -> bool:
    turn = np.array([[np.cos(yaw_rad), np.sin(yaw_rad)], [-np.sin(yaw_rad), np.cos(yaw_rad)]])
    local = np.abs((path.xy_m - target) @ turn.T)
    outside = np.maximum(local - [depth_m, 0.5], 0.0)
    return bool(np.linalg.norm(outside, axis=1).min() > _BODY_M - 0.08)


def _build_room(
    scene: mujoco.MjSpec,
    rng: np.random.Generator,
    domain: Domain,
    path: Path,
    target: np.ndarray,
    yaw: float,
    kind: str,
) -> None:
    points = np.concatenate((path.xy_m, target[None]))
    twin = domain is ROBOT and np.abs(points).max() < parts.ROOM_HALF_M - 0.7 and rng.random() < _TWIN_ROOM
    if twin:
        parts.add_room(scene, rng)
        bounds = rooms.Bounds((-parts.ROOM_HALF_M,) * 2, (parts.ROOM_HALF_M,) * 2, 2.8)
    else:
        bounds = rooms.Bounds.around(rng, points)
        rooms.add_shell(scene, rng, bounds)
    rooms.add_target(scene, rng, kind, target, yaw)
    if not twin or rng.random() < 0.5:
        rooms.add_clutter(scene, rng, bounds, path.xy_m, target[None])


def _render(
    model: mujoco.MjModel,
    wearer: Wearer,
    rng: np.random.Generator,
    domain: Domain,
    script: list[Segment],
    path: Path,
) -> np.ndarray:
    data = mujoco.MjData(model)
    shakes = _shakes(rng, domain, path)
    hands = _hands(rng, script, path)
    frames = np.empty((len(path.yaw_rad), HEIGHT_PX, WIDTH_PX, 3), np.uint8)
    with Renderer(model, WIDTH_PX, HEIGHT_PX) as renderer:
        for i in range(len(frames)):
            wearer.pose(
                data,
                path.xy_m[i],
                float(path.yaw_rad[i]),
                float(path.lowered_m[i]),
                shakes[i],
                float(hands[i]),
            )
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            mujoco.mj_camlight(model, data)
            frames[i] = renderer.camera(data, wearer.camera)
    return frames


def _shakes(rng: np.random.Generator, domain: Domain, path: Path) -> np.ndarray:
    """Bob and sway [N, 6] of the steps, in proportion to the speed, and a slow drift of the head."""
    gait = np.clip(np.abs(path.speed[:, :3]).sum(1) / 0.4, 0.05, 1.2)
    bob, sway = rng.uniform(*domain.bob_m), rng.uniform(*domain.sway_rad)
    step = path.phase_rad
    columns = [0.8 * bob * np.sin(step), np.zeros_like(step), bob * np.cos(2.0 * step),
               sway * np.sin(step), 0.6 * sway * np.cos(2.0 * step), 0.6 * sway * np.sin(step + 0.7)]  # fmt: skip
    shake = np.stack(columns, 1) * gait[:, None]
    time = np.arange(len(step)) / RATE_HZ
    for axis in (3, 4, 5):
        rate, phase = rng.uniform(0.1, 0.4), rng.uniform(0.0, 2.0 * np.pi)
        shake[:, axis] += 0.5 * sway * np.sin(2.0 * np.pi * rate * time + phase)
    return shake


def _hands(rng: np.random.Generator, script: list[Segment], path: Path) -> np.ndarray:
    """How far the hands are up [N]: raised in stop_ready, carried before the body in some clips, else down."""
    level = float(rng.choice([0.0, 0.0, 0.75]))
    out = np.empty(len(path.segment))
    for i, segment in enumerate(script):
        rows = np.flatnonzero(path.segment == i)
        if segment.primitive != "stop_ready":
            out[rows] = level
            continue
        goal = 1.0 if level < 0.5 else float(rng.uniform(0.95, 1.1))
        share = np.clip(
            (np.arange(len(rows)) / RATE_HZ - rng.uniform(0.0, 0.4)) / rng.uniform(0.8, 1.8), 0.0, 1.0
        )
        out[rows] = level + (goal - level) * (3.0 * share**2 - 2.0 * share**3)
        level = goal
    return out
