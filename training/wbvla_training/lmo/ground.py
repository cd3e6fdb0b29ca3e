"""Uneven ground without terrain: each foot's own plane is moved and tilted while that foot swings."""

from __future__ import annotations

import numpy as np
import torch

from .commands import uniform
from .config import RandomisationConfig
from .physics import BatchedRobot

Tensor = torch.Tensor


class UnevenGround:
    """Height, tilt and anchor of the two planes of N robots."""

    def __init__(self, robot: BatchedRobot, cfg: RandomisationConfig, generator: torch.Generator) -> None:
        n = robot.num_envs
        self._robot, self._cfg, self._generator = robot, cfg, generator
        self._anchor = torch.zeros(n, 2, 3)
        self._slope = torch.zeros(n, 2, 2)
        self._swinging = torch.zeros(n, 2, dtype=torch.bool)

    @property
    def flat(self) -> bool:
        """Whether the configuration asks for flat ground."""
        return self._cfg.ground_height_m == 0.0 and self._cfg.ground_slope_rad == 0.0

    def reset(self, ids: Tensor) -> None:
        """Flat ground at z = 0 for ``ids``."""
        self._anchor[ids], self._slope[ids], self._swinging[ids] = 0.0, 0.0, False
        rows = np.ix_(ids.numpy(), self._robot.ids.floors)
        self._robot.geom_pos[rows] = 0.0
        self._robot.geom_quat[rows] = (1.0, 0.0, 0.0, 0.0)

    def height_above(self, points: Tensor, ids: Tensor | slice = slice(None)) -> Tensor:
        """Height [n, 2] of one point per foot [n, 2, 3] above that foot's plane, of the robots ``ids``."""
        if self.flat:
            return points[..., 2]
        away = points - self._anchor[ids]
        return away[..., 2] - (self._slope[ids] * away[..., :2]).sum(-1)

    def step(self, feet: Tensor, foot_height: Tensor, stepping: Tensor, level: float) -> None:
        """Give each foot that has just risen above 3 cm new ground to land on; ``feet`` [N, 2, 3] positions."""
        if self.flat:
            return
        high = (foot_height > 0.03) & stepping[:, None]
        due = (high & ~self._swinging).nonzero()
        self._swinging = high | (self._swinging & (foot_height > 0.01))
        if not len(due):
            return
        n, c, g = len(due), self._cfg, self._generator
        env, side = due[:, 0], due[:, 1]
        self._anchor[env, side] = torch.cat(
            [feet[env, side, :2], uniform(n, -0.5, 0.5, g, 1) * c.ground_height_m * level], -1
        )
        self._slope[env, side] = uniform(n, -1.0, 1.0, g, 2) * c.ground_slope_rad * level
        slope = self._slope[env, side]
        quat = torch.stack([torch.ones(n), 0.5 * slope[:, 1], -0.5 * slope[:, 0], torch.zeros(n)], -1)
        quat = quat / quat.norm(dim=-1, keepdim=True)
        floors = self._robot.ids.floors[side.numpy()]
        self._robot.geom_pos[env.numpy(), floors] = self._anchor[env, side].numpy()
        self._robot.geom_quat[env.numpy(), floors] = quat.numpy()
