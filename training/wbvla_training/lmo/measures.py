"""Numbers from traces: errors of place and heading, sway, height, falls, effort; pure functions of arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .scenarios import DT_S, Trace


def displacement(traces: list[Trace], axis: int, distance: float, start_s: float) -> dict[str, Any]:
    """Error of final place and heading against ``distance`` (m, or rad for axis 2) along ``axis``, from ``start_s`` on.

    The first half of the robots was sent in the positive direction, the second in the negative one. Mean over the robots
    that stayed up, then over seeds; ``reached_share`` is the mean displacement along the axis over ``distance``."""
    places, yaws, along = [], [], []
    start = round(start_s / DT_S) - 1
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
        places.append(_mean(np.linalg.norm(local - ideal[:, :2], axis=-1)[up]))
        yaws.append(_mean(np.abs(yaw - ideal[:, 2])[up]))
        reached = (local[:, axis] if axis < 2 else yaw) * sign / distance
        along.append([_mean(reached[up & (sign == side)]) for side in (1.0, -1.0)])
    forth, back = (_number(_mean(np.array(along)[:, side])) for side in (0, 1))
    return {
        "position_error_m": _number(_mean(np.array(places))),
        "yaw_error_rad": _number(_mean(np.array(yaws))),
        "position_error_std_m": _number(float(np.std(places))),
        "yaw_error_std_rad": _number(float(np.std(yaws))),
        "reached_share": {"positive": forth, "negative": back},
        "falls_per_100": falls(traces),
    }


def sway(traces: list[Trace], start_s: float) -> float | None:
    """Root mean square of the horizontal centre of mass about its mean from ``start_s`` on, m; robots that stayed up."""
    values = []
    for trace in traces:
        com = trace.com[round(start_s / DT_S) :]
        rms = np.sqrt(((com - com.mean(0)) ** 2).sum(-1).mean(0))
        values.append(_mean(rms[~trace.fell]))
    return _number(_mean(np.array(values)))


def heights(traces: list[Trace], levels_m: tuple[float, ...], level_s: float) -> dict[str, Any]:
    """Mean |height - command| over the last second of each level; the first level lasts 2 s longer."""
    errors: dict[str, float | None] = {}
    for place, height in enumerate(levels_m):
        end = round((2.0 + level_s * (place + 1)) / DT_S)
        found = [_mean(np.abs(t.height[end - 50 : end, ~t.fell] - height)) for t in traces]
        errors[f"{height:.2f}"] = _number(_mean(np.array(found)))
    known = [e for e in errors.values() if e is not None]
    mean = sum(known) / len(known) if known else None
    return {"height_error_m": mean, "height": {"error_m": errors, "falls_per_100": falls(traces)}}


def falls(traces: list[Trace]) -> float:
    """Robots that fell, per 100."""
    return 100.0 * float(np.mean(np.concatenate([trace.fell for trace in traces])))


def effort(traces: list[Trace]) -> dict[str, Any]:
    """Of the robots that stayed up: largest share of a torque limit (mean over robots), root mean square torque of the
    driven joints, mean mechanical power |tau w|. None where all fell."""
    return {
        "torque": {
            "largest_share_of_limit": _number(_mean(_up(traces, "torque_share").max(0))),
            "rms_nm": _number(_mean(_up(traces, "torque_rms").mean(0))),
        },
        "power_w": _number(_mean(_up(traces, "power_w").mean(0))),
    }


def joint_effort(traces: list[Trace], joints: tuple[str, ...]) -> dict[str, dict[str, float | None]]:
    """For each of the m driven ``joints``, of the robots that stayed up: root mean square torque, largest share of its
    limit (mean over robots)."""
    rms, share = (
        np.concatenate([getattr(t, name)[~t.fell] for t in traces]) for name in ("joint_rms", "joint_share")
    )
    return {
        joint: {"rms_nm": _number(_mean(rms[:, i])), "largest_share_of_limit": _number(_mean(share[:, i]))}
        for i, joint in enumerate(joints)
    }


def power(traces: list[Trace], start_s: float, end_s: float) -> float | None:
    """Mean mechanical power, W, between two times, of the robots that stayed up."""
    return _number(_mean(_up(traces, "power_w")[round(start_s / DT_S) : round(end_s / DT_S)].mean(0)))


def _up(traces: list[Trace], name: str) -> np.ndarray:
    """[T, n] of the robots of all ``traces`` that did not fall; one column of NaN where none is left."""
    values = np.concatenate([getattr(t, name)[:, ~t.fell] for t in traces], 1)
    return values if values.shape[1] else np.full((len(values), 1), np.nan)


def _mean(values: np.ndarray) -> float:
    """Mean of what is not NaN; NaN without any."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else math.nan


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
