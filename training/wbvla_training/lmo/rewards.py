"""Reward terms of the LMO policy: pure functions of one control step, free of any simulator.

Each term maps a ``StepRecord`` of N environments to [N]; ``RewardConfig`` holds a weight of the same name. The weighted sum
is multiplied by the control step (20 ms) and by ``RewardConfig.scale``, which only keeps the value targets small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from wbvla_core.arrays import constant

from .config import RewardConfig

Tensor = torch.Tensor
DT_S = 0.02


@dataclass(frozen=True)
class StepRecord:
    """What happened in one control step, [N, ...]; velocities in the heading frame (base frame turned upright).

    Joint arrays hold the m driven joints; feet are (left, right)."""

    velocity: Tensor
    """[N, 3] of the base, m/s."""
    angular_velocity: Tensor
    """[N, 3] of the base in its own frame, rad/s."""
    reference: Tensor
    """[N, 3] v_x, v_y, w_z asked for at this instant, or what leads back to the place of rest (``tracking``)."""
    velocity_error: Tensor
    """[N, 2] low-passed velocity minus reference."""
    yaw_rate_error: Tensor
    """[N] low-passed yaw rate minus reference."""
    slow_error: Tensor
    """[N, 2] velocity error low-passed over about a second: the bias that displaces the robot."""
    yaw_drift: Tensor
    """[N] heading minus the integral of the reference yaw rate, rad, wrapped."""
    gravity: Tensor
    """[N, 3] unit vector in the base frame."""
    gravity_reference: Tensor
    """[N, 3] the same with the trunk leaning as the posture table says."""
    height: Tensor
    """[N] base above the lowest sole, m."""
    height_command: Tensor
    """[N] ramped stance height, m."""
    foot_height: Tensor
    """[N, 2] soles above the ground, m."""
    foot_lift: Tensor
    """[N, 2] sole height that the gait clock asks for, m."""
    foot_velocity: Tensor
    """[N, 2, 3] of the foot frames in the world, m/s."""
    foot_tilt: Tensor
    """[N, 2] squared horizontal part of the sole normal."""
    balance: Tensor
    """[N, 2] where the ground must push for the robot to come to rest, ahead of and left of the feet's middle, m:
    capture point (centre of mass plus its velocity / 3.8 per s) plus what sustained hand forces ask for
    (``sensing.load_shift``)."""
    foot_spacing: Tensor
    """[N] lateral distance of the feet in the heading frame, m."""
    stance_offset: Tensor
    """[N] fore-aft distance of the feet in the heading frame, m."""
    position: Tensor
    """[N, m] rad."""
    speed: Tensor
    """[N, m] rad/s."""
    torque: Tensor
    """[N, m] N m at the end of the step."""
    torque_limit: Tensor
    """[m] N m."""
    reference_pose: Tensor
    """[N, m] posture the action is added to, rad."""
    lower: Tensor
    """[m] rad."""
    upper: Tensor
    """[m] rad."""
    action: Tensor
    """[N, m]."""
    last_action: Tensor
    """[N, m]."""
    older_action: Tensor
    """[N, m]."""
    walking: Tensor
    """[N] bool: the gait clock runs."""
    asked_to_stand: Tensor
    """[N] bool: no motion is requested and the ramp is over (capture steps may still run)."""
    place: Tensor
    """[N, 2] of the base relative to where it was when the ramp was over, m; zero in motion."""
    fell: Tensor
    """[N] bool: the episode ends by a failure."""


def velocity(s: StepRecord, c: RewardConfig) -> Tensor:
    """exp(-e^2/width) of the horizontal velocity."""
    error = ((s.velocity[:, :2] - s.reference[:, :2]) ** 2).sum(-1)
    return torch.exp(-error / c.velocity_width)


def yaw_rate(s: StepRecord, c: RewardConfig) -> Tensor:
    """exp(-e^2/width) of the yaw rate."""
    return torch.exp(-((s.angular_velocity[:, 2] - s.reference[:, 2]) ** 2) / c.yaw_rate_width)


def filtered_velocity(s: StepRecord, c: RewardConfig) -> Tensor:
    """exp(-e^2/width) of the low-passed velocity: blind to the gait's oscillation, sharp on displacement."""
    return torch.exp(-(s.velocity_error**2).sum(-1) / c.filtered_velocity_width)


