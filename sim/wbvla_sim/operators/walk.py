"""Walking to a place with flags: ahead or aside, one at a time, the heading corrected on the way; each ends ahead of
its goal by what the robot still coasts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from wbvla_core.timing import NS_PER_S
from wbvla_teleop.devices.scripted import ObjectPose


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


def stand_before(thing: ObjectPose, ahead_m: float, aside_m: float) -> Pose2:
    """The floor pose at (``ahead_m``, ``aside_m`` to the left) in the frame of ``thing``, facing as it does."""
    there = pose2(thing.position_m, thing.quaternion_wxyz)
    c, s = math.cos(there.yaw_rad), math.sin(there.yaw_rad)
    return Pose2(there.x_m + c * ahead_m - s * aside_m, there.y_m + s * ahead_m + c * aside_m, there.yaw_rad)


@dataclass(frozen=True)
class WalkConfig:
    """``tolerance`` of arrival per axis (m, m, rad); ``far_m`` beyond which walking ahead comes first.

    While walking, a heading error beyond ``correct_rad`` is turned away until ``straight_rad``; beyond ``lost_rad``
    the walk is interrupted. ``coast_s``: a flag dropped at speed v still carries v times this far. Steps take at
    least ``least_s``, at most ``most_s``; ``settle_s`` between them.
    """

    tolerance: tuple[float, float, float] = (0.05, 0.06, math.radians(7.0))
    far_m: float = 0.25
    correct_rad: float = math.radians(4.0)
    straight_rad: float = math.radians(1.0)
    lost_rad: float = math.radians(18.0)
    coast_s: float = 0.35
    least_s: float = 0.4
    most_s: float = 6.0
    settle_s: float = 0.8
    speed_window_s: float = 0.4


class Walker:
    """Flags towards a goal. :meth:`flags` once per tick; :attr:`arrived` once it stands where it shall."""

    def __init__(self, config: WalkConfig | None = None) -> None:
        self.config = config or WalkConfig()
        self.arrived = False
        self._axis: int | None = None
        self._sign = 0
        self._turn = 0
        self._since_ns: int | None = None
        self._trail: list[tuple[int, Pose2]] = []
        self.speed = np.zeros(3)
        """Ahead and aside [m/s] and turning [rad/s], by the last looks."""

    def flags(self, here: Pose2, goal: Pose2, now_ns: int, good_enough: bool = False) -> tuple[int, int, int]:
        """What to do at ``here`` to come to ``goal``; it stands still when there, or where ``good_enough`` says that
        standing here will do."""
        error, speed = goal.seen_from(here), self._speed(here, now_ns)
        self.speed = speed
        if self._since_ns is None:
            self._since_ns = now_ns - round(self.config.settle_s * NS_PER_S)
        elapsed_s = (now_ns - self._since_ns) / NS_PER_S
        if self._axis is not None:
            if self._reached(error, speed, elapsed_s):
                self._axis, self._turn, self._since_ns = None, 0, now_ns
        elif elapsed_s >= self.config.settle_s:
            self.arrived = good_enough or bool(np.all(np.abs(error) <= self.config.tolerance))
            if not self.arrived:
                self._axis = self._choose(error)
                self._sign = int(np.sign(error[self._axis]))
                self._since_ns = now_ns
        return self._now(error, speed)

    def _now(self, error: np.ndarray, speed: np.ndarray) -> tuple[int, int, int]:
        flags = [0, 0, 0]
        if self._axis is not None:
            flags[self._axis] = self._sign
            if self._axis != 2:
                flags[2] = self._straighten(error[2] - speed[2] * self.config.coast_s)
        return flags[0], flags[1], flags[2]

    def _straighten(self, turn_rad: float) -> int:
        """Turning while walking, with hysteresis."""
        if abs(turn_rad) > self.config.correct_rad:
            self._turn = int(np.sign(turn_rad))
        elif self._turn * turn_rad < self.config.straight_rad:
            self._turn = 0
        return self._turn

    def _choose(self, error: np.ndarray) -> int:
        """The axis to walk along: heading when lost, ahead while far, then whatever is worst."""
        share = np.abs(error) / self.config.tolerance
        if abs(error[2]) > self.config.lost_rad:
            return 2
        if error[0] > self.config.far_m:
            return 0
        return int(np.argmax(share[:2])) if share[:2].max() > 1.0 else 2

    def _reached(self, error: np.ndarray, speed: np.ndarray, elapsed_s: float) -> bool:
        cfg, axis, sign = self.config, self._axis, self._sign
        assert axis is not None
        if elapsed_s < cfg.least_s:
            return False
        left = sign * error[axis] - max(0.0, sign * speed[axis]) * cfg.coast_s
        lost = axis != 2 and abs(error[2]) > 1.5 * cfg.lost_rad
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


class Journey:
    """Walks to a goal facing the way it goes, turns to the goal's heading only there, and has arrived once it rests
    there. The way is the straight one from where it began; a goal that is near or nearly ahead is walked to at once."""

    rest_m_s, rest_s, slack = 0.08, 0.4, 1.4
    """At rest: slower than this for this long, no further off than ``slack`` times the tolerance."""

    def __init__(self, config: WalkConfig | None = None) -> None:
        self.config = config or WalkConfig()
        self.arrived = False
        self._way_rad: float | None = None
        self._walker = Walker(self.config)
        self._turning = False
        self._slow_ns: int | None = None

    def flags(self, here: Pose2, goal: Pose2, now_ns: int) -> tuple[int, int, int]:
        """What to do at ``here``; once per tick."""
        if self._way_rad is None:
            dx, dy = goal.x_m - here.x_m, goal.y_m - here.y_m
            self._way_rad = math.atan2(dy, dx)
            off = abs(Pose2(0.0, 0.0, goal.yaw_rad).seen_from(Pose2(0.0, 0.0, self._way_rad))[2])
            self._turning = math.hypot(dx, dy) < 2.0 * self.config.far_m or off < self.config.lost_rad
        leg = goal if self._turning else Pose2(goal.x_m, goal.y_m, self._way_rad)
        flags = self._walker.flags(here, leg, now_ns)
        if self._walker.arrived:
            flags = (0, 0, 0)
            if not self._turning:
                self._turning, self._walker = True, Walker(self.config)
            else:
                self._rest(here, goal, now_ns)
        return flags

    def _rest(self, here: Pose2, goal: Pose2, now_ns: int) -> None:
        moves = float(np.abs(self._walker.speed).max()) > self.rest_m_s
        if self._slow_ns is None or moves:
            self._slow_ns = now_ns
        if np.any(np.abs(goal.seen_from(here)) > self.slack * np.array(self.config.tolerance)) and not moves:
            self._walker, self._slow_ns = Walker(self.config), None
        elif now_ns - self._slow_ns >= self.rest_s * NS_PER_S:
            self.arrived = True
