"""Raised arms for a linear feedback: joint angles that shift the centre of mass, by its own linear reckoning, as far as the
real ones do.

A linear feedback takes a forearm lifted by 90 degrees for one that has swung out by pi/2 times its length. Both arms held
out before the chest then seem to weigh three times what they do, and it leans back until it falls."""

from __future__ import annotations

import mujoco
import numpy as np

from .model import build_mjspec, joint_addresses
from .robot_spec import RobotSpec


class UpperBalance:
    """For one robot; owns scratch memory, so use one per thread. A call takes a few tens of microseconds."""

    def __init__(self, spec: RobotSpec) -> None:
        robot = build_mjspec(spec, feet="none", hands=False, visuals=False, bodies_collide=False)
        self._model = robot.compile()
        self._data = mujoco.MjData(self._model)
        self._qpos, dof = joint_addresses(self._model, spec)
        self._base = self._model.body(spec.base_link).id
        self._home = np.array(spec.default_rad, dtype=np.float64)
        self._upper = np.setdiff1d(np.arange(spec.n), spec.lmo_index)
        self._middle = self._centre(self._home)
        jacobian = np.zeros((3, self._model.nv))
        mujoco.mj_jacSubtreeCom(self._model, self._data, jacobian, self._base)
        self._slope = jacobian[:2, dof[self._upper]]
        self._inverse = np.linalg.pinv(self._slope)

    def shift_m(self, position_rad: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far the upper joints of ``position_rad`` [n] shift the robot's centre of mass in the pelvis frame (x, y)
        against the default pose: really, and by linear reckoning."""
        upper = np.asarray(position_rad, dtype=np.float64)[self._upper]
        pose = self._home.copy()
        pose[self._upper] = upper
        return self._centre(pose) - self._middle, self._slope @ (upper - self._home[self._upper])

    def equivalent(self, position_rad: np.ndarray) -> np.ndarray:
        """``position_rad`` [n] with its upper joints changed, as little as possible, so that their linear shift is the
        real one."""
        real, linear = self.shift_m(position_rad)
        changed = np.array(position_rad, dtype=np.float64)
        changed[self._upper] += self._inverse @ (real - linear)
        return changed

    def _centre(self, position_rad: np.ndarray) -> np.ndarray:
        self._data.qpos[:7] = (0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)
        self._data.qpos[self._qpos] = position_rad
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_comPos(self._model, self._data)
        return self._data.subtree_com[self._base, :2].copy()
