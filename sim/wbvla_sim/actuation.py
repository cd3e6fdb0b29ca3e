"""What the drives do with a PlantCommand: latency, interpolation, clamps, torque-speed line, watchdog.

The law tau = kp (q* - q) + kd (qd* - qd) + tau_ff is closed inside the engine: ctrl = kp q* + kd qd* +
tau_ff with the actuator bias (0, -kp, -kd), so the integrator knows the joint's stiffness and the force is
never older than a step.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass

import mujoco
import numpy as np
from wbvla_core.model import joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import PlantCommand, PlantState


class JointFault(enum.IntFlag):
    """Fault bits of one joint, as the reading's ``fault`` carries them; 0 is healthy."""

    DISABLED = 1
    HOT = 2


@dataclass(frozen=True)
class ActuationConfig:
    """Drive properties. ``latency_s``: from the command's arrival to the first set-point that uses it.

    ``max_kp`` [N m/rad] and ``max_kd`` [N m s/rad] are what the X2's joint protocol can carry.
    """

    watchdog_s: float = 0.020
    latency_s: float = 0.002
    set_point_period_s: float = 0.002
    max_kp: float = 1024.0
    max_kd: float = 40.96

    def __post_init__(self) -> None:
        if self.watchdog_s <= 0 or self.latency_s < 0 or self.set_point_period_s <= 0:
            raise ValueError("ActuationConfig: watchdog_s and set_point_period_s must be > 0, latency_s >= 0")


