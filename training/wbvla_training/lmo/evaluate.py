"""What an evaluation measures, from displacement errors to falls; protocol after Table 3 of arXiv 2512.11047."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from wbvla_core.robot_spec import RobotSpec

from .config import PhysicsConfig, RandomisationConfig, UpperBodyConfig
from .policy import BundlePolicy
from .scenarios import MOVING_ARMS, NOMINAL, Scenario, Trace, run, standing

SETTLE_S, COMMAND_S, STOP_S = 2.0, 5.0, 10.0
SPEED = (0.3, 0.3, 0.3)
HEIGHTS_M = (0.50, 0.54, 0.58, 0.62, 0.66)
WALK_HEIGHT_M = 0.63

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
    """``trials`` robots for each of ``seeds`` seeds and each test; ``sweeps`` adds the slow tables of the report."""

    seeds: int = 5
    trials: int = 20
    sweeps: bool = False


def evaluate(
    policy: BundlePolicy, spec: RobotSpec, clips: np.ndarray, plan: EvaluationPlan, say: Any = print
) -> dict:
    """Run every test of ``plan``; returns the nested results (fractions 0..1, units in the keys)."""
    out: dict[str, Any] = {
        "policy": policy.bundle.name,
        "robot": spec.name,
        "seeds": plan.seeds,
        "trials": plan.trials,
    }
    goal = policy.section.ramp.goal_speed
    traces: list[Trace] = []

    def many(scenario: Scenario) -> list[Trace]:
        say(f"  {scenario.name}: {scenario.robots} robots x {scenario.seconds:.0f} s x {plan.seeds} seeds")
        found = [run(scenario, policy, spec, clips, 100 + seed) for seed in range(plan.seeds)]
        traces.extend(found)
        return found

    for axis, name in enumerate(("forward", "lateral", "turn")):
        request = torch.zeros(3)
        request[axis] = SPEED[axis] / goal[axis]
        seconds = SETTLE_S + COMMAND_S + STOP_S
        scenario = Scenario(name, seconds, 2 * plan.trials, schedule=_there_and_stop(request))
        out[name] = _displacement(many(scenario), axis, SPEED[axis] * COMMAND_S)
    for name, height in (("stand_m", WALK_HEIGHT_M), ("squat_m", 0.50)):
        scenario = Scenario(
            f"sway {name}",
            SETTLE_S + 20.0,
            plan.trials,
            SWAY,
            SWAY_ARMS,
            schedule=lambda t, n, h=height: standing(n, h),
        )
        rms, falls = _sway(many(scenario))
        out.setdefault("sway", {})[name] = rms
        out["sway"][name.replace("_m", "_falls_per_100")] = falls
    out |= _heights(
        many(Scenario("heights", 4.0 * len(HEIGHTS_M) + 2.0, plan.trials, schedule=_height_steps))
    )
    disturbed = many(Scenario("falls", 20.0, plan.trials, PUSHES, MOVING_ARMS))
    out["falls_per_100"] = _falls(disturbed)
    out["torque"] = {
        "largest_share_of_limit": float(np.mean([t.torque_share.max(0).mean() for t in disturbed])),
        "rms_nm": float(np.mean([t.torque_rms.mean() for t in disturbed])),
    }
    out["power_w"] = float(np.mean([t.power_w.mean() for t in disturbed]))
    tests = (
        ("payload", PAYLOAD, {}),
        ("hand_force", HAND_FORCE, {}),
        ("holdout", HOLDOUT, {"physics": HOLDOUT_PHYSICS}),
    )
    for name, randomisation, more in tests:
        out[name] = {
            "falls_per_100": _falls(
                many(Scenario(name, 20.0, plan.trials, randomisation, MOVING_ARMS, **more))
            )
        }
    if plan.sweeps:
        out["sweeps"] = _sweeps(many, plan)
    return out


def _sweeps(many: Any, plan: EvaluationPlan) -> dict[str, dict[str, float]]:
    """Falls per 100 episodes over pushes, friction, payload, hand force and delay, one quantity at a time."""

    def row(key: str, values: tuple[float, ...], change: Any) -> dict[str, float]:
        return {
            f"{v:g}": _falls(many(Scenario(f"{key} {v:g}", 20.0, plan.trials, change(v), MOVING_ARMS)))
            for v in values
        }

    def n(**change: Any) -> RandomisationConfig:
        return replace(NOMINAL, **change)

    return {
        "push_m_s": row("push", (0.0, 0.3, 0.5, 0.7), lambda v: n(push_speed_m_s=(v, v), push_period_s=(4.0, 4.0))),
        "friction": row("friction", (0.15, 0.3, 0.6, 1.5), lambda v: n(friction=(v, v))),
        "torso_payload_kg": row("torso payload", (-5.0, 5.0, 10.0), lambda v: n(torso_payload_kg=(v, v))),
        "hand_payload_kg": row("hand payload", (0.75, 1.5), lambda v: n(hand_payload_kg=(v, v))),
        "hand_force_n": row(
            "hand force", (10.0, 20.0, 30.0, 40.0),
            lambda v: n(hand_force_n=(v, v), hand_force_fraction=1.0, hand_force_period_s=(4.0, 6.0)),
        ),
        "action_delay_s": row("delay", (0.0, 0.02, 0.03), lambda v: n(action_delay_s=(v, v))),
    }  # fmt: skip


def _there_and_stop(request: torch.Tensor) -> Any:
    """Stand, 5 s of ``request`` (second half of the robots: its opposite), flag 0."""

    def schedule(t_s: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        still, height = standing(n, WALK_HEIGHT_M)
        if not SETTLE_S <= t_s < SETTLE_S + COMMAND_S:
            return still, height
        sign = torch.ones(n, 1)
        sign[n // 2 :] = -1.0
        return sign * request, height

    return schedule


def _displacement(traces: list[Trace], axis: int, distance: float) -> dict[str, Any]:
    """Error of final place and heading against the ideal, mean of the robots that stayed up, seed by seed."""
    places, yaws, along, falls, total = [], [], [], 0, 0
    start = int(SETTLE_S / 0.02) - 1
    for trace in traces:
        n = trace.fell.size
        sign = np.where(np.arange(n) < n // 2, 1.0, -1.0)
        turn = trace.yaw[start]
        moved = trace.position[-1] - trace.position[start]
        c, s = np.cos(turn), np.sin(turn)
        local = np.stack([c * moved[:, 0] + s * moved[:, 1], c * moved[:, 1] - s * moved[:, 0]], -1)
        ideal = np.zeros((n, 3))
        ideal[:, axis] = sign * distance
        yaw = trace.yaw[-1] - turn
        up = ~trace.fell
        falls, total = falls + int(trace.fell.sum()), total + n
        places.append(np.linalg.norm(local - ideal[:, :2], axis=-1)[up].mean() if up.any() else np.nan)
        yaws.append(np.abs(yaw - ideal[:, 2])[up].mean() if up.any() else np.nan)
        reached = local[:, axis] if axis < 2 else yaw
        along.append([(reached * sign)[up & (sign == side)].mean() / distance for side in (1.0, -1.0)])
    return {
        "position_error_m": float(np.nanmean(places)),
        "yaw_error_rad": float(np.nanmean(yaws)),
        "position_error_std_m": float(np.nanstd(places)),
        "yaw_error_std_rad": float(np.nanstd(yaws)),
        "reached_share": {"positive": float(np.mean(along, 0)[0]), "negative": float(np.mean(along, 0)[1])},
        "falls_per_100": 100.0 * falls / total,
    }


def _sway(traces: list[Trace]) -> tuple[float, float]:
    """Root mean square of the horizontal centre of mass about its mean over the last 20 s, and falls per 100."""
    values = []
    for trace in traces:
        com = trace.com[int(SETTLE_S / 0.02) :]
        rms = np.sqrt(((com - com.mean(0)) ** 2).sum(-1).mean(0))
        values.append(rms[~trace.fell].mean() if (~trace.fell).any() else np.nan)
    return float(np.nanmean(values)), _falls(traces)


def _height_steps(t_s: float, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    place = min(int(max(t_s - 2.0, 0.0) / 4.0), len(HEIGHTS_M) - 1)
    down_first = HEIGHTS_M[::-1][place]
    return standing(n, down_first)


def _heights(traces: list[Trace]) -> dict[str, Any]:
    """Mean |height - command| over the last second of each level, walking down from 0.66 m."""
    errors: dict[str, float] = {}
    for place, height in enumerate(HEIGHTS_M[::-1]):
        end = int((2.0 + 4.0 * (place + 1)) / 0.02)
        found = [np.abs(t.height[end - 50 : end, ~t.fell] - height).mean() for t in traces]
        errors[f"{height:.2f}"] = float(np.mean(found))
    return {
        "height_error_m": float(np.mean(list(errors.values()))),
        "height": {"error_m": errors, "falls_per_100": _falls(traces)},
    }


def _falls(traces: list[Trace]) -> float:
    return 100.0 * float(np.mean(np.concatenate([trace.fell for trace in traces])))