def filtered_yaw_rate(s: StepRecord, c: RewardConfig) -> Tensor:
    """exp(-e^2/width) of the low-passed yaw rate."""
    return torch.exp(-(s.yaw_rate_error**2) / c.filtered_yaw_rate_width)


def drift(s: StepRecord, c: RewardConfig) -> Tensor:
    """Velocity bias over about a second, m/s: what remains of it displaces the robot."""
    return s.slow_error.abs().sum(-1)


def yaw_drift(s: StepRecord, c: RewardConfig) -> Tensor:
    """|wrap(psi - integral of the reference yaw rate)|, rad: J_dir of arXiv 2512.11047 for every instant."""
    return s.yaw_drift.abs()


def gait_phase(s: StepRecord, c: RewardConfig) -> Tensor:
    """exp(-sum e^2/width) of the sole heights against the gait clock."""
    return torch.exp(-((s.foot_height - s.foot_lift) ** 2).sum(-1) / c.phase_width)


def swing_shortfall(s: StepRecord, c: RewardConfig) -> Tensor:
    """Missing sole height as a share of 0.08 m; without it the learner settles for standing still."""
    return (s.foot_lift - s.foot_height).clamp(min=0.0).sum(-1) / 0.08


def height(s: StepRecord, c: RewardConfig) -> Tensor:
    """exp(-(e / 4 cm)^2) of the stance height."""
    return torch.exp(-(((s.height - s.height_command) / 0.04) ** 2))


def height_error(s: StepRecord, c: RewardConfig) -> Tensor:
    """|e| of the stance height, m."""
    return (s.height - s.height_command).abs()


def alive(s: StepRecord, c: RewardConfig) -> Tensor:
    """One while the episode goes on."""
    return torch.ones_like(s.height)


def tilt(s: StepRecord, c: RewardConfig) -> Tensor:
    """Squared horizontal part of gravity in the base frame, against the posture's lean."""
    return ((s.gravity - s.gravity_reference)[:, :2] ** 2).sum(-1)


def tilt_absolute(s: StepRecord, c: RewardConfig) -> Tensor:
    """The same without the square: still pulls where the square is flat."""
    return (s.gravity - s.gravity_reference)[:, :2].abs().sum(-1)


def roll_pitch_rate(s: StepRecord, c: RewardConfig) -> Tensor:
    """Squared roll and pitch rate, (rad/s)^2."""
    return (s.angular_velocity[:, :2] ** 2).sum(-1)


def vertical_velocity(s: StepRecord, c: RewardConfig) -> Tensor:
    """Squared vertical velocity of the base, (m/s)^2."""
    return s.velocity[:, 2] ** 2


def action_rate(s: StepRecord, c: RewardConfig) -> Tensor:
    """Squared change of the action."""
    return ((s.action - s.last_action) ** 2).sum(-1)


def action_curvature(s: StepRecord, c: RewardConfig) -> Tensor:
    """Squared second difference of the action: chatter."""
    return ((s.action - 2.0 * s.last_action + s.older_action) ** 2).sum(-1)


_POSE_WEIGHTS = (0.05, 1.0, 1.5, 0.05, 0.2, 1.0) * 2


def pose(s: StepRecord, c: RewardConfig) -> Tensor:
    """Weighted squared distance of the legs from the posture reference; sagittal joints stay nearly free."""
    away = s.position[:, :12] - s.reference_pose[:, :12]
    return (constant(_POSE_WEIGHTS, s.position) * away**2).sum(-1)


def foot_tilt(s: StepRecord, c: RewardConfig) -> Tensor:
    """Soles out of level."""
    return s.foot_tilt.sum(-1)


def foot_slip(s: StepRecord, c: RewardConfig) -> Tensor:
    """Squared horizontal speed of feet that are on the ground, (m/s)^2."""
    down = (s.foot_height < 0.01).to(s.foot_velocity.dtype)
    return ((s.foot_velocity[:, :, :2] ** 2).sum(-1) * down).sum(-1)


def foot_spacing(s: StepRecord, c: RewardConfig) -> Tensor:
    """Lateral distance missing to 0.22 m."""
    return (0.22 - s.foot_spacing).clamp(min=0.0)


