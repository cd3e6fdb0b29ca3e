"""Who carries the camera: the robot, posed without physics, or a person of whom only the forearms show."""

from __future__ import annotations

from typing import Protocol

import mujoco
import numpy as np
from wbvla_core.bundle import load_bundle
from wbvla_core.kinematics import Kinematics
from wbvla_core.lmo_bundle import LmoSection
from wbvla_core.model import ROOT_JOINT, hand_addresses, joint_addresses, opening_to_finger_m
from wbvla_core.paths import bundle_path
from wbvla_core.posture import interpolate
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_rpy, quaternion_from_matrix

from wbvla_sim.video.textures import colour

CAMERA = "wearer_camera"
# From a frame with x ahead, y left, z up to a camera that looks along -z with y up.
_TO_CAMERA = np.array([[0.0, 0.0, -1.0], [-1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


class Wearer(Protocol):
    """Poses itself in a compiled scene."""

    camera: str

    def pose(
        self,
        data: mujoco.MjData,
        xy_m: np.ndarray,
        yaw_rad: float,
        lowered_m: float,
        shake: np.ndarray,
        hands: float,
    ) -> None:
        """Stand at ``xy_m`` [2]; ``shake`` [6] = aside, ahead, up [m], roll, pitch, yaw [rad] on top of the path;
        ``hands`` 0 at the sides .. 1 ready before the body."""


class Person:
    """A free camera and two forearms before it. Added to a scene before it is compiled."""

    camera = CAMERA

    def __init__(
        self, scene: mujoco.MjSpec, rng: np.random.Generator, eye_m: float, pitch_rad: float, fov_rad: float
    ) -> None:
        self._eye_m, self._pitch_rad = eye_m, pitch_rad
        head = scene.worldbody.add_body(name="head", mocap=True)
        head.add_camera(name=CAMERA, fovy=np.degrees(fov_rad))
        sleeve, skin = (
            [*colour(rng, 0.1, 0.9), 1.0],
            [*(rng.uniform(0.35, 0.95) * np.array([1.0, 0.78, 0.65])), 1.0],
        )
        self._spread, self._reach = rng.uniform(0.12, 0.22), rng.uniform(0.36, 0.5)
        self._rest = rng.uniform(-0.62, -0.4)
        for name, side in (("left_forearm", -1.0), ("right_forearm", 1.0)):
            arm = scene.worldbody.add_body(name=name, mocap=True)
            lower = arm.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, rgba=sleeve, size=[0.042, 0, 0])
            lower.fromto = [0.06 * side, -0.16, 0.2, 0, 0, 0]
            hand = arm.add_geom(type=mujoco.mjtGeom.mjGEOM_ELLIPSOID, rgba=skin, size=[0.035, 0.025, 0.07])
            hand.pos = [-0.01 * side, 0.015, -0.06]

    def pose(
        self,
        data: mujoco.MjData,
        xy_m: np.ndarray,
        yaw_rad: float,
        lowered_m: float,
        shake: np.ndarray,
        hands: float,
    ) -> None:
        turn = matrix_from_rpy((shake[3], self._pitch_rad + shake[4], yaw_rad + shake[5]))
        aside = np.array([-np.sin(yaw_rad), np.cos(yaw_rad)])
        place = np.array([*(xy_m + aside * shake[0]), self._eye_m - lowered_m + shake[2]])
        camera = turn @ _TO_CAMERA
        model = data.model
        for name, offset in (
            ("head", np.zeros(3)),
            ("left_forearm", self._hand_m(-1.0, hands)),
            ("right_forearm", self._hand_m(1.0, hands)),
        ):
            slot = model.body(name).mocapid[0]
            data.mocap_pos[slot] = place + camera @ offset
            data.mocap_quat[slot] = quaternion_from_matrix(camera)

    def _hand_m(self, side: float, hands: float) -> np.ndarray:
        """Of one hand in the camera's frame."""
        return np.array([side * self._spread, self._rest + hands * (-0.17 - self._rest), -self._reach])


class Robot:
    """The robot with its head camera; legs follow the standing postures of its stand bundle."""

    def __init__(self, scene_model: mujoco.MjModel, spec: RobotSpec, stand: str = "lmo/stand") -> None:
        self.spec, self.camera = spec, spec.cameras[0].name
        self._qpos, _ = joint_addresses(scene_model, spec)
        self._fingers, _ = hand_addresses(scene_model, spec)
        self._root = int(scene_model.joint(ROOT_JOINT).qposadr[0])
        section = load_bundle(bundle_path(stand), "lmo", spec).section
        assert isinstance(section, LmoSection)
        self._table, self._legs = section.posture, spec.index(section.joints)
        self._stand_m = Kinematics(spec).stance_height_m(spec.default_rad)
        self.joints_rad = spec.default_rad.copy()
        self.ready_rad = spec.default_rad[spec.index("arms")].copy()
        self.opening = np.ones(len(spec.hands))

    def pose(
        self,
        data: mujoco.MjData,
        xy_m: np.ndarray,
        yaw_rad: float,
        lowered_m: float,
        shake: np.ndarray,
        hands: float,
    ) -> None:
        spec = self.spec
        height = np.array([self._stand_m - lowered_m])
        joints = self.joints_rad.copy()
        joints[self._legs] = interpolate(self._table, self._table.joints_rad, height)[0]
        arms = spec.index("arms")
        joints[arms] += hands * (self.ready_rad - joints[arms])
        rows = tuple((pitch,) for pitch in self._table.trunk_pitch_rad)
        lean = float(interpolate(self._table, rows, height)[0, 0])
        aside = np.array([-np.sin(yaw_rad), np.cos(yaw_rad)])
        root = slice(self._root, self._root + 3)
        data.qpos[root] = [*(xy_m + aside * shake[0]), height[0] + shake[2]]
        turn = matrix_from_rpy((shake[3], lean + shake[4], yaw_rad + shake[5]))
        data.qpos[self._root + 3 : self._root + 7] = quaternion_from_matrix(turn)
        data.qpos[self._qpos] = joints
        # The mirror finger's joint follows directly.
        data.qpos[self._fingers] = data.qpos[self._fingers + 1] = opening_to_finger_m(spec, self.opening)
