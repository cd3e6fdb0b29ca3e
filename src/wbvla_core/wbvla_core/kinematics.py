"""Stance height, gravity torques, foot loads and base attitude from joint positions.

One ``Kinematics`` owns scratch memory: use one per thread. Every method takes a few tens of microseconds, so
that a 200 Hz loop can call all of them. Quaternions are wxyz, base to an inertial frame with z up.
"""

from __future__ import annotations

import mujoco
import numpy as np

from wbvla_core.model import build_mjspec, joint_addresses
from wbvla_core.robot_spec import RobotSpec, RobotSpecError
from wbvla_core.rotations import (
    matrix_from_axis_angle,
    matrix_from_quaternion,
    matrix_from_rpy,
    quaternion_from_matrix,
)

_IDENTITY = np.array([1.0, 0.0, 0.0, 0.0])
# Damping of the foot load solution [m]: a leg within 1 cm of straight carries load that no torque tells of.
_LEVER_FLOOR_M = 0.01


class Kinematics:
    """Kinematics and statics of one robot at rest; joint arrays are [n] in wire order."""

    def __init__(self, spec: RobotSpec) -> None:
        """Build the robot's model; takes some milliseconds."""
        self.spec = spec
        robot = build_mjspec(spec, feet="none", hands=False, visuals=False, bodies_collide=False)
        self._model = robot.compile()
        self._data = mujoco.MjData(self._model)
        # The speed stays zero for ever, so one forward pass leaves every velocity term at its final value.
        mujoco.mj_forward(self._model, self._data)
        self._qpos, self._dof = joint_addresses(self._model, spec)
        self._bias = np.zeros(self._model.nv)
        self._jacobian_pos = np.zeros((3, self._model.nv))
        self._jacobian_rot = np.zeros((3, self._model.nv))
        self._arms_and_head = np.zeros(spec.n, dtype=bool)
        for group in ("arms", "head"):
            if group in spec.groups:
                self._arms_and_head[spec.index(group)] = True
        self._feet = [
            (self._model.body(foot.link).id, np.array(foot.support_m).T, foot.radius_m) for foot in spec.feet
        ]
        self._leg_dofs = [self._dof[_chain_to(spec, foot.link)] for foot in spec.feet]
        self._leg_index = [_chain_to(spec, foot.link) for foot in spec.feet]
        self._torso_chain = _chain_to(spec, _torso_link(spec))

    def stance_height_m(
        self, position_rad: np.ndarray, base_quaternion_wxyz: np.ndarray = _IDENTITY
    ) -> float:
        """Height of the pelvis origin above the lowest sole corner, along gravity."""
        self._place(position_rad, base_quaternion_wxyz)
        return float(max(self._drop_m(*foot) for foot in self._feet))

    def gravity_nm(
        self, position_rad: np.ndarray, base_quaternion_wxyz: np.ndarray = _IDENTITY
    ) -> np.ndarray:
        """Joint torques [n] that hold all limbs against gravity with the pelvis held and nothing touched."""
        self._place(position_rad, base_quaternion_wxyz)
        mujoco.mj_comPos(self._model, self._data)
        mujoco.mj_rne(self._model, self._data, 0, self._bias)
        return self._bias[self._dof]

    def arm_gravity_nm(
        self, position_rad: np.ndarray, base_quaternion_wxyz: np.ndarray = _IDENTITY
    ) -> np.ndarray:
        """``gravity_nm`` of arms and head, zero elsewhere [n]: their feed-forward while the hands are
        empty."""
        return np.where(self._arms_and_head, self.gravity_nm(position_rad, base_quaternion_wxyz), 0.0)

    def foot_forces_n(
        self,
        position_rad: np.ndarray,
        effort_nm: np.ndarray,
        base_quaternion_wxyz: np.ndarray = _IDENTITY,
    ) -> np.ndarray:
        """Vertical load on each foot [feet] estimated from the torques of its leg, never negative.

        Statics of one leg with the pelvis as its base: effort + J^T w = gravity torques, six joints for the
        six components of the wrench w at the sole, solved by damped least squares. Accelerations and joint
        friction are neglected; close to a straight leg the load on it cannot be seen and the estimate falls
        short.
        """
        missing = self.gravity_nm(position_rad, base_quaternion_wxyz) - np.asarray(
            effort_nm, dtype=np.float64
        )
        loads = np.empty(len(self._feet))
        for i, (body, corners, _) in enumerate(self._feet):
            point = self._data.xpos[body] + self._data.xmat[body].reshape(3, 3) @ corners.mean(axis=1)
            mujoco.mj_jac(self._model, self._data, self._jacobian_pos, self._jacobian_rot, point, body)
            dofs = self._leg_dofs[i]
            jacobian = np.vstack([self._jacobian_pos[:, dofs], self._jacobian_rot[:, dofs]])
            damped = jacobian.T @ jacobian + _LEVER_FLOOR_M**2 * np.eye(len(dofs))
            wrench = jacobian @ np.linalg.solve(damped, missing[self._leg_index[i]])
            loads[i] = max(0.0, wrench[2])
        return loads

    def base_from_torso(
        self,
        torso_quaternion_wxyz: np.ndarray,
        torso_rates_rad_s: np.ndarray,
        position_rad: np.ndarray,
        velocity_rad_s: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pelvis attitude [4] and rates [3] (pelvis frame) from those of the torso, through the waist
        joints."""
        to_torso = np.eye(3)
        relative_rates = np.zeros(3)
        for i in self._torso_chain:
            joint = self.spec.joints[i]
            to_torso = to_torso @ matrix_from_rpy(joint.origin_rpy_rad)
            relative_rates = relative_rates + to_torso @ np.asarray(joint.axis) * velocity_rad_s[i]
            to_torso = to_torso @ matrix_from_axis_angle(joint.axis, position_rad[i])
        pelvis = matrix_from_quaternion(torso_quaternion_wxyz) @ to_torso.T
        return quaternion_from_matrix(pelvis), to_torso @ np.asarray(torso_rates_rad_s) - relative_rates

    @staticmethod
    def tilt_rad(base_quaternion_wxyz: np.ndarray) -> float:
        """Angle between the pelvis z axis and the vertical, 0..pi."""
        _, x, y, _ = np.asarray(base_quaternion_wxyz) / np.linalg.norm(base_quaternion_wxyz)
        return float(2.0 * np.arcsin(min(1.0, np.hypot(x, y))))

    def _place(self, position_rad: np.ndarray, base_quaternion_wxyz: np.ndarray) -> None:
        self._data.qpos[:3] = 0.0
        self._data.qpos[3:7] = base_quaternion_wxyz
        self._data.qpos[self._qpos] = position_rad
        mujoco.mj_kinematics(self._model, self._data)

    def _drop_m(self, body: int, corners: np.ndarray, radius_m: float) -> float:
        """How far the lowest corner of a sole lies below the pelvis origin."""
        downward = self._data.xmat[body].reshape(3, 3)[2] @ corners
        return float(radius_m - downward.min() - self._data.xpos[body, 2])


def _chain_to(spec: RobotSpec, link: str) -> np.ndarray:
    """Wire positions of the joints from the base link to ``link``, base first."""
    above = {joint.child: i for i, joint in enumerate(spec.joints)}
    chain: list[int] = []
    while link != spec.base_link:
        chain.insert(0, above[link])
        link = spec.joints[above[link]].parent
    return np.array(chain, dtype=np.int64)


def _torso_link(spec: RobotSpec) -> str:
    """The link that carries the arms: parent of the first arm joint."""
    if not spec.groups.get("arms"):
        raise RobotSpecError(f"{spec.name}.groups.arms: missing; the torso is the link that the arms hang on")
    first = spec.joints[int(spec.index("arms")[0])]
    return first.parent
