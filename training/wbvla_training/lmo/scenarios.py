"""The simulations that an evaluation consists of: one bundle, many robots, a schedule of commands, what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from wbvla_core.robot_spec import RobotSpec

from .commands import Commands
from .config import (
    CommandConfig,
    CurriculumConfig,
    PhysicsConfig,
    RandomisationConfig,
    TerminationConfig,
    TrainConfig,
    UpperBodyConfig,
)
from .env import DT_S, LmoEnv
from .policy import BundlePolicy

Tensor = torch.Tensor

NOMINAL = RandomisationConfig(
    friction=(0.8, 0.8),
    link_mass_scale=(1.0, 1.0),
    torso_payload_kg=(0.0, 0.0),
    inertia_scale=(1.0, 1.0),
    com_shift_m=0.0,
    gain_scale=(1.0, 1.0),
    torque_scale=(1.0, 1.0),
    armature_scale=(1.0, 1.0),
    joint_friction_scale=(1.0, 1.0),
    action_delay_s=(0.01, 0.01),
    joint_delay_s=(0.005, 0.005),
    imu_delay_s=(0.005, 0.005),
    joint_offset_rad=0.0,
    imu_tilt_rad=0.0,
    push_speed_m_s=(0.0, 0.0),
)
"""The modelled robot with sensor noise, 10 ms until a set-point acts and 5 ms old readings; nothing disturbs it."""

FULL_PHYSICS = PhysicsConfig(friction_groups=("legs", "waist_yaw_joint"))
"""All joints move, 4 substeps of 5 ms, Coulomb friction in the driven joints."""

HELD_ARMS = UpperBodyConfig(amplitude=0.0)
MOVING_ARMS = UpperBodyConfig(amplitude=1.0, clip_fraction=1.0, clip_rate=(1.0, 1.0), clip_rate_jitter=0.0)


@dataclass(frozen=True)
class Scenario:
    """``schedule(t_s, n)`` gives request [n, 3] and height [n], or None for random commands."""

    name: str
    seconds: float
    robots: int
    randomisation: RandomisationConfig = NOMINAL
    upper_body: UpperBodyConfig = HELD_ARMS
    physics: PhysicsConfig = FULL_PHYSICS
    command: CommandConfig = field(default_factory=CommandConfig)
    schedule: Callable[[float, int], tuple[Tensor, Tensor]] | None = None


@dataclass(frozen=True)
class Trace:
    """T steps of N robots: ``position`` [T, N, 2] m, ``yaw`` [T, N] rad (unwrapped), ``height`` [T, N] m, ``com``
    [T, N, 2] m, ``torque_share`` [T, N] largest |torque| / limit, ``power_w`` [T, N] sum of |torque x speed|,
    ``torque_rms`` [T, N] N m over the driven joints, ``joint_rms`` [N, m] N m over time, ``joint_share`` [N, m] largest
    |torque| / limit of each driven joint, ``fell`` [N] bool."""

    position: np.ndarray
    yaw: np.ndarray
    height: np.ndarray
    com: np.ndarray
    torque_share: np.ndarray
    torque_rms: np.ndarray
    power_w: np.ndarray
    joint_rms: np.ndarray
    joint_share: np.ndarray
    fell: np.ndarray

    def of(self, robots: slice) -> Trace:
        """The same of some of the robots."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        once = ("joint_rms", "joint_share", "fell")
        return Trace(**{name: v[robots] if name in once else v[:, robots] for name, v in values.items()})


def run(scenario: Scenario, policy: BundlePolicy, spec: RobotSpec, clips: np.ndarray, seed: int) -> Trace:
    """Simulate ``scenario``; a robot that fell stays in the arrays (it starts anew) and is marked in ``fell``."""
    env = build_env(scenario, policy, spec, clips, seed)
    n, steps = scenario.robots, round(scenario.seconds / DT_S)
    com = env.robot.batch.bind("subtree_com", np.float32)[:, env.robot.ids.pelvis]
    fell = torch.zeros(n, dtype=torch.bool)
    if scenario.schedule is not None:
        env.commands = _as_commands(scenario.schedule(0.0, n))
        env.restart()
    rows: dict[str, list[np.ndarray]] = {
        key: [] for key in ("position", "yaw", "height", "com", "share", "rms", "power")
    }
    limit = env._effort
    squares, largest = torch.zeros(n, env.num_actions), torch.zeros(n, env.num_actions)
    for k in range(steps):
        actions = policy(env.get_observations()["policy"])
        if scenario.schedule is not None:
            env.commands = _as_commands(scenario.schedule((k + 1) * DT_S, n))
        _, _, done, _ = env.step(actions)
        fell |= done
        torque = torch.from_numpy(env.robot.force[:, env._driven_columns.numpy()].copy())
        speed, share = env.speed[:, env._driven], torque.abs() / limit
        squares, largest = squares + torque**2, torch.maximum(largest, share)
        rows["position"].append(env.base[:, :2].numpy().copy())
        rows["yaw"].append(env.yaw.numpy().copy())
        rows["height"].append(env.height.numpy().copy())
        rows["com"].append(com[:, :2].copy())
        rows["share"].append(share.amax(-1).numpy())
        rows["rms"].append((torque**2).mean(-1).sqrt().numpy())
        rows["power"].append((torque * speed).abs().sum(-1).numpy())
    stacked = {key: np.stack(value) for key, value in rows.items()}
    yaw = np.unwrap(stacked["yaw"], axis=0)
    return Trace(
        stacked["position"], yaw, stacked["height"], stacked["com"], stacked["share"], stacked["rms"], stacked["power"],
        (squares / steps).sqrt().numpy(), largest.numpy(), fell.numpy(),
    )  # fmt: skip


def _as_commands(wanted: tuple[Tensor, Tensor]) -> Commands:
    request, height = wanted
    return Commands(request, height, torch.full((len(height),), 10**6))


def build_env(
    scenario: Scenario, policy: BundlePolicy, spec: RobotSpec, clips: np.ndarray, seed: int
) -> LmoEnv:
    """The environment of a scenario around the bundle's own section; ends of episodes are falls only."""
    config = TrainConfig(
        name=scenario.name,
        robot=spec.name,
        num_envs=scenario.robots,
        seed=seed,
        physics=scenario.physics,
        command=replace(scenario.command, cruise=policy.section.ramp.goal_speed),
        upper_body=scenario.upper_body,
        randomisation=scenario.randomisation,
        termination=TerminationConfig(
            tilt_rad=1.05, height_m=0.35, height_drop_m=10.0, foot_spacing_m=-10.0, episode_s=1e7
        ),
        curriculum=CurriculumConfig(start=1.0),
    )
    return LmoEnv(config, clips, section=policy.section)


def standing(n: int, height_m: float) -> tuple[Tensor, Tensor]:
    """No motion at ``height_m`` for ``n`` robots."""
    return torch.zeros(n, 3), torch.full((n,), height_m)
