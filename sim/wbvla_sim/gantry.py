"""The gantry: a spreader bar that travels up and down, with one rope to each shoulder of the robot.

A rope is a tendon with a spring that acts only beyond its length: it pulls when taut and does nothing when
slack. (A tendon limit would not do: its damping would count the travel of the bar, a mocap body, as
stretching.)
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np
from wbvla_core.robot_spec import RobotSpec

BAR = "gantry_bar"
SIDES = ("left", "right")
ROPE_LENGTH_M = 0.5
ROPE_STIFFNESS_N_M = 20_000.0
"""Of one rope: the robot of 42 kg stretches the two by 1 cm."""
SPEED_RANGE_M_S = (0.01, 1.0)
HEIGHT_RANGE_M = (0.3, 3.5)
_UNHOOKED_LENGTH_M = 100.0
_PARKED_HEIGHT_M = 4.0
_ABOVE_SHOULDER_M = 0.06
_TAUT_LOAD_N = 20.0
_STEADYING_N_S_M = np.array([60.0, 60.0, 600.0])
"""Damping at the torso while it hangs: sideways the hand of the operator who keeps it from swinging, upwards
the losses of the rope, relative to the bar."""
_VISUAL_GROUP = 2


@dataclass(frozen=True)
class _Shoulders:
    link: str
    x_m: float
    y_m: float
    z_m: float


def _shoulders(spec: RobotSpec) -> _Shoulders:
    first_arm_joint = spec.joints[int(spec.index("arms")[0])]
    x, y, z = first_arm_joint.origin_xyz_m
    return _Shoulders(first_arm_joint.parent, x, abs(y), z + _ABOVE_SHOULDER_M)


def add_gantry(scene: mujoco.MjSpec, spec: RobotSpec) -> None:
    """Put bar and ropes into a scene that holds the robot; unhooked until ``Gantry.hook``."""
    hold = _shoulders(spec)
    bar = scene.worldbody.add_body(name=BAR, mocap=True, pos=[0, 0, _PARKED_HEIGHT_M])
    bar.add_geom(
        name=BAR,
        type=mujoco.mjtGeom.mjGEOM_CAPSULE,
        fromto=[0, -hold.y_m, 0, 0, hold.y_m, 0],
        size=[0.015, 0, 0],
        contype=0,
        conaffinity=0,
        group=_VISUAL_GROUP,
        rgba=[0.85, 0.6, 0.1, 1],
    )
    torso = scene.body(hold.link)
    for side, sign in zip(SIDES, (1.0, -1.0), strict=True):
        top, hook = f"{BAR}_{side}", f"gantry_hook_{side}"
        bar.add_site(name=top, pos=[0, sign * hold.y_m, 0], group=4)
        torso.add_site(name=hook, pos=[hold.x_m, sign * hold.y_m, hold.z_m], group=4)
        rope = scene.add_tendon(
            name=f"gantry_rope_{side}",
            stiffness=ROPE_STIFFNESS_N_M,
            springlength=[0, _UNHOOKED_LENGTH_M],
            width=0.004,
            rgba=[0.2, 0.2, 0.2, 0],
        )
        rope.wrap_site(top)
        rope.wrap_site(hook)


def show_gantry(model: mujoco.MjModel, data: mujoco.MjData, bar_pose: np.ndarray, hooked: bool) -> None:
    """Put the bar of a renderer's own model to ``bar_pose`` [7] (xyz, wxyz) and show or hide the ropes."""
    mocap = int(model.body(BAR).mocapid[0])
    data.mocap_pos[mocap], data.mocap_quat[mocap] = bar_pose[:3], bar_pose[3:]
    for side in SIDES:
        model.tendon_rgba[model.tendon(f"gantry_rope_{side}").id, 3] = float(hooked)


