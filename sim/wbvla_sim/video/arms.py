"""Arm motion for pictures: grasp points in the pelvis frame to joint angles, step by step, no physics."""

from __future__ import annotations

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_rpy, quaternion_from_matrix
from wbvla_teleop.frame import WristPose
from wbvla_teleop.ik import DualArmIk, IkError

STEP_S = 0.04
READY_M = np.array([0.30, 0.25, 0.20])
"""The left grasp point when the hands are ready."""
_FINGERS_DOWN_RAD = np.radians(35.0)


class Arms:
    """Follows grasp points of both hands [2, 3] (left, right; NaN: that hand rests) in the pelvis frame."""

    def __init__(self, spec: RobotSpec) -> None:
        self._spec, self._ik = spec, DualArmIk(spec)
        self._wire = spec.index("arms")
        self._rest = spec.default_rad
        attitude = matrix_from_rpy((0.0, _FINGERS_DOWN_RAD - 0.5 * np.pi, 0.0))
        self._quaternion = quaternion_from_matrix(attitude)
        grasps = [np.array(h.xyz_m) - [0.0, 0.0, 0.7 * h.finger_length_m] for h in spec.hands]
        self._offsets = [attitude @ grasp for grasp in grasps]

    def reset(self) -> None:
        """Both arms hang as in the default pose."""
        self._ik.reset(self._rest)

    def step(self, points_m: np.ndarray) -> np.ndarray:
        """Arm joints [arms] after one step towards ``points_m``; unchanged when no step keeps all limits."""
        wrists = [
            None if np.isnan(point).any() else WristPose(point - offset, self._quaternion)
            for point, offset in zip(points_m, self._offsets, strict=True)
        ]
        try:
            joints = self._ik.solve(self._rest, wrists[0], wrists[1], STEP_S)
        except IkError:
            joints = self._ik.joints()
        return np.array([joints[name] for name in self._ik.joint_names])

    def ready_poses(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Arm joints [count, arms] with both hands before the body, a little different each time."""
        poses = []
        for _ in range(count):
            self.reset()
            goal = READY_M + rng.uniform(-1.0, 1.0, 3) * [0.06, 0.06, 0.07]
            points = np.stack((goal, goal * [1.0, -1.0, 1.0] + rng.uniform(-0.03, 0.03, 3)))
            side = np.array([[0.16, 0.36, 0.02], [0.16, -0.36, 0.02]])
            for waypoint in (side, points):
                for _ in range(35):
                    joints = self.step(waypoint)
            poses.append(joints)
        return np.stack(poses)
