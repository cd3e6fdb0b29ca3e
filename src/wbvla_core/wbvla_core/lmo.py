"""The locomotion controller: state and command in, set-points of legs and waist out, one network run per 20
ms.

The same class runs in the node, as the driver's last resort, in lock-step simulation and in playback. It
holds what a policy remembers (intent, last action, history) and calls the functions that training calls, with
a batch of one.
"""

from __future__ import annotations

import numpy as np

from . import action, intent, observation, posture, ramp
from .bundle import Bundle, BundleError, onnx_session
from .lmo_bundle import LmoSection, action_config, observation_config
from .robot_spec import RobotSpec, RobotSpecError
from .rotations import projected_gravity
from .types import LegWaistCommand, LocoCommand, LocoMode, RobotState


class LmoNotFinite(ArithmeticError):
    """State, command or network output holds NaN or infinity. The controller's memory is as before the
    step."""


class LmoController:
    """Runs one locomotion bundle. Not thread safe; one call of ``step`` per control step of ``dt_s``."""

    def __init__(self, bundle: Bundle, spec: RobotSpec) -> None:
        """Prepare the network; raises BundleError when bundle and robot disagree."""
        section: LmoSection = bundle.section
        where = bundle.path / "bundle.json"
        try:
            self._observation = observation_config(section, spec)
        except (RobotSpecError, ValueError) as error:
            raise BundleError(
                f"{where}: lmo.joints or lmo.default_rad do not fit the robot ({error})"
            ) from None
        self._action = action_config(section, spec)
        self._section = section
        self._session = onnx_session(
            bundle.file(section.network),
            {"observation": self._observation.size},
            {"action": len(section.joints)},
        )
        self.name = bundle.name
        self.joint_names = section.joints
        self.dt_s = section.dt_s
        self._index = np.asarray(self._observation.driven)
        self._kp, self._kd = np.asarray(section.kp), np.asarray(section.kd)
        self._effort_limit = spec.effort_nm[self._index]
        self._still = np.zeros((1, 3))
        self._sequence = 0
        self._forget(spec.nominal_height_m)

    @property
    def height_m(self) -> float:
        """Commanded stance height, m: slews towards the last command."""
        return float(self._intent.height_m[0])

    @property
    def posture_table(self) -> posture.PostureTable:
        """Stance posture over height that the actions are added to."""
        return self._section.posture

    @property
    def ramp(self) -> np.ndarray:
        """Smoothed request sbar [3]."""
        return self._intent.ramp[0].copy()

    @property
    def stepping(self) -> bool:
        """Whether the gait clock runs."""
        return bool(self._intent.gait.on[0])

    def reset(self, state: RobotState, height_m: float) -> None:
        """Forget everything and start standing at ``height_m``; the history begins with the next step's
        frame.

        Raises LmoNotFinite when ``state`` or ``height_m`` is not finite."""
        if not np.isfinite(height_m) or not np.isfinite(state.position_rad).all():
            raise LmoNotFinite("the state or height to start from is not finite")
        low, high = self._section.ramp.height_range_m
        self._forget(min(max(height_m, low), high))

    def step(self, state: RobotState, command: LocoCommand) -> LegWaistCommand:
        """Set-points for the next control step.

        ``state`` must be of this robot (wire order), ``command`` may be of any mode: a mode that the bundle
        does not follow counts as standing. Raises LmoNotFinite; nothing is remembered then and the caller may
        go on with the last good set-point."""
        readings = _readings(state)
        request, height = self._request(command), np.array([command.height_m])
        if not all(np.isfinite(part).all() for part in (*readings, request, height)):
            raise LmoNotFinite("robot state or locomotion command is not finite")
        section = self._section
        measured = observation.measured(*readings, self._observation)
        moved = intent.advance(
            self._intent,
            request,
            height,
            measured.gravity,
            measured.angular_velocity,
            measured.velocity,
            section.ramp,
            section.gait,
        )
        reference = observation.reference(moved, section.posture, section.gait)
        previous = None if self._history is None else self._history[:, 0]
        frame = observation.frame(
            measured, moved, reference, self._last_action, section.posture, self._observation, previous
        )
        if self._history is None:
            history = observation.empty_history(frame, self._observation)
        else:
            history = observation.push(self._history, frame)
        stacked = observation.stack(history, self._observation).astype(np.float32)
        raw = self._session.run(None, {"observation": stacked})[0].astype(np.float64)
        if not np.isfinite(raw).all():
            raise LmoNotFinite("the network's output is not finite")
        chosen = action.clip_action(raw, self._action)
        target = action.joint_targets(chosen, reference, self._action)[0]
        feedforward = self._action.gravity_share * posture.gravity_torque(section.posture, moved.height_m)[0]
        self._intent, self._history, self._last_action = moved, history, chosen
        self._sequence += 1
        return self._command(state, target, feedforward)

    def _command(self, state: RobotState, target: np.ndarray, feedforward: np.ndarray) -> LegWaistCommand:
        error = target - state.position_rad[self._index]
        effort = self._kp * error - self._kd * state.velocity_rad_s[self._index] + feedforward
        return LegWaistCommand(
            joint_names=self.joint_names,
            position_rad=target,
            velocity_rad_s=np.zeros_like(target),
            effort_nm=np.clip(effort, -self._effort_limit, self._effort_limit),
            effort_feedforward_nm=feedforward,
            stiffness=self._kp,
            damping=self._kd,
            state_stamp_ns=state.stamp_ns,
            sequence=self._sequence,
        )

    def _request(self, command: LocoCommand) -> np.ndarray:
        modes = self._section.command_modes
        if command.mode == LocoMode.FLAGS and "flags" in modes:
            return np.sign(np.array([command.flags], dtype=np.float64))
        if command.mode == LocoMode.VELOCITY and "velocity" in modes:
            return ramp.request(np.array([command.velocity], dtype=np.float64), self._section.ramp)
        return self._still

    def _forget(self, height_m: float) -> None:
        self._intent = intent.Intent.standing(np.array([height_m]))
        self._last_action = np.zeros((1, len(self.joint_names)))
        self._history: np.ndarray | None = None


def _readings(state: RobotState) -> tuple[np.ndarray, ...]:
    return (
        state.position_rad[None],
        state.velocity_rad_s[None],
        projected_gravity(state.base_quaternion_wxyz)[None],
        state.base_angular_velocity_rad_s[None],
    )
