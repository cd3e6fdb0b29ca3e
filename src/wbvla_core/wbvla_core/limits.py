"""Clamping of set-points: position, speed, and the torque that the plant's law implies.

The plant closes tau = kp (q* - q) + kd (qd* - qd) + tau_ff. A set-point inside its position limits can still
ask for a torque that the motor does not have; here it is moved to where the law gives just the permitted
torque at the measured state, so that what is sent and recorded is what the motor can do. Nothing is ever
refused or stopped for being beyond a limit: it is clamped and reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class JointLimits:
    """Limits of n joints, arrays [n]: position range [rad], speed [rad/s] and torque [N m], both as
    magnitudes."""

    lower_rad: np.ndarray
    upper_rad: np.ndarray
    velocity_rad_s: np.ndarray
    effort_nm: np.ndarray

    def __post_init__(self) -> None:
        sizes = {name: np.shape(getattr(self, name)) for name in self.__dataclass_fields__}
        if len(set(sizes.values())) != 1 or len(np.shape(self.lower_rad)) != 1:
            raise ValueError(f"limits need arrays [n] of one length, got {sizes}")
        if not all(np.all(np.isfinite(getattr(self, name))) for name in sizes):
            raise ValueError("limits must be finite")
        if np.any(self.lower_rad >= self.upper_rad):
            raise ValueError("lower_rad must be below upper_rad for every joint")
        if np.any(self.velocity_rad_s <= 0) or np.any(self.effort_nm <= 0):
            raise ValueError("velocity_rad_s and effort_nm must be positive")


@dataclass(frozen=True)
class SetPoint:
    """What the law of the plant needs, arrays [n]; units as in ``PlantCommand``."""

    position_rad: np.ndarray
    velocity_rad_s: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    effort_feedforward_nm: np.ndarray


@dataclass(frozen=True)
class ClampReport:
    """Which joints were clamped, boolean arrays [n] per kind."""

    position: np.ndarray
    velocity: np.ndarray
    effort: np.ndarray

    @property
    def any(self) -> bool:
        """Whether anything was clamped."""
        return bool(self.position.any() or self.velocity.any() or self.effort.any())

    def describe(self, names: Sequence[str]) -> str:
        """For people: ``position: left_knee_joint; effort: ...``; empty when nothing was clamped."""
        parts = []
        for kind in ("position", "velocity", "effort"):
            mask: np.ndarray = getattr(self, kind)
            hit = [name for name, clamped in zip(names, mask, strict=True) if clamped]
            if hit:
                parts.append(f"{kind}: {', '.join(hit)}")
        return "; ".join(parts)


def law_effort_nm(set_point: SetPoint, position_rad: np.ndarray, velocity_rad_s: np.ndarray) -> np.ndarray:
    """Torque [n] of the plant's law, kp (q* - q) + kd (qd* - qd) + tau_ff [N m]."""
    return (
        set_point.stiffness * (set_point.position_rad - position_rad)
        + set_point.damping * (set_point.velocity_rad_s - velocity_rad_s)
        + set_point.effort_feedforward_nm
    )


def clamp(
    set_point: SetPoint, position_rad: np.ndarray, velocity_rad_s: np.ndarray, limits: JointLimits
) -> tuple[SetPoint, ClampReport]:
    """Clamp a set-point at the measured state (``position_rad``, ``velocity_rad_s``, [n]).

    Position and speed are cut to their ranges. Where the law's torque then exceeds the effort limit, q* moves
    as far as that takes (while it stays inside its range), and the feed-forward torque takes up what is left,
    as it does where kp is 0. Afterwards |torque| <= effort holds exactly at the measured state. Arguments
    must be finite.
    """
    position = np.clip(set_point.position_rad, limits.lower_rad, limits.upper_rad)
    velocity = np.clip(set_point.velocity_rad_s, -limits.velocity_rad_s, limits.velocity_rad_s)
    feedforward = set_point.effort_feedforward_nm
    clamped = SetPoint(position, velocity, set_point.stiffness, set_point.damping, feedforward)
    torque = law_effort_nm(clamped, position_rad, velocity_rad_s)
    excess = torque - np.clip(torque, -limits.effort_nm, limits.effort_nm)
    over = excess != 0.0
    report = ClampReport(position != set_point.position_rad, velocity != set_point.velocity_rad_s, over)
    if not over.any():
        return clamped, report
    stiff = over & (set_point.stiffness > 0.0)
    step = np.divide(excess, set_point.stiffness, out=np.zeros_like(excess), where=stiff)
    moved = np.clip(position - step, limits.lower_rad, limits.upper_rad)
    left = excess - set_point.stiffness * (position - moved)
    return (
        SetPoint(moved, velocity, set_point.stiffness, set_point.damping, feedforward - left),
        report,
    )