class Actuation:
    """The drives of one robot in one MuJoCo model, whose actuators are named after joints and grippers.

    Call ``receive`` with each new command and ``update`` before each physics step. Damping is where it
    starts and where silence leads; it is left only by an inactive command followed by an active one.
    """

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec, config: ActuationConfig) -> None:
        self._model, self._spec, self._config = model, spec, config
        self._act = np.array([model.actuator(name).id for name in spec.joint_names])
        self._qpos, self._dof = joint_addresses(model, spec)
        self._grip_act = np.array([model.actuator(name).id for name in spec.hand_names], dtype=np.int64)
        self._grip_rate = np.array([hand.velocity_m_s / hand.stroke_m for hand in spec.hands])
        self._period_steps = max(1, round(config.set_point_period_s / model.opt.timestep))
        self._latency_steps = round(config.latency_s / model.opt.timestep)
        self._effort_scale = np.ones(spec.n)
        knees = {motor.name: motor.knee_rad_s for motor in spec.motors}
        self._knee_rad_s = np.array([knees[joint.motor] for joint in spec.joints])
        self._at_peak = False
        self.fault = np.zeros(spec.n, np.int64)
        self.reset()

    def reset(self) -> None:
        """Back to damping with no command known; counters go to zero, injected joint faults stay."""
        n = self._spec.n
        self.state = PlantState.DAMPING
        self.watchdog_trips = self.set_points = self.rejected = self.limited = 0
        self.last_sequence = 0
        self._armed = False
        self._pending: deque[tuple[int, PlantCommand]] = deque()
        self._newest: PlantCommand | None = None
        self._fresh = False
        self._fresh_ns: int | None = None
        self._step = 0
        self._position, self._velocity, self._feedforward = np.zeros(n), np.zeros(n), np.zeros(n)
        self._start = self._goal = (self._position, self._velocity, self._feedforward)
        self._blend_from, self._blend_steps = 0, 1
        self._kp, self._kd = np.zeros(n), self._spec.damping_kd.copy()
        self._opening, self._opening_goal = np.zeros(len(self._spec.hands)), np.zeros(len(self._spec.hands))
        self._write_gains(self._kp, self._kd)

    def set_fault(self, joint: str, fault: JointFault | int) -> None:
        """Give ``joint`` the fault bits; DISABLED takes its torque, 0 heals it. Raises RobotSpecError."""
        index = self._spec.index((joint,))[0]
        self.fault[index] = int(fault)
        self._effort_scale[index] = 0.0 if int(fault) & JointFault.DISABLED else 1.0
        self._at_peak = False

    def receive(self, command: PlantCommand) -> None:
        """Take a command; one with the sequence of the newest is ignored, one that is not finite is
        rejected.
        """
        if self._newest is not None and command.sequence == self._newest.sequence:
            return
        self._newest = command
        if not _finite(command):
            self.rejected += 1
            return
        self._fresh = True
        self._pending.append((self._step + self._latency_steps, command))

    def update(self, data: mujoco.MjData, now_ns: int) -> None:
        """Set controls, gains and force limits of the coming physics step; ``now_ns`` is for the watchdog
        alone.
        """
        if self._fresh or self._fresh_ns is None:
            self._fresh, self._fresh_ns = False, now_ns
        if self.state is PlantState.ACTIVE and now_ns - self._fresh_ns > self._config.watchdog_s * 1e9:
            self.watchdog_trips += 1
            self._damp(armed=False)
        if self._step % self._period_steps == 0:
            while self._pending and self._pending[0][0] <= self._step:
                self._accept(self._pending.popleft()[1], data)
            self._set_point(data)
        self._limit_torque(data.qvel[self._dof])
        self._step += 1

    def _limit_torque(self, velocity_rad_s: np.ndarray) -> None:
        below_knee = bool((np.abs(velocity_rad_s) < self._knee_rad_s).all())
        if below_knee and self._at_peak:
            return
        lower, upper = self._spec.torque_limits_nm(velocity_rad_s)
        self._model.actuator_forcerange[self._act, 0] = lower * self._effort_scale
        self._model.actuator_forcerange[self._act, 1] = upper * self._effort_scale
        self._at_peak = below_knee

    def _accept(self, command: PlantCommand, data: mujoco.MjData) -> None:
        self.last_sequence = command.sequence
        self._opening_goal = np.clip(command.gripper_opening, 0.0, 1.0)
        if not command.active:
            self._damp(armed=True)
            return
        if self.state is not PlantState.ACTIVE:
            if not self._armed:
                return
            self.state = PlantState.ACTIVE
            self._position = data.qpos[self._qpos].copy()
            self._velocity, self._feedforward = np.zeros(self._spec.n), np.zeros(self._spec.n)
        spec, config = self._spec, self._config
        goal = (
            np.clip(command.position_rad, spec.lower_rad, spec.upper_rad),
            np.clip(command.velocity_rad_s, -spec.velocity_rad_s, spec.velocity_rad_s),
            np.clip(command.effort_feedforward_nm, -spec.effort_nm, spec.effort_nm),
        )
        asked = (command.position_rad, command.velocity_rad_s, command.effort_feedforward_nm)
        self.limited += any(np.any(a != b) for a, b in zip(goal, asked, strict=True))
        self._start, self._goal = (self._position, self._velocity, self._feedforward), goal
        self._blend_from = self._step
        self._blend_steps = max(self._period_steps, round(command.interpolation_s / self._model.opt.timestep))
        self._kp = np.clip(command.stiffness, 0.0, config.max_kp)
        self._kd = np.clip(command.damping, 0.0, config.max_kd)
        self._write_gains(self._kp, self._kd)

    def _set_point(self, data: mujoco.MjData) -> None:
        dt = self._period_steps * self._model.opt.timestep
        self._opening = self._opening + _within(self._opening_goal - self._opening, self._grip_rate * dt)
        data.ctrl[self._grip_act] = self._opening
        if self.state is not PlantState.ACTIVE:
            data.ctrl[self._act] = 0.0
            return
        part = min(1.0, (self._step + self._period_steps - self._blend_from) / self._blend_steps)
        self._position, self._velocity, self._feedforward = (
            start + part * (goal - start) for start, goal in zip(self._start, self._goal, strict=True)
        )
        data.ctrl[self._act] = self._kp * self._position + self._kd * self._velocity + self._feedforward
        self.set_points += 1

    def _damp(self, armed: bool) -> None:
        self.state, self._armed = PlantState.DAMPING, armed
        if not armed:
            self._pending.clear()
        self._write_gains(np.zeros(self._spec.n), self._spec.damping_kd)

    def _write_gains(self, kp: np.ndarray, kd: np.ndarray) -> None:
        self._model.actuator_gainprm[self._act, 0] = 1.0
        self._model.actuator_biasprm[self._act, 1] = -kp
        self._model.actuator_biasprm[self._act, 2] = -kd


def _within(values: np.ndarray, reach: np.ndarray) -> np.ndarray:
    return np.minimum(np.maximum(values, -reach), reach)


def _finite(command: PlantCommand) -> bool:
    arrays = (
        command.position_rad,
        command.velocity_rad_s,
        command.stiffness,
        command.damping,
        command.effort_feedforward_nm,
        command.gripper_opening,
        (command.interpolation_s,),
    )
    return all(np.isfinite(np.sum(array)) for array in arrays)
