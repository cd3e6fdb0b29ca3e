"""A robot as data: joints in wire order, links, motors, feet, hands, IMUs and cameras.

Everything that knows a robot's lengths, limits or names takes them from a ``RobotSpec``; no other file holds
such a number. ``RobotSpec.load("x2_ultra")`` reads the packaged robot, ``RobotSpec.load(path)`` any other. Units
are SI, angles are radians.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np


class RobotSpecError(ValueError):
    """A robot description is missing, malformed or contradicts itself; the text names file and field."""


@dataclass(frozen=True)
class Motor:
    """Motor class on the joint side: ``peak_nm`` up to ``knee_rad_s``, then linear to zero at
    ``no_load_rad_s``."""

    name: str
    peak_nm: float
    knee_rad_s: float
    no_load_rad_s: float
    armature_kg_m2: float
    friction_nm: float


@dataclass(frozen=True)
class Joint:
    """One actuated hinge; the origin is the child frame in the parent frame, the axis is in the child
    frame."""

    name: str
    parent: str
    child: str
    origin_xyz_m: tuple[float, float, float]
    origin_rpy_rad: tuple[float, float, float]
    axis: tuple[float, float, float]
    lower_rad: float
    upper_rad: float
    effort_nm: float
    velocity_rad_s: float
    armature_kg_m2: float
    friction_nm: float
    motor: str
    default_rad: float
    kp: float
    kd: float
    damping_kd: float


@dataclass(frozen=True)
class Link:
    """Mass properties: ``inertia_com`` = (ixx, iyy, izz, ixy, ixz, iyz) about the centre of mass, link axes,
    URDF signs."""

    name: str
    mass_kg: float
    com_m: tuple[float, float, float]
    inertia_com: tuple[float, float, float, float, float, float]

    @property
    def inertia_matrix(self) -> np.ndarray:
        """Inertia tensor about the centre of mass [3, 3]."""
        ixx, iyy, izz, ixy, ixz, iyz = self.inertia_com
        return np.array([[ixx, ixy, ixz], [ixy, iyy, iyz], [ixz, iyz, izz]])


@dataclass(frozen=True)
class Foot:
    """Contact spheres of one sole: ``support_m`` [K][3] corners, ``all_m`` the denser set, one radius."""

    link: str
    radius_m: float
    support_m: tuple[tuple[float, float, float], ...]
    all_m: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class Hand:
    """Parallel gripper: two fingers slide along +-y of the mount frame by ``stroke_m`` each; 0 closed .. 1
    open."""

    name: str
    link: str
    xyz_m: tuple[float, float, float]
    finger_length_m: float
    finger_mass_kg: float
    stroke_m: float
    force_n: float
    velocity_m_s: float

    @property
    def finger_half_m(self) -> np.ndarray:
        """Half extents [3] of a finger: width x, thickness y, length z."""
        return np.array([0.011, 0.007, 0.5 * self.finger_length_m])


@dataclass(frozen=True)
class Imu:
    """IMU mount on a link."""

    name: str
    link: str
    xyz_m: tuple[float, float, float]
    rpy_rad: tuple[float, float, float]


@dataclass(frozen=True)
class Camera:
    """Pinhole camera; ``rpy_rad`` is the optical frame (x right, y down, z forward) in the link frame."""

    name: str
    link: str
    xyz_m: tuple[float, float, float]
    rpy_rad: tuple[float, float, float]
    width: int
    height: int
    fov_y_rad: float
    depth: bool

    @property
    def focal_px(self) -> float:
        """Focal length in pixels (square pixels)."""
        return 0.5 * self.height / float(np.tan(0.5 * self.fov_y_rad))


@dataclass(frozen=True)
class Shape:
    """Primitive of a link's look or of its collision body; sizes as in MuJoCo (half extents, radius, half
    length)."""

    link: str
    kind: str
    size_m: tuple[float, ...]
    xyz_m: tuple[float, float, float]
    rpy_rad: tuple[float, float, float]
    tone: str
    collides: bool


@dataclass(frozen=True)
class RobotSpec:
    """A validated robot. Joint arrays are float64 [n] in wire order; they are read-only views."""

    name: str
    base_link: str
    joints: tuple[Joint, ...]
    links: tuple[Link, ...]
    motors: tuple[Motor, ...]
    groups: dict[str, tuple[str, ...]]
    lmo_joints: tuple[str, ...]
    feet: tuple[Foot, ...]
    hands: tuple[Hand, ...]
    imus: tuple[Imu, ...]
    cameras: tuple[Camera, ...]
    shapes: tuple[Shape, ...]
    self_contacts: tuple[tuple[str, str], ...]
    tones: dict[str, tuple[float, float, float]]
    nominal_height_m: float
    stance_height_m: tuple[float, float]
    hash: str

    @staticmethod
    def load(name_or_path: str | Path) -> RobotSpec:
        """Read and validate a packaged robot by name or a YAML file by path; raises RobotSpecError."""
        from wbvla_core.robot_spec_load import load_robot_spec

        return load_robot_spec(name_or_path)

    @property
    def n(self) -> int:
        """Number of joints (grippers not counted)."""
        return len(self.joints)

    @cached_property
    def joint_names(self) -> tuple[str, ...]:
        """Joint names in wire order."""
        return tuple(joint.name for joint in self.joints)

    @property
    def hand_names(self) -> tuple[str, ...]:
        """Gripper joint names, left first."""
        return tuple(hand.name for hand in self.hands)

    def index(self, names: str | tuple[str, ...] | list[str]) -> np.ndarray:
        """Wire positions of joint names, or of a group given by its name; raises RobotSpecError on unknown
        ones."""
        if isinstance(names, str):
            names = self.groups.get(names, (names,))
        unknown = [name for name in names if name not in self._order]
        if unknown:
            raise RobotSpecError(
                f"{self.name}: no joint or group {', '.join(unknown)}; see robots/{self.name}.yaml"
            )
        return np.array([self._order[name] for name in names], dtype=np.int64)

    def link(self, name: str) -> Link:
        """The link of that name; raises RobotSpecError."""
        for link in self.links:
            if link.name == name:
                return link
        raise RobotSpecError(f"{self.name}: no link {name}")

    @cached_property
    def lmo_index(self) -> np.ndarray:
        """Wire positions of the joints that the locomotion policy drives [13]."""
        return self.index(self.lmo_joints)

    @cached_property
    def lower_rad(self) -> np.ndarray:
        """Lower position limits [n]."""
        return self._array("lower_rad")

    @cached_property
    def upper_rad(self) -> np.ndarray:
        """Upper position limits [n]."""
        return self._array("upper_rad")

    @cached_property
    def effort_nm(self) -> np.ndarray:
        """Effort limits [n]."""
        return self._array("effort_nm")

    @cached_property
    def velocity_rad_s(self) -> np.ndarray:
        """Speed limits [n]."""
        return self._array("velocity_rad_s")

    @cached_property
    def armature_kg_m2(self) -> np.ndarray:
        """Reflected rotor inertias [n]."""
        return self._array("armature_kg_m2")

    @cached_property
    def friction_nm(self) -> np.ndarray:
        """Coulomb friction [n]."""
        return self._array("friction_nm")

    @cached_property
    def default_rad(self) -> np.ndarray:
        """Standing pose [n]."""
        return self._array("default_rad")

    @cached_property
    def kp(self) -> np.ndarray:
        """Position gains [n], N m/rad."""
        return self._array("kp")

    @cached_property
    def kd(self) -> np.ndarray:
        """Speed gains [n], N m s/rad."""
        return self._array("kd")

    @cached_property
    def damping_kd(self) -> np.ndarray:
        """Speed gains of the damping state [n], N m s/rad."""
        return self._array("damping_kd")

    @cached_property
    def mirror(self) -> tuple[np.ndarray, np.ndarray]:
        """(permutation [n], sign [n]): ``q_mirrored = sign * q[permutation]`` reflects a pose at the x-z
        plane."""
        swap = {"left": "right", "right": "left"}
        twins = []
        for name in self.joint_names:
            side, _, rest = name.partition("_")
            twins.append(f"{swap[side]}_{rest}" if side in swap else name)
        # A reflection at y = 0 keeps rotations about y and reverses those about x and z.
        sign = np.array([1.0 if abs(joint.axis[1]) == 1.0 else -1.0 for joint in self.joints])
        return _frozen(self.index(twins)), _frozen(sign)

    def torque_limits_nm(self, velocity_rad_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest torque [..., n] that the motors give at joint speeds [..., n].

        Driving torque falls linearly from the peak at the knee speed to zero at the no-load speed; braking
        torque stays at the peak. Neither exceeds the joint's effort limit.
        """
        slope = self.effort_nm / (self._no_load_rad_s - self._knee_rad_s)
        upper = np.clip((self._no_load_rad_s - velocity_rad_s) * slope, 0.0, self.effort_nm)
        lower = -np.clip((self._no_load_rad_s + velocity_rad_s) * slope, 0.0, self.effort_nm)
        return lower, upper

    @cached_property
    def _order(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.joint_names)}

    @cached_property
    def _knee_rad_s(self) -> np.ndarray:
        return self._of_motor("knee_rad_s")

    @cached_property
    def _no_load_rad_s(self) -> np.ndarray:
        return self._of_motor("no_load_rad_s")

    def _array(self, attribute: str) -> np.ndarray:
        return _frozen(np.array([getattr(joint, attribute) for joint in self.joints], dtype=np.float64))

    def _of_motor(self, attribute: str) -> np.ndarray:
        motors = {motor.name: motor for motor in self.motors}
        return _frozen(np.array([getattr(motors[joint.motor], attribute) for joint in self.joints]))


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
