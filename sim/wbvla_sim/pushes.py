"""Pushes: constant forces on bodies for a while, given in the base's yaw frame at the moment they begin."""

from __future__ import annotations

import mujoco
import numpy as np
from wbvla_core.robot_spec import RobotSpec

LONGEST_S = 10.0


class Pushes:
    """The pushes under way in one model."""

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec) -> None:
        self._model = model
        self._base = model.body(spec.base_link).id
        self._active: list[tuple[int, np.ndarray, float]] = []

    def reset(self) -> None:
        """End all pushes."""
        self._active.clear()

    def add(self, data: mujoco.MjData, body: str, force_n: np.ndarray, duration_s: float) -> None:
        """Begin a push on the centre of mass of ``body``; see ``Plant.push`` for units and errors."""
        index = mujoco.mj_name2id(self._model, mujoco.mjtObj.mjOBJ_BODY, body)
        if index < 0:
            raise ValueError(f"push: no body {body!r} in the scene; use for example the robot's torso_link")
        if force_n.shape != (3,) or not np.all(np.isfinite(force_n)):
            raise ValueError("push: the force must be three finite numbers [N]")
        if not 0.0 < duration_s <= LONGEST_S:
            raise ValueError(f"push: duration {duration_s} s must be in 0..{LONGEST_S} s")
        forward = data.xmat[self._base].reshape(3, 3)[:, 0]
        yaw = np.arctan2(forward[1], forward[0])
        cos, sin = np.cos(yaw), np.sin(yaw)
        x, y, z = force_n
        self._active.append((index, np.array([cos * x - sin * y, sin * x + cos * y, z]), float(duration_s)))

    def update(self, data: mujoco.MjData, elapsed_s: float) -> None:
        """Add the forces of the coming ``elapsed_s`` to ``xfrc_applied``."""
        still = []
        for body, force, left_s in self._active:
            # The last stretch is scaled, so that the impulse is force times duration whatever the step.
            data.xfrc_applied[body, :3] += force * min(1.0, left_s / elapsed_s)
            if left_s - elapsed_s > 1e-9:
                still.append((body, force, left_s - elapsed_s))
        self._active = still
