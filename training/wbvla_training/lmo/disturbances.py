"""Pushes, sustained hand forces and force pulses, written into the engine's arrays."""

from __future__ import annotations

import torch

from . import randomisation
from .commands import uniform
from .config import RandomisationConfig
from .physics import BatchedRobot

Tensor = torch.Tensor
DT_S = 0.02
_PULSE_STEPS = 5


class Disturbances:
    """Timers and present values of what disturbs N robots. ``hand_force`` [N, 2, 3] N in the world frame."""

    def __init__(self, robot: BatchedRobot, cfg: RandomisationConfig, generator: torch.Generator) -> None:
        n = robot.num_envs
        self._robot, self._cfg, self._generator = robot, cfg, generator
        self._until_push = uniform(n, 0.0, cfg.push_period_s[1] / DT_S, generator)
        self._until_force, self._until_pulse = torch.zeros(n), torch.zeros(n)
        self.hand_force, self._goal = torch.zeros(n, 2, 3), torch.zeros(n, 2, 3)
        self._pulse = torch.zeros(n, 6)
        self._active = torch.zeros(n, dtype=torch.bool)
        self._pulsing = torch.zeros(n, dtype=torch.bool)
        self.since_push_s = torch.full((n,), 9.0)

    def reset(self, ids: Tensor) -> None:
        """New episodes for ``ids``; which of them meet hand forces and pulses is drawn here."""
        n, c, g = len(ids), self._cfg, self._generator
        self._until_push[ids] = uniform(n, c.push_period_s[0] / DT_S, c.push_period_s[1] / DT_S, g)
        self._until_force[ids] = uniform(n, 0.0, 2.0 / DT_S, g)
        self._until_pulse[ids] = uniform(n, c.pulse_period_s[0] / DT_S, c.pulse_period_s[1] / DT_S, g)
        self.hand_force[ids], self._goal[ids], self._pulse[ids] = 0.0, 0.0, 0.0
        self._active[ids] = torch.rand(n, generator=g) < c.hand_force_fraction
        self._pulsing[ids] = torch.rand(n, generator=g) < c.pulse_fraction
        self.since_push_s[ids] = 9.0

    def step(self, level: float, yaw: Tensor) -> None:
        """Advance all timers by one control step; ``level`` 0..1 scales every size."""
        c, g, robot = self._cfg, self._generator, self._robot
        self._until_push -= 1.0
        self.since_push_s += DT_S
        due = (self._until_push <= 0).nonzero()[:, 0]
        if len(due) and c.push_speed_m_s[1] > 0:
            size = min(1.0, level * c.push_level_gain)
            jump = randomisation.push_velocity(len(due), c, size, g).numpy()
            rows = due.numpy()
            robot.qvel[rows, 0] += jump[:, 0]
            robot.qvel[rows, 1] += jump[:, 1]
            robot.qvel[rows, 5] += jump[:, 2]
            self.since_push_s[due] = 0.0
        self._until_push[due] = uniform(len(due), c.push_period_s[0] / DT_S, c.push_period_s[1] / DT_S, g)
        if c.hand_force_n[1] > 0 and c.hand_force_fraction > 0:
            self._hand_forces(level)
        if c.pulse_fraction > 0:
            self._pulses(level)

    def _hand_forces(self, level: float) -> None:
        c, g, robot = self._cfg, self._generator, self._robot
        self._until_force -= 1.0
        due = ((self._until_force <= 0) & self._active).nonzero()[:, 0]
        if len(due):
            self._goal[due] = randomisation.hand_forces(len(due), c, level, g)
            period = c.hand_force_period_s
            self._until_force[due] = uniform(len(due), period[0] / DT_S, period[1] / DT_S, g)
        self.hand_force = self.hand_force + 0.08 * (self._goal - self.hand_force)
        robot.xfrc[:, robot.ids.hands, :3] = self.hand_force.numpy()

    def _pulses(self, level: float) -> None:
        c, g, robot = self._cfg, self._generator, self._robot
        self._until_pulse -= 1.0
        due = ((self._until_pulse <= 0) & self._pulsing).nonzero()[:, 0]
        if len(due):
            self._pulse[due] = randomisation.pulse(len(due), c, level, g)
        self._pulse[self._until_pulse <= -_PULSE_STEPS] = 0.0
        over = (self._until_pulse <= -_PULSE_STEPS) | (~self._pulsing & (self._until_pulse <= 0))
        rest = uniform(len(over), c.pulse_period_s[0] / DT_S, c.pulse_period_s[1] / DT_S, g)
        self._until_pulse = torch.where(over, rest, self._until_pulse)
        robot.xfrc[:, robot.ids.torso] = self._pulse.numpy()