class Gantry:
    """The gantry of one model and its data. Heights are of the bar above the floor [m], speeds [m/s]."""

    def __init__(self, model: mujoco.MjModel, data: mujoco.MjData, spec: RobotSpec) -> None:
        self._model, self._data = model, data
        self._mocap = int(model.body(BAR).mocapid[0])
        self._torso = model.body(_shoulders(spec).link).id
        self._hooks = [model.site(f"gantry_hook_{side}").id for side in SIDES]
        self._ropes = [model.tendon(f"gantry_rope_{side}").id for side in SIDES]
        self.unhook()

    def hook(self, height_m: float, speed_m_s: float = 0.1) -> None:
        """Hook the ropes on where the robot is (just taut) and move the bar to ``height_m`` at ``speed_m_s``.

        When already hooked, only the goal changes. Raises ValueError when height or speed is out of range.
        """
        low, high = HEIGHT_RANGE_M
        if not low <= height_m <= high:
            raise ValueError(f"gantry height {height_m:.3g} m: must be {low}..{high} m")
        low, high = SPEED_RANGE_M_S
        if not low <= speed_m_s <= high:
            raise ValueError(f"gantry speed {speed_m_s:.3g} m/s: must be {low}..{high} m/s")
        if not self.hooked:
            hooks = self._data.site_xpos[self._hooks]
            self._data.mocap_pos[self._mocap] = hooks.mean(axis=0)
            self._data.mocap_pos[self._mocap, 2] += ROPE_LENGTH_M
            across = hooks[0] - hooks[1]
            yaw = np.arctan2(-across[0], across[1])
            self._data.mocap_quat[self._mocap] = [np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]
            self._data.ten_length[self._ropes] = ROPE_LENGTH_M
            self._rope(ROPE_LENGTH_M, visible=True)
            self.hooked = True
        self._goal_m, self._speed_m_s = float(height_m), float(speed_m_s)

    def unhook(self) -> None:
        """Take the ropes off and park the bar out of sight."""
        self.hooked = False
        self.load_n = 0.0
        self._goal_m, self._speed_m_s = _PARKED_HEIGHT_M, 0.0
        self._data.mocap_pos[self._mocap] = [0, 0, _PARKED_HEIGHT_M]
        self._rope(_UNHOOKED_LENGTH_M, visible=False)

    @property
    def height_m(self) -> float:
        """Height of the bar; NaN while unhooked."""
        return float(self._data.mocap_pos[self._mocap, 2]) if self.hooked else float("nan")

    @property
    def bar_pose(self) -> np.ndarray:
        """Position and quaternion of the bar [7]."""
        return np.concatenate([self._data.mocap_pos[self._mocap], self._data.mocap_quat[self._mocap]])

    @property
    def hoisted(self) -> bool:
        """True while the ropes carry load."""
        return self.load_n > _TAUT_LOAD_N

    def update(self, elapsed_s: float) -> None:
        """Move the bar and add the steadying force to ``xfrc_applied``; ``elapsed_s`` since the last call."""
        if not self.hooked:
            return
        bar = self._data.mocap_pos[self._mocap]
        reach = self._speed_m_s * elapsed_s
        travel = min(reach, max(-reach, self._goal_m - bar[2]))
        bar[2] += travel
        stretch = np.maximum(0.0, self._data.ten_length[self._ropes] - ROPE_LENGTH_M)
        self.load_n = float(ROPE_STIFFNESS_N_M * stretch.sum())
        if self.hoisted:
            velocity = self._data.cvel[self._torso, 3:].copy()
            velocity[2] -= travel / elapsed_s
            self._data.xfrc_applied[self._torso, :3] -= _STEADYING_N_S_M * velocity

    def _rope(self, length_m: float, visible: bool) -> None:
        self._model.tendon_lengthspring[self._ropes, 1] = length_m
        self._model.tendon_rgba[self._ropes, 3] = float(visible)


def bar_height_m(spec: RobotSpec, pelvis_height_m: float) -> float:
    """Bar height at which a robot hanging upright at ``pelvis_height_m`` above the floor just tightens the
    ropes."""
    hold = _shoulders(spec)
    height, link = hold.z_m, hold.link
    while link != spec.base_link:
        joint = next(joint for joint in spec.joints if joint.child == link)
        height += joint.origin_xyz_m[2]
        link = joint.parent
    return pelvis_height_m + height + ROPE_LENGTH_M
