"""Falls, torque and power over one quantity at a time: pushes, friction, payloads, hand forces, delay."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from . import measures
from .config import RandomisationConfig
from .scenarios import MOVING_ARMS, NOMINAL, Scenario, Trace

SECONDS = 20.0
ROBOTS = 60
"""At each point, in one batch: no fall among 60 means less than 6 of 100 (95 %). A point takes about 8 s on two free
cores, all of them 3 minutes."""


@dataclass(frozen=True)
class Sweep:
    """``change(value)`` turns the undisturbed robot of the evaluation into the one at that point."""

    key: str
    values: tuple[float, ...]
    change: Callable[[float], RandomisationConfig]


def _only(**change: Any) -> RandomisationConfig:
    return replace(NOMINAL, **change)


SWEEPS = (
    Sweep("push_m_s", (0.0, 0.3, 0.5, 0.7), lambda v: _only(push_speed_m_s=(v, v), push_period_s=(4.0, 4.0))),
    Sweep("friction", (0.15, 0.3, 0.5, 0.8, 1.5), lambda v: _only(friction=(v, v))),
    Sweep("torso_payload_kg", (-5.0, 0.0, 5.0, 10.0), lambda v: _only(torso_payload_kg=(v, v))),
    Sweep("hand_payload_kg", (0.5, 1.0, 1.5), lambda v: _only(hand_payload_kg=(v, v))),
    Sweep("hand_force_n", (10.0, 20.0, 30.0, 40.0),
          lambda v: _only(hand_force_n=(v, v), hand_force_fraction=1.0, hand_force_period_s=(4.0, 6.0))),
    Sweep("action_delay_s", (0.0, 0.02, 0.03), lambda v: _only(action_delay_s=(v, v))),
)  # fmt: skip


def sweep(
    run: Callable[[Scenario], list[Trace]], robots: int = ROBOTS, sweeps: tuple[Sweep, ...] = SWEEPS
) -> dict[str, dict[str, dict[str, Any]]]:
    """Per quantity and value (as text) ``falls_per_100`` of ``robots`` episodes of 20 s of random commands with moving arms,
    ``torque`` and ``power_w`` of those that stayed up. ``run`` simulates a scenario."""
    out: dict[str, dict[str, dict[str, Any]]] = {}
    for each in sweeps:
        out[each.key] = {}
        for value in each.values:
            name = f"{each.key.replace('_', ' ')} {value:g}"
            traces = run(Scenario(name, SECONDS, robots, each.change(value), MOVING_ARMS))
            out[each.key][f"{value:g}"] = {"falls_per_100": measures.falls(traces)} | measures.effort(traces)
    return out
