"""How waist pitch and roll, arms and head move in training: random poses, or replayed arm clips at a wandering rate."""

from __future__ import annotations

import numpy as np
import torch
from wbvla_core.robot_spec import RobotSpec

from .commands import uniform
from .config import UpperBodyConfig

Tensor = torch.Tensor
DT_S = 0.02

# Usual working ranges, narrower than the mechanical ones: (low, high) rad of the left side.
_RANGES = {
    "waist_pitch": (-0.10, 0.10), "waist_roll": (-0.10, 0.10), "shoulder_pitch": (-2.2, 0.8), "shoulder_roll": (0.0, 1.3),
    "shoulder_yaw": (-1.2, 1.2), "elbow": (-2.0, 0.0), "wrist_yaw": (-1.2, 1.2), "wrist_pitch": (-0.5, 0.5),
    "wrist_roll": (-0.6, 0.6), "head_yaw": (-0.3, 0.3), "head_pitch": (-0.3, 0.3),
}  # fmt: skip


def working_range(spec: RobotSpec, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(low, high) rad of the joints at wire indices ``joints``, mirrored on the right side, within the safe limits."""
    _, sign = spec.mirror
    low, high = np.empty(len(joints)), np.empty(len(joints))
    for column, j in enumerate(joints):
        name = spec.joint_names[j].removesuffix("_joint").removeprefix("left_").removeprefix("right_")
        a, b = _RANGES[name]
        if spec.joint_names[j].startswith("right_") and sign[j] < 0:
            a, b = -b, -a
        low[column], high[column] = max(a, spec.lower_rad[j]), min(b, spec.upper_rad[j])
    return low, high


class UpperBodyMotion:
    """Set-points [N, n - m] of the joints that the policy does not drive, step by step.

    ``amplitude`` is the configured one times the curriculum's level: 0 keeps the default pose, 1 uses the whole working
    range or the clip as it is."""

    def __init__(
        self, spec: RobotSpec, upper: tuple[int, ...], cfg: UpperBodyConfig, clips: np.ndarray | None, n: int,
        generator: torch.Generator,
    ) -> None:  # fmt: skip
        self.cfg, self.n, self._generator = cfg, n, generator
        joints = np.asarray(upper)
        low, high = working_range(spec, joints)
        self._rest = torch.tensor(spec.default_rad[joints], dtype=torch.float32)
        self._low, self._high = (
            torch.tensor(low, dtype=torch.float32),
            torch.tensor(high, dtype=torch.float32),
        )
        self._lower = torch.tensor(spec.lower_rad[joints], dtype=torch.float32)
        self._upper = torch.tensor(spec.upper_rad[joints], dtype=torch.float32)
        arms = {int(j): column for column, j in enumerate(spec.index("arms"))}
        self._arm_columns = torch.tensor([column for column, j in enumerate(upper) if j in arms])
        self._clips = None if clips is None else torch.tensor(clips)
        self.target = self._rest.repeat(n, 1)
        self._goal = self.target.clone()
        self._speed = torch.full((n, 1), cfg.speed_rad_s)
        self._wait = torch.zeros(n)
        self._replay = torch.zeros(n, dtype=torch.bool)
        self._clip = torch.zeros(n, dtype=torch.long)
        self._place = torch.zeros(n)
        self._rate = torch.zeros(n)
        self._gamma = torch.ones(n)
        self._limit = torch.ones(n)

    def reset(self, ids: Tensor, level: float) -> None:
        """New episode for the environments ``ids``."""
        n, g, cfg = len(ids), self._generator, self.cfg
        self._goal[ids] = self._pose(n, level)
        self.target[ids] = self._rest + 0.5 * (self._goal[ids] - self._rest)
        self._wait[ids] = uniform(n, *cfg.pose_period_s, g)
        self._replay[ids] = torch.rand(n, generator=g) < (
            cfg.clip_fraction if self._clips is not None else 0.0
        )
        if self._clips is not None:
            self._clip[ids] = torch.randint(self._clips.shape[0], (n,), generator=g)
            self._place[ids] = uniform(n, 0.0, 0.9, g) * self._clips.shape[1]
        self._rate[ids] = 1.0
        self._gamma[ids] = uniform(n, *cfg.clip_rate, g)
        self._limit[ids] = uniform(n, *cfg.clip_rate_limit, g)

    def step(self, level: float) -> Tensor:
        """Set-points [N, n - m] rad of the next control step; ``level`` 0..1 of the curriculum."""
        cfg, g = self.cfg, self._generator
        self._wait -= DT_S
        due = self._wait <= 0.0
        if due.any():
            ids = due.nonzero()[:, 0]
            self._goal[ids] = self._pose(len(ids), level)
            self._wait[ids] = uniform(len(ids), *cfg.pose_period_s, g)
            self._speed[ids] = uniform(len(ids), 0.3, 1.0, g, 1) * cfg.speed_rad_s
        reach = self._goal
        if self._clips is not None and self._replay.any():
            reach = torch.where(self._replay[:, None], self._clip_pose(level), self._goal)
        change = self._speed * DT_S
        fast = torch.where(self._replay[:, None], torch.full_like(change, 6.0 * DT_S), change)
        self.target = self.target + torch.minimum(torch.maximum(reach - self.target, -fast), fast)
        return self.target

    def _pose(self, n: int, level: float) -> Tensor:
        size = self.cfg.amplitude * level
        pose = self._low + (self._high - self._low) * torch.rand(
            n, len(self._rest), generator=self._generator
        )
        return torch.minimum(torch.maximum(self._rest + size * (pose - self._rest), self._lower), self._upper)

    def _clip_pose(self, level: float) -> Tensor:
        """Advance w by (gamma + delta) dt with the rate bounded by L (arXiv 2512.11047) and read the clip there."""
        assert self._clips is not None
        cfg, g = self.cfg, self._generator
        jitter = uniform(self.n, -cfg.clip_rate_jitter, cfg.clip_rate_jitter, g)
        self._rate = torch.minimum(self._limit, self._gamma + jitter)
        self._place = (self._place + self._rate) % (self._clips.shape[1] - 1)
        low = self._place.long()
        share = (self._place - low)[:, None]
        arm = self._clips[self._clip, low] * (1.0 - share) + self._clips[self._clip, low + 1] * share
        pose = self._goal.clone()
        rest = self._rest[self._arm_columns]
        noise = cfg.noise_rad * torch.randn(arm.shape, generator=g)
        pose[:, self._arm_columns] = rest + (cfg.amplitude * level) * (arm - rest) + noise
        return torch.minimum(torch.maximum(pose, self._lower), self._upper)
