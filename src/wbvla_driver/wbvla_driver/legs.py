"""Set-points of legs and waist yaw: from the locomotion node, or from the driver's own stand controller."""

from __future__ import annotations

import enum
from typing import Protocol

import numpy as np
from wbvla_core.limits import SetPoint
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import LegWaistCommand, LocoCommand, RobotState


class StandController(Protocol):
    """What the driver asks of ``wbvla_core.lmo.LmoController``."""

    def reset(self, state: RobotState, height_m: float) -> None: ...

    def step(self, state: RobotState, command: LocoCommand) -> LegWaistCommand: ...


class LegSource(enum.Enum):
    """Who drives legs and waist yaw."""

    POSTURE = "posture"
    LMO = "lmo"
    LAST_RESORT = "last_resort"


class LegRoom:
    """Set-points [m] of the locomotion joints in wire order of ``joints``; a change of source is faded."""

    def __init__(self, spec: RobotSpec, stand: StandController, period_ns: int) -> None:
        self.joints = np.sort(spec.lmo_index)
        self._names = tuple(spec.joint_names[i] for i in self.joints)
        self.wanted = frozenset(self._names)
        self._stand = stand
        self._period_ns = period_ns
        zeros = np.zeros(len(self.joints))
        self._posture = SetPoint(
            spec.default_rad[self.joints], zeros, spec.kp[self.joints], spec.kd[self.joints], zeros
        )
        self._order: dict[tuple[str, ...], np.ndarray] = {}
        self.source = LegSource.POSTURE
        self._goal = self._output = self._posture
        self._fade_from = self._posture
        self._fade_start_ns, self._fade_ns = 0, 0
        self._lmo: SetPoint | None = None
        self._lmo_sequence: int | None = None
        self.lmo_seen_ns: int | None = None
        self.bad_in_row = 0
        self._next_stand_ns = 0
        self._stand_command = LocoCommand(height_m=spec.nominal_height_m)

    def stale_sequence(self, sequence: int, now_ns: int, stale_ns: int) -> bool:
        """Whether ``sequence`` does not follow on the last good one although that is recent: a second
        publisher."""
        if self._lmo_sequence is None or self.lmo_seen_ns is None or now_ns - self.lmo_seen_ns > stale_ns:
            return False
        return sequence <= self._lmo_sequence

    def take(self, command: LegWaistCommand, now_ns: int) -> None:
        """A checked set-point of the locomotion node; joints may come in any order."""
        order = self._order.get(command.joint_names)
        if order is None:
            order = np.array([command.joint_names.index(name) for name in self._names])
            self._order = {command.joint_names: order}
        self._lmo = SetPoint(
            command.position_rad[order],
            command.velocity_rad_s[order],
            command.stiffness[order],
            command.damping[order],
            command.effort_feedforward_nm[order],
        )
        self._lmo_sequence, self.lmo_seen_ns, self.bad_in_row = command.sequence, now_ns, 0

    def lmo_age_ns(self, now_ns: int) -> int | None:
        """Age of the last good set-point of the locomotion node; None before the first."""
        return None if self.lmo_seen_ns is None else now_ns - self.lmo_seen_ns

    def switch(self, source: LegSource, fade_s: float, now_ns: int) -> None:
        """From now on ``source`` drives, faded in from the present output."""
        if source == self.source:
            return
        self.source = source
        self._fade_from, self._fade_start_ns, self._fade_ns = self._output, now_ns, int(fade_s * NS_PER_S)

    def start_posture(self, now_ns: int) -> None:
        """Back to the stand posture without a fade (the release blend of the whole body covers it)."""
        self.source = LegSource.POSTURE
        self._output = self._fade_from = self._posture
        self._fade_start_ns, self._fade_ns = now_ns, 0

    def start_stand(self, state: RobotState, height_m: float, fade_s: float, now_ns: int) -> None:
        """The driver's own stand controller takes over at ``height_m``; raises what its ``reset`` raises."""
        self._stand.reset(state, height_m)
        self._stand_command = LocoCommand(height_m=height_m)
        self._next_stand_ns = now_ns
        self._goal = self._output
        self.switch(LegSource.LAST_RESORT, fade_s, now_ns)

    def sample(self, state: RobotState, now_ns: int) -> SetPoint:
        """Set-point now. Raises ArithmeticError when the stand controller's output is not finite."""
        if self.source == LegSource.POSTURE:
            self._goal = self._posture
        elif self.source == LegSource.LMO:
            self._goal = self._lmo if self._lmo is not None else self._posture
        elif now_ns >= self._next_stand_ns:
            self._next_stand_ns = max(self._next_stand_ns + self._period_ns, now_ns)
            self._goal = self._own_stand(state)
        elapsed_ns = now_ns - self._fade_start_ns
        if elapsed_ns >= self._fade_ns:
            self._output = self._goal
        else:
            weight = max(0.0, elapsed_ns / self._fade_ns)
            self._output = _mix(self._fade_from, self._goal, weight)
        return self._output

    def _own_stand(self, state: RobotState) -> SetPoint:
        command = self._stand.step(state, self._stand_command)
        order = np.array([command.joint_names.index(name) for name in self._names])
        arrays = (
            command.position_rad,
            command.velocity_rad_s,
            command.stiffness,
            command.damping,
            command.effort_feedforward_nm,
        )
        if not all(np.isfinite(array).all() for array in arrays):
            raise ArithmeticError("the stand controller's output is not finite")
        return SetPoint(*(array[order] for array in arrays))


def _mix(a: SetPoint, b: SetPoint, weight: float) -> SetPoint:
    return SetPoint(
        a.position_rad + weight * (b.position_rad - a.position_rad),
        a.velocity_rad_s + weight * (b.velocity_rad_s - a.velocity_rad_s),
        a.stiffness + weight * (b.stiffness - a.stiffness),
        a.damping + weight * (b.damping - a.damping),
        a.effort_feedforward_nm + weight * (b.effort_feedforward_nm - a.effort_feedforward_nm),
    )