def landing(s: StepRecord, c: RewardConfig) -> Tensor:
    """Squared downward speed of feet within 3 cm of the ground, (m/s)^2: stamping."""
    near = (s.foot_height < 0.03).to(s.foot_velocity.dtype)
    return (s.foot_velocity[:, :, 2].clamp(max=0.0) ** 2 * near).sum(-1)


def torque(s: StepRecord, c: RewardConfig) -> Tensor:
    """Sum of squared torques, (N m)^2."""
    return (s.torque**2).sum(-1)


def torque_limit(s: StepRecord, c: RewardConfig) -> Tensor:
    """Share of each torque above 80 % of its limit."""
    return (s.torque.abs() / s.torque_limit - 0.8).clamp(min=0.0).sum(-1)


def joint_speed(s: StepRecord, c: RewardConfig) -> Tensor:
    """Sum of squared joint speeds, (rad/s)^2."""
    return (s.speed**2).sum(-1)


def joint_limit(s: StepRecord, c: RewardConfig) -> Tensor:
    """Sum of the distances to the position limits missing to 0.03 rad."""
    low = (s.lower + 0.03 - s.position).clamp(min=0.0)
    return (low + (s.position - s.upper + 0.03).clamp(min=0.0)).sum(-1)


def waist(s: StepRecord, c: RewardConfig) -> Tensor:
    """Squared deflection of the driven waist joint."""
    return (s.position[:, 12:] ** 2).sum(-1)


def stand_still(s: StepRecord, c: RewardConfig) -> Tensor:
    """While the clock is off: joint motion, feet not side by side, legs away from the posture reference."""
    off = (~s.walking).to(s.speed.dtype)
    away = ((s.position[:, :12] - s.reference_pose[:, :12]) ** 2).sum(-1)
    return off * (0.02 * (s.speed**2).sum(-1) + 4.0 * s.stance_offset**2 + 0.5 * away)


def stand_action(s: StepRecord, c: RewardConfig) -> Tensor:
    """While the clock is off: squared leg action (J_stand of arXiv 2512.11047)."""
    return (~s.walking).to(s.action.dtype) * (s.action[:, :12] ** 2).sum(-1)


def balance(s: StepRecord, c: RewardConfig) -> Tensor:
    """While asked to stand: how far the point where the ground must push is from its place 35 mm ahead of the ankles, m.

    A robot that leans against a hand force is in place."""
    away = torch.stack([s.balance[:, 0] - 0.035, s.balance[:, 1]], -1).norm(dim=-1)
    return s.asked_to_stand.to(away.dtype) * away


def stand_sway(s: StepRecord, c: RewardConfig) -> Tensor:
    """While the clock is off: horizontal speed of the base, m/s."""
    return (~s.walking).to(s.velocity.dtype) * s.velocity[:, :2].abs().sum(-1)


def place(s: StepRecord, c: RewardConfig) -> Tensor:
    """While asked to stand: distance from the place of rest, m, up to 0.5 m: farther away a robot is not called back."""
    return s.place.norm(dim=-1).clamp(max=0.5)


TERMS: dict[str, Callable[[StepRecord, RewardConfig], Tensor]] = {
    function.__name__: function
    for function in (
        velocity, yaw_rate, filtered_velocity, filtered_yaw_rate, drift, yaw_drift, gait_phase, swing_shortfall, height,
        height_error, alive, tilt, tilt_absolute, roll_pitch_rate, vertical_velocity, action_rate, action_curvature, pose,
        foot_tilt, foot_slip, foot_spacing, landing, torque, torque_limit, joint_speed, joint_limit, waist, stand_still,
        stand_action, stand_sway, balance, place,
    )
}  # fmt: skip


def total(s: StepRecord, c: RewardConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """Reward [N] of the step, and the mean per second of each active term for the log."""
    names = [name for name in TERMS if getattr(c, name)]
    values = torch.stack([getattr(c, name) * TERMS[name](s, c) for name in names])
    means = dict(zip(names, values.mean(1), strict=True))
    return (values.sum(0) * DT_S + c.termination * s.fell.to(values.dtype)) * c.scale, means
