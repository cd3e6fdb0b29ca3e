"""The tests of an evaluation: which robots, commands and disturbances; protocol after Table 3 of arXiv 2512.11047."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from wbvla_core.robot_spec import RobotSpec

from . import measures
from .config import PhysicsConfig, UpperBodyConfig
from .policy import BundlePolicy
from .scenarios import FULL_PHYSICS, MOVING_ARMS, NOMINAL, Scenario, Trace, run, standing
from .sweeps import sweep

SETTLE_S, COMMAND_S, STOP_S = 2.0, 5.0, 10.0
SPEED = (0.3, 0.3, 0.3)
HEIGHTS_M = (0.66, 0.62, 0.58, 0.54, 0.50)
LEVEL_S = 4.0
WALK_HEIGHT_M = 0.60

PUSHES = replace(NOMINAL, push_speed_m_s=(0.5, 0.5), push_period_s=(4.0, 4.0))
PAYLOAD = replace(NOMINAL, torso_payload_kg=(-5.0, 10.0), hand_payload_kg=(0.0, 1.5))
HAND_FORCE = replace(
    NOMINAL, hand_force_n=(30.0, 30.0), hand_force_fraction=1.0, hand_force_period_s=(4.0, 6.0)
)
HOLDOUT = replace(
    NOMINAL,
    friction=(0.18, 0.18),
    inertia_scale=(2.5, 2.5),
    action_delay_s=(0.03, 0.03),
    imu_delay_s=(0.02, 0.02),
)
HOLDOUT_PHYSICS = PhysicsConfig(
    timestep_s=0.002,
    substeps=10,
    iterations=20,
    ls_iterations=20,
    feet="full",
    friction_groups=("legs", "waist", "arms"),
)
SWAY = replace(
    NOMINAL,
    pulse_force_n=(0.0, 150.0),
    pulse_torque_nm=(0.0, 30.0),
    pulse_period_s=(2.0, 2.0),
    pulse_fraction=1.0,
)
SWAY_ARMS = UpperBodyConfig(
    amplitude=1.5,
    clip_fraction=1.0,
    clip_rate=(2.0, 2.0),
    clip_rate_jitter=0.0,
    clip_rate_limit=(2.0, 2.0),
    noise_rad=0.0,
)


@dataclass(frozen=True)
class EvaluationPlan:
    """``trials`` robots for each of ``seeds`` seeds and each test; ``sweeps`` adds those of ``sweeps.py`` (one seed)."""

    seeds: int = 5
    trials: int = 20
    sweeps: bool = False


def evaluate(
    policy: BundlePolicy,
    spec: RobotSpec,
    clips: Any,
    plan: EvaluationPlan,
    say: Callable[[str], None] = print,
) -> dict:
    """Run every test of ``plan``; returns the nested results (fractions 0..1, units in the keys, None where no robot
    stayed up). ``clips`` [C, T, arm joints] rad."""
    out: dict[str, Any] = {"policy": policy.bundle.name, "robot": spec.name}
    out |= {"seeds": plan.seeds, "trials": plan.trials, "training_commit": policy.bundle.training_commit}

    def many(scenario: Scenario, seeds: int = plan.seeds) -> list[Trace]:
        say(f"  {scenario.name}: {scenario.robots} robots x {scenario.seconds:.0f} s x {seeds} seeds")
        return [run(scenario, policy, spec, clips, 100 + seed) for seed in range(seeds)]

    seconds = SETTLE_S + COMMAND_S + STOP_S
    goal = torch.tensor(SPEED) / torch.tensor(policy.section.ramp.goal_speed)
    walked = many(Scenario("table 3", seconds, 6 * plan.trials, schedule=_there_and_stop(goal)))
    for axis, name in enumerate(("forward", "lateral", "turn")):
        group = slice(2 * axis * plan.trials, 2 * (axis + 1) * plan.trials)
        traces = [trace.of(group) for trace in walked]
        out[name] = measures.displacement(traces, axis, SPEED[axis] * COMMAND_S, SETTLE_S)
        out[name]["power_w"] = measures.power(traces, SETTLE_S, SETTLE_S + COMMAND_S)
    out["stand"] = {"power_w": measures.power(walked, seconds - 5.0, seconds)}
    swayed = many(
        Scenario("sway", SETTLE_S + 20.0, 2 * plan.trials, SWAY, SWAY_ARMS, schedule=_stand_and_squat)
    )
    out["sway"] = {}
    for name, group in (("stand", slice(0, plan.trials)), ("squat", slice(plan.trials, None))):
        traces = [trace.of(group) for trace in swayed]
        out["sway"][f"{name}_m"] = measures.sway(traces, SETTLE_S)
        out["sway"][f"{name}_falls_per_100"] = measures.falls(traces)
    lasts = 2.0 + LEVEL_S * len(HEIGHTS_M)
    out |= measures.heights(
        many(Scenario("heights", lasts, plan.trials, schedule=_height_steps)), HEIGHTS_M, LEVEL_S
    )
    disturbed = many(Scenario("pushes", 20.0, plan.trials, PUSHES, MOVING_ARMS))
    out["falls_per_100"] = measures.falls(disturbed)
    out |= measures.effort(disturbed)
    out["torque"]["joints"] = measures.joint_effort(disturbed, policy.section.joints)
    for name, randomisation, physics in (
        ("payload", PAYLOAD, FULL_PHYSICS),
        ("hand_force", HAND_FORCE, FULL_PHYSICS),
        ("holdout", HOLDOUT, HOLDOUT_PHYSICS),
    ):
        scenario = Scenario(name, 20.0, plan.trials, randomisation, MOVING_ARMS, physics)
        out[name] = {"falls_per_100": measures.falls(many(scenario))}
    if plan.sweeps:
        out["sweeps"] = sweep(lambda scenario: many(scenario, 1))
    return out


def _there_and_stop(goal: torch.Tensor) -> Callable[[float, int], tuple[torch.Tensor, torch.Tensor]]:
    """Stand, 5 s of motion, flag 0; sixths of the robots go forward, back, left, right, turn left, turn right."""

    def schedule(t_s: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        request, height = standing(n, WALK_HEIGHT_M)
        if SETTLE_S <= t_s < SETTLE_S + COMMAND_S:
            part = torch.arange(n) // (n // 6)
            request[torch.arange(n), part // 2] = goal[part // 2] * (1.0 - 2.0 * (part % 2))
        return request, height

    return schedule


def _stand_and_squat(t_s: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The first half stands, the second squats at 0.50 m."""
    request, height = standing(n, WALK_HEIGHT_M)
    height[n // 2 :] = 0.50
    return request, height


def _height_steps(t_s: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """From the highest level down, 4 s each after 2 s."""
    return standing(n, HEIGHTS_M[min(int(max(t_s - 2.0, 0.0) / LEVEL_S), len(HEIGHTS_M) - 1)])
