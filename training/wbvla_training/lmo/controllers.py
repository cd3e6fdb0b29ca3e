"""The robot's own controller, many times: what the node runs, one instance for each simulated robot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from wbvla_core.bundle import Bundle
from wbvla_core.observation import Measured
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.stand_and_walk import with_stander
from wbvla_core.types import LocoCommand, LocoMode, RobotState

from .commands import Commands


@dataclass(frozen=True)
class SetPoints:
    """What the controllers ask of the driven joints, [N, m]: position [rad], stiffness, damping, feed-forward [N m]."""

    position: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    feedforward: np.ndarray


class Controllers:
    """N controllers of one bundle."""

    def __init__(self, bundle: Bundle, spec: RobotSpec, n: int) -> None:
        """Raises BundleError when the bundle (or the stander that belongs to it) is unusable."""
        self._spec = spec
        self._all = [with_stander(bundle, spec) for _ in range(n)]

    def reset(self, measured: Measured, heights_m: torch.Tensor, rows: np.ndarray | None = None) -> None:
        """Start anew (the robots ``rows``) standing at ``heights_m`` [N]."""
        for i in range(len(self._all)) if rows is None else rows:
            self._all[i].reset(_state(measured, i, self._spec), float(heights_m[i]))

    def step(
        self, measured: Measured, commands: Commands, goal_speed: tuple[float, float, float]
    ) -> SetPoints:
        """Set-points of all robots for what they ``measured`` and were asked."""
        answers = []
        for i, controller in enumerate(self._all):
            request = commands.request[i].tolist()
            velocity = tuple(r * g for r, g in zip(request, goal_speed, strict=True))
            command = LocoCommand(float(commands.height_m[i]), velocity=velocity, mode=LocoMode.VELOCITY)
            answers.append(controller.step(_state(measured, i, self._spec), command))
        return SetPoints(
            np.array([a.position_rad for a in answers]),
            np.array([a.stiffness for a in answers]),
            np.array([a.damping for a in answers]),
            np.array([a.effort_feedforward_nm for a in answers]),
        )


def _state(measured: Measured, i: int, spec: RobotSpec) -> RobotState:
    n = spec.n
    return RobotState(
        stamp_ns=0,
        sequence=0,
        position_rad=measured.position_rad[i].double().numpy(),
        velocity_rad_s=measured.velocity_rad_s[i].double().numpy(),
        effort_nm=np.zeros(n),
        gripper_opening=np.zeros(len(spec.hands)),
        base_quaternion_wxyz=_upright_to(measured.gravity[i].double().numpy()),
        base_angular_velocity_rad_s=measured.angular_velocity[i].double().numpy(),
        base_linear_acceleration_m_s2=np.zeros(3),
    )


def _upright_to(gravity: np.ndarray) -> np.ndarray:
    """An attitude (w, x, y, z), heading free, in whose frame gravity points along ``gravity`` [3]."""
    down = gravity / np.linalg.norm(gravity)
    quat = np.array([1.0 - down[2], -down[1], down[0], 0.0])
    size = np.linalg.norm(quat)
    return quat / size if size > 1e-6 else np.array([0.0, 1.0, 0.0, 0.0])
