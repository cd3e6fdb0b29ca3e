"""Both hands as one tool: a scripted operator moves the middle between them, their distance and their common heading.

All of it is in the *level frame*: below the pelvis on the floor, x where the robot faces, z up. Legs that squat lean the
trunk, and the hands still go where the operator means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_quaternion, matrix_from_rpy, quaternion_from_matrix
from wbvla_core.types import RobotState
from wbvla_teleop.devices.scripted import ObjectPose, View
from wbvla_teleop.frame import PELVIS, WristPose
from wbvla_teleop.ik import DualArmIk

from wbvla_sim.operators.walk import pose2

SMOOTH_S = 0.12
"""Time constant with which tilt and height of the pelvis are followed."""


@dataclass(frozen=True)
class Hold:
    """``centre_m`` [3] between both hands and their heading ``yaw_rad`` in the level frame; ``half_gap_m`` from the
    centre to the point of each hand that is to touch."""

    centre_m: np.ndarray
    half_gap_m: float
    yaw_rad: float = 0.0


@dataclass(frozen=True)
class Reach:
    """How fast a hold follows another: m/s of the centre, m/s of each hand's gap, rad/s."""

    speed_m_s: float = 0.2
    gap_m_s: float = 0.12
    turn_rad_s: float = 0.5


class Level:
    """The level frame of a robot, followed from view to view."""

    def __init__(self) -> None:
        self._tilt: np.ndarray | None = None
        self.height_m = 0.0

    def follow(self, pelvis: ObjectPose, dt_s: float) -> None:
        """A newer pose of the pelvis, ``dt_s`` after the last one."""
        here = pose2(pelvis.position_m, pelvis.quaternion_wxyz)
        self._origin = np.array([here.x_m, here.y_m, 0.0])
        self._heading = matrix_from_rpy((0.0, 0.0, here.yaw_rad))
        tilt = self._heading.T @ matrix_from_quaternion(pelvis.quaternion_wxyz)
        lean = np.array([np.arctan2(-tilt[1, 2], tilt[1, 1]), np.arcsin(np.clip(tilt[0, 2], -1.0, 1.0))])
        height = float(pelvis.position_m[2])
        if self._tilt is None:
            self._tilt, self.height_m = lean, height
        share = min(1.0, dt_s / SMOOTH_S)
        self._tilt = self._tilt + share * (lean - self._tilt)
        self.height_m += share * (height - self.height_m)

    def see(self, position_m: np.ndarray) -> np.ndarray:
        """A point of the world in the level frame."""
        return self._heading.T @ (position_m - self._origin)

    def see_yaw(self, quaternion_wxyz: np.ndarray, quarter_turns: int = 0) -> float:
        """Heading of a body in the level frame [rad], -pi..pi; ``quarter_turns`` chooses another of its sides."""
        turned = self._heading.T @ matrix_from_quaternion(quaternion_wxyz)
        yaw = np.arctan2(turned[1, 0], turned[0, 0]) + quarter_turns * 0.5 * np.pi
        return float((yaw + np.pi) % (2.0 * np.pi) - np.pi)

    def to_pelvis(self, position_m: np.ndarray, rotation: np.ndarray) -> WristPose:
        """A pose in the level frame as a wrist target in the pelvis frame."""
        assert self._tilt is not None
        tilt = matrix_from_rpy((self._tilt[0], self._tilt[1], 0.0))
        return WristPose(
            tilt.T @ (position_m - [0.0, 0.0, self.height_m]),
            quaternion_from_matrix(tilt.T @ rotation),
            PELVIS,
        )

    def from_pelvis(self, position_m: np.ndarray) -> np.ndarray:
        """A point of the pelvis frame in the level frame."""
        assert self._tilt is not None
        tilt = matrix_from_rpy((self._tilt[0], self._tilt[1], 0.0))
        return tilt @ position_m + [0.0, 0.0, self.height_m]


class TwoHands:
    """Wrist targets of a hold. ``touch_m``: the point of the left hand (in its mount's frame) that is to touch, the
    right hand's is its mirror image; ``down_rad``: how far below the horizontal the fingers point, ``inward_rad`` how far
    to the other hand's side."""

    def __init__(
        self, spec: RobotSpec, touch_m: tuple[float, float, float], down_rad: float, inward_rad: float = 0.0
    ) -> None:
        self._ik = DualArmIk(spec)
        self._touch = (np.array(touch_m), np.array(touch_m) * [1.0, -1.0, 1.0])
        self._attitudes = tuple(
            matrix_from_rpy((0.0, down_rad - 0.5 * np.pi, -sign * inward_rad)) for sign in (1.0, -1.0)
        )
        self.level = Level()
        self.hold: Hold | None = None

    def feel(self, view: View, state: RobotState, dt_s: float) -> None:
        """Follow the robot; the first time the hold is where the hands are."""
        self.level.follow(view.pelvis, dt_s)
        if self.hold is None:
            self.hold = self.measured(state)

    def measured(self, state: RobotState) -> Hold:
        """The hold by the measured joints."""
        self._ik.reset(state.position_rad)
        points = []
        for side in (0, 1):
            wrist = self._ik.wrist(side, PELVIS)
            assert wrist.quaternion_wxyz is not None
            turn = matrix_from_quaternion(wrist.quaternion_wxyz)
            points.append(self.level.from_pelvis(wrist.position_m + turn @ self._touch[side]))
        left, right = points
        return Hold(0.5 * (left + right), 0.5 * float(np.linalg.norm(left - right)))

    def move(self, goal: Hold, reach: Reach, dt_s: float) -> bool:
        """Move the hold towards ``goal``; True when it is there."""
        assert self.hold is not None
        way, widen = goal.centre_m - self.hold.centre_m, goal.half_gap_m - self.hold.half_gap_m
        turn = goal.yaw_rad - self.hold.yaw_rad
        turn -= 2.0 * np.pi * round(turn / (2.0 * np.pi))  # the short way round
        distance = float(np.linalg.norm(way))
        self.hold = Hold(
            self.hold.centre_m + way * min(1.0, reach.speed_m_s * dt_s / max(distance, 1e-9)),
            self.hold.half_gap_m + float(np.clip(widen, -reach.gap_m_s * dt_s, reach.gap_m_s * dt_s)),
            self.hold.yaw_rad + float(np.clip(turn, -reach.turn_rad_s * dt_s, reach.turn_rad_s * dt_s)),
        )
        return distance < 0.01 and abs(widen) < 0.01 and abs(turn) < 0.05

    def wrists(self) -> tuple[WristPose, WristPose]:
        """Targets of the left and the right wrist for the hold."""
        assert self.hold is not None
        turn = matrix_from_rpy((0.0, 0.0, self.hold.yaw_rad))
        left, right = (
            self.level.to_pelvis(
                self.hold.centre_m
                + turn @ (np.array([0.0, sign * self.hold.half_gap_m, 0.0]) - attitude @ touch),
                turn @ attitude,
            )
            for sign, touch, attitude in zip((1.0, -1.0), self._touch, self._attitudes, strict=True)
        )
        return left, right
