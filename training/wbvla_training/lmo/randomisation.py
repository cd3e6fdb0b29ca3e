"""What differs from episode to episode: pure sampling on tensors, applied to the engine by ``physics.py``."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import torch

from .commands import uniform
from .config import RandomisationConfig

Tensor = torch.Tensor


@dataclass(frozen=True)
class EpisodeDraw:
    """One draw for each of N environments."""

    friction: Tensor
    """[N] of the ground."""
    link_mass_scale: Tensor
    """[N, links]."""
    torso_payload_kg: Tensor
    """[N]."""
    torso_payload_at_m: Tensor
    """[N, 3] in the torso frame."""
    hand_payload_kg: Tensor
    """[N, 2]."""
    inertia_scale: Tensor
    """[N] of all rotational inertias, on top of the mass scale."""
    com_shift_m: Tensor
    """[N, 2, 3] of pelvis and torso."""
    kp_scale: Tensor
    """[N, joints]."""
    kd_scale: Tensor
    """[N, joints]."""
    torque_scale: Tensor
    """[N, joints] of the effort limits."""
    armature_scale: Tensor
    """[N]."""
    joint_friction_scale: Tensor
    """[N]."""
    action_delay_s: Tensor
    """[N]."""
    joint_delay_s: Tensor
    """[N]."""
    imu_delay_s: Tensor
    """[N]."""
    joint_offset_rad: Tensor
    """[N, joints] of the encoders."""
    imu_tilt_rad: Tensor
    """[N, 2] roll and pitch of the mount."""

    def assign(self, ids: Tensor, other: EpisodeDraw) -> None:
        """Overwrite the rows ``ids`` with those of ``other``."""
        for item in dataclasses.fields(self):
            getattr(self, item.name)[ids] = getattr(other, item.name)


def sample(
    n: int, links: int, joints: int, cfg: RandomisationConfig, level: float, generator: torch.Generator
) -> EpisodeDraw:
    """``n`` draws from ranges that open with ``level`` 0..1 around the nominal robot. Friction is uniform in its logarithm,
    the rest uniform."""

    def u(limits: tuple[float, float], nominal: float, columns: int = 0) -> Tensor:
        low, high = (nominal + level * (limit - nominal) for limit in limits)
        return uniform(n, low, high, generator, columns)

    def spread(size: float, columns: int) -> Tensor:
        return uniform(n, -size * level, size * level, generator, columns)

    def inside(limits: tuple[float, float], wish: float) -> float:
        return min(max(wish, limits[0]), limits[1])

    loaded = torch.rand(n, generator=generator) < cfg.torso_payload_fraction
    grips = torch.rand(n, 2, generator=generator) < cfg.hand_payload_fraction
    place = torch.stack(
        [
            uniform(n, -0.06, 0.10, generator),
            uniform(n, -0.06, 0.06, generator),
            uniform(n, 0.05, 0.30, generator),
        ],
        -1,
    )
    friction = (math.log(cfg.friction[0]), math.log(cfg.friction[1]))
    return EpisodeDraw(
        friction=torch.exp(u(friction, inside(friction, math.log(0.8)))),
        link_mass_scale=u(cfg.link_mass_scale, 1.0, links),
        torso_payload_kg=u(cfg.torso_payload_kg, inside(cfg.torso_payload_kg, 0.0)) * loaded,
        torso_payload_at_m=place,
        hand_payload_kg=u(cfg.hand_payload_kg, inside(cfg.hand_payload_kg, 0.0), 2) * grips,
        inertia_scale=u(cfg.inertia_scale, inside(cfg.inertia_scale, 1.0)),
        com_shift_m=spread(cfg.com_shift_m, 6).reshape(n, 2, 3),
        kp_scale=u(cfg.gain_scale, 1.0, joints),
        kd_scale=u(cfg.gain_scale, 1.0, joints),
        torque_scale=u(cfg.torque_scale, 1.0, joints),
        armature_scale=u(cfg.armature_scale, 1.0),
        joint_friction_scale=u(cfg.joint_friction_scale, 1.0),
        action_delay_s=u(cfg.action_delay_s, inside(cfg.action_delay_s, 0.005)),
        joint_delay_s=u(cfg.joint_delay_s, inside(cfg.joint_delay_s, 0.0)),
        imu_delay_s=u(cfg.imu_delay_s, inside(cfg.imu_delay_s, 0.0)),
        joint_offset_rad=spread(cfg.joint_offset_rad, joints),
        imu_tilt_rad=spread(cfg.imu_tilt_rad, 2),
    )


def direction(n: int, generator: torch.Generator) -> Tensor:
    """[n, 3] unit vectors, uniform on the sphere."""
    vector = torch.randn(n, 3, generator=generator)
    return vector / vector.norm(dim=-1, keepdim=True).clamp(min=1e-6)


def push_velocity(n: int, cfg: RandomisationConfig, scale: float, generator: torch.Generator) -> Tensor:
    """[n, 3] jumps of the base's v_x, v_y [m/s] in any direction and of its yaw rate [rad/s]."""
    angle = uniform(n, -math.pi, math.pi, generator)
    speed = uniform(n, *cfg.push_speed_m_s, generator) * scale
    spin = uniform(n, -0.5, 0.5, generator) * min(1.0, cfg.push_speed_m_s[1]) * scale
    return torch.stack([speed * torch.cos(angle), speed * torch.sin(angle), spin], -1)


def hand_forces(n: int, cfg: RandomisationConfig, scale: float, generator: torch.Generator) -> Tensor:
    """[n, 2, 3] N, world frame, of ``hand_force_n`` in all: on one hand (a drawer), or shared by both (a cart)."""
    force = direction(n, generator) * uniform(n, *cfg.hand_force_n, generator, 1) * scale
    kind = torch.randint(4, (n,), generator=generator)
    share = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]])[kind]
    return share[..., None] * force[:, None]


def pulse(n: int, cfg: RandomisationConfig, scale: float, generator: torch.Generator) -> Tensor:
    """[n, 6] horizontal force [N] and torque [N m] on the torso in random directions."""
    angle = uniform(n, -math.pi, math.pi, generator)
    force = uniform(n, *cfg.pulse_force_n, generator) * scale
    torque = uniform(n, *cfg.pulse_torque_nm, generator, 1) * scale * direction(n, generator)
    flat = torch.stack([force * torch.cos(angle), force * torch.sin(angle), torch.zeros(n)], -1)
    return torch.cat([flat, torque], -1)
