"""From what the operator wants to what the robot shall do: wrist targets through inverse kinematics,
joints, head, grippers, flags and height within the robot's ranges. No clock, no session: that is the core's
business."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import RobotState

from wbvla_teleop.frame import TORSO, TeleopFrame, WristPose
from wbvla_teleop.ik import DualArmIk, IkError

HEAD_JOINTS = ("head_yaw_joint", "head_pitch_joint")


@dataclass(frozen=True)
class Intent:
    """What one frame means for the robot: upper-body ``positions`` by joint name (rad; grippers 0..1),
    ``flags`` and ``height_m``; ``problem`` says what could not be followed ("": nothing)."""

    positions: dict[str, float]
    flags: tuple[int, int, int]
    height_m: float
    problem: str = ""


class Retargeter:
    """Keeps the arm pose and the height that were commanded last. ``ik`` must be of the same robot."""

    def __init__(self, spec: RobotSpec, ik: DualArmIk) -> None:
        self.spec, self._ik = spec, ik
        upper = [name for group in ("arms", "head") for name in spec.groups.get(group, ())]
        index = spec.index(upper)
        self._range = {
            name: (float(spec.lower_rad[i]), float(spec.upper_rad[i]))
            for name, i in zip(upper, index, strict=True)
        }
        self._arms = frozenset(spec.groups["arms"])
        self._head = tuple(name for name in HEAD_JOINTS if name in self._range)
        self.height_m = spec.nominal_height_m
        self.positions: dict[str, float] = {}

    def reset(self, state: RobotState, height_m: float | None = None) -> None:
        """Begin where the robot is: arms as measured, height as commanded by whoever drove before."""
        self._ik.reset(state.position_rad)
        self.positions = self._ik.joints()
        if height_m is not None:
            self.height_m = self._height(height_m)

    def wrists(self, frame: str = TORSO) -> tuple[WristPose, WristPose]:
        """Where the hand mounts are by the arm pose that was commanded last, in ``frame``."""
        return self._ik.wrist(0, frame), self._ik.wrist(1, frame)

    def step(self, frame: TeleopFrame, state: RobotState, dt_s: float) -> Intent:
        """What ``frame`` means with the robot in ``state``, ``dt_s`` after the last call."""
        problem = ""
        joints = {
            name: self._clip(name, angle)
            for name, angle in (frame.joints or {}).items()
            if name in self._range
        }
        if joints.keys() & self._arms:
            measured = np.array(state.position_rad)
            named = {**self._ik.joints(), **{k: v for k, v in joints.items() if k in self._arms}}
            measured[self.spec.index(tuple(named))] = list(named.values())
            self._ik.reset(measured)
            self.positions.update(named)
        elif frame.left is not None or frame.right is not None:
            try:
                self.positions.update(self._ik.solve(state.position_rad, frame.left, frame.right, dt_s))
            except IkError as error:
                problem = str(error)
                self.positions.update(self._ik.joints())
        self.positions.update({name: angle for name, angle in joints.items() if name not in self._arms})
        if frame.head is not None and not joints.keys() & set(self._head):
            self.positions.update({n: self._clip(n, a) for n, a in zip(self._head, frame.head, strict=False)})
        if frame.grippers is not None:
            openings = (min(max(opening, 0.0), 1.0) for opening in frame.grippers)
            self.positions.update(zip(self.spec.hand_names, openings, strict=False))
        if frame.height_m is not None:
            self.height_m = self._height(frame.height_m)
        return Intent(dict(self.positions), frame.flags, self.height_m, problem)

    def hold(self) -> Intent:
        """Stay: the pose and the height that were commanded last, no locomotion."""
        return Intent(dict(self.positions), (0, 0, 0), self.height_m)

    def _clip(self, name: str, angle_rad: float) -> float:
        low, high = self._range[name]
        return min(max(angle_rad, low), high)

    def _height(self, height_m: float) -> float:
        low, high = self.spec.stance_height_m
        return min(max(height_m, low), high)
