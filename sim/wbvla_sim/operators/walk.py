"""Walking to a place with flags: one axis at a time, stopping ahead of the goal by what the robot still coasts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from wbvla_core.timing import NS_PER_S

AXES = ("ahead", "aside", "turn")


@dataclass(frozen=True)
class Pose2:
    """Place [m] and heading [rad] on the floor."""

    x_m: float
    y_m: float
    yaw_rad: float

    def seen_from(self, other: Pose2) -> np.ndarray:
        """(ahead [m], aside to the left [m], turn to the left [rad]) of this pose for who stands at ``other``."""
        dx, dy = self.x_m - other.x_m, self.y_m - other.y_m
        c, s = math.cos(other.yaw_rad), math.sin(other.yaw_rad)
        turn = (self.yaw_rad - other.yaw_rad + math.pi) % (2.0 * math.pi) - math.pi
        return np.array([c * dx + s * dy, c * dy - s * dx, turn])


def pose2(position_m: np.ndarray, quaternion_wxyz: np.ndarray) -> Pose2:
    """The floor pose of a body."""
    w, x, y, z = quaternion_wxyz
    yaw = math.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return Pose2(float(position_m[0]), float(position_m[1]), yaw)


@dataclass(frozen=True)
class WalkConfig:
    """``tolerance`` of arrival and ``lost`` heading error that interrupts a straight walk, per axis (m, m, rad);
    ``coast_s``: a flag dropped at speed v still carries v times this far; steps take at least ``least_s``, at most
    ``most_s``; ``settle_s`` between them."""

    tolerance: tuple[float, float, float] = (0.05, 0.06, math.radians(7.0))
    lost_rad: float = math.radians(15.0)
    coast_s: float = 0.35
    least_s: float = 0.4
    most_s: float = 6.0
    settle_s: float = 0.8
    speed_window_s: float = 0.4


class Walker:
    """Flags towards a goal. :meth:`flags` once per tick; :attr:`arrived` once it stands within tolerance."""

    def __init__(self, config: WalkConfig | None = None) -> None:
        self.config = config or WalkConfig()
        self.arrived = False
        self._flags = (0, 0, 0)
        self._since_ns: int | None = None
        self._trail: list[tuple[int, Pose2]] = []

    def flags(self, here: Pose2, goal: Pose2, now_ns: int) -> tuple[int, int, int]:
        """What to do at ``here`` to come to ``goal``; it stands still when there."""
        error = goal.seen_from(here)
        speed = self._speed(here, now_ns)
        if self._since_ns is None:
            self._since_ns = now_ns - round(self.config.settle_s * NS_PER_S)
        elapsed_s = (now_ns - self._since_ns) / NS_PER_S
        if self._flags != (0, 0, 0):
            if self._reached(error, speed, elapsed_s):
                self._set((0, 0, 0), now_ns)
        elif elapsed_s >= self.config.settle_s:
            self.arrived = bool(np.all(np.abs(error) <= self.config.tolerance))
            if not self.arrived:
                self._set(self._choose(error), now_ns)
        return self._flags

    def _choose(self, error: np.ndarray) -> tuple[int, int, int]:
        """The axis to walk along: heading first, then ahead while far, then whatever is worst."""
        share = np.abs(error) / self.config.tolerance
        if share[2] > 1.0:
            axis = 2
        elif share[0] > 5.0:
            axis = 0
        else:
            axis = int(np.argmax(share))
        flags = [0, 0, 0]
        flags[axis] = int(np.sign(error[axis]))
        return flags[0], flags[1], flags[2]

    def _reached(self, error: np.ndarray, speed: np.ndarray, elapsed_s: float) -> bool:
        cfg = self.config
        if elapsed_s < cfg.least_s:
            return False
        axis = int(np.argmax(np.abs(self._flags)))
        sign = self._flags[axis]
        left = sign * error[axis] - max(0.0, sign * speed[axis]) * cfg.coast_s
        lost = axis != 2 and abs(error[2]) > cfg.lost_rad
        return left <= 0.0 or lost or elapsed_s > cfg.most_s

    def _speed(self, here: Pose2, now_ns: int) -> np.ndarray:
        """Mean speed over the last window, in the present heading (m/s, m/s, rad/s)."""
        self._trail.append((now_ns, here))
        oldest = now_ns - self.config.speed_window_s * NS_PER_S
        while self._trail[0][0] < oldest:
            self._trail.pop(0)
        then_ns, before = self._trail[0]
        if now_ns == then_ns:
            return np.zeros(3)
        return -before.seen_from(here) * NS_PER_S / (now_ns - then_ns)

    def _set(self, flags: tuple[int, int, int], now_ns: int) -> None:
        self._flags, self._since_ns = flags, now_ns
