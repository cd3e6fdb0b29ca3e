"""Arm clips: both hands reaching through space by inverse kinematics, 50 Hz, for replay under a learning policy."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
from wbvla_core.model import build_mjspec
from wbvla_core.robot_spec import RobotSpec

from .config import ConfigError

FRAME_S = 0.02
_REACH_LOW_M = np.array([0.12, -0.05, 0.0])
_REACH_HIGH_M = np.array([0.45, 0.42, 0.50])


def generate(spec: RobotSpec, count: int, seconds: float, seed: int) -> np.ndarray:
    """Clips [count, T, arm joints] rad, float32.

    Each hand goes along minimum-jerk lines through random points of the space in front of the torso (box in the torso
    frame), 0.8..2.2 s each, followed by damped least squares that also pulls towards the default pose."""
    model = build_mjspec(spec, hands=False, visuals=False, bodies_collide=False).compile()
    data = mujoco.MjData(model)
    rng = np.random.default_rng(seed)
    arms = spec.index("arms")
    lower, upper, rest = spec.lower_rad[arms], spec.upper_rad[arms], spec.default_rad[arms]
    hands = [model.body(hand.link).id for hand in spec.hands]
    steps = round(seconds / FRAME_S)
    clips = np.empty((count, steps, len(arms)), np.float32)
    jacobian = np.zeros((3, model.nv))
    for clip in clips:
        paths = [_path(rng, steps, side) for side in (1.0, -1.0)]
        data.qpos[:] = 0.0
        data.qpos[3] = 1.0
        data.qpos[7:] = spec.default_rad
        torso = model.body("torso_link").id
        for t in range(steps):
            for _ in range(4 if t == 0 else 1):
                mujoco.mj_kinematics(model, data)
                mujoco.mj_comPos(model, data)
                step = 0.02 * (rest - data.qpos[7 + arms])
                for hand, path, spec_hand in zip(hands, paths, spec.hands, strict=True):
                    tip = data.xpos[hand] + data.xmat[hand].reshape(3, 3) @ np.asarray(spec_hand.xyz_m)
                    mujoco.mj_jac(model, data, jacobian, None, tip, hand)
                    j = jacobian[:, 6 + arms]
                    error = data.xpos[torso] + path[t] - tip
                    error *= min(1.0, 0.08 / max(np.linalg.norm(error), 1e-9))
                    step += j.T @ np.linalg.solve(j @ j.T + 0.01 * np.eye(3), error)
                data.qpos[7 + arms] = np.clip(data.qpos[7 + arms] + np.clip(step, -0.08, 0.08), lower, upper)
            clip[t] = data.qpos[7 + arms]
    return clips


def _path(rng: np.random.Generator, steps: int, side: float) -> np.ndarray:
    """Points [steps, 3] of one hand in the torso frame; ``side`` 1 left, -1 right."""
    flip = np.array([1.0, side, 1.0])
    point = rng.uniform(_REACH_LOW_M, _REACH_HIGH_M) * flip
    parts: list[np.ndarray] = []
    while sum(len(part) for part in parts) < steps:
        goal = rng.uniform(_REACH_LOW_M, _REACH_HIGH_M) * flip
        n = int(rng.uniform(0.8, 2.2) / FRAME_S)
        s = np.arange(1, n + 1)[:, None] / n
        parts.append(point + (goal - point) * (10 * s**3 - 15 * s**4 + 6 * s**5))
        parts.append(np.repeat(goal[None], int(rng.uniform(0.0, 0.4) / FRAME_S), 0))
        point = goal
    return np.concatenate(parts)[:steps]


def save(path: str | Path, clips: np.ndarray, spec: RobotSpec) -> None:
    """Write ``clips`` [C, T, J] with the joint names as .npz (half precision: 0.001 rad)."""
    np.savez_compressed(path, clips=clips.astype(np.float16), joint_names=np.array(spec.groups["arms"]))


def load(path: str | Path, spec: RobotSpec) -> np.ndarray:
    """Read clips [C, T, J] float32; raises ConfigError when the file's joints are not this robot's arms."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            clips, names = archive["clips"].astype(np.float32), tuple(archive["joint_names"].tolist())
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"{path}: not a clip file ({error}); make one with `wbvla lmo clips --out FILE`"
        ) from None
    arms = spec.groups["arms"]
    if clips.ndim != 3 or clips.shape[2] != len(arms):
        raise ConfigError(
            f"{path}: clips have shape {clips.shape}; {spec.name} has {len(arms)} arm joints, so "
            f"[clips, frames, {len(arms)}] is needed; make the file again for this robot"
        )
    if names != arms:
        raise ConfigError(
            f"{path}: joint_names differ from the arms of {spec.name}; make the file again for this robot"
        )
    return clips
