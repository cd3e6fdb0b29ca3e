"""Results of one or more evaluations as one Markdown table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from .config import ConfigError

Results = dict[str, Any]

PAPER = {"forward": (0.21, 0.05), "lateral": (0.55, 0.06), "turn": (0.05, 0.19)}
_UNITS = {"m_s": "m/s", "kg": "kg", "n": "N", "s": "s"}


def read(path: Path) -> Results:
    """What ``wbvla lmo eval --json`` wrote; raises ConfigError when ``path`` is something else."""
    try:
        results = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path}: cannot be read ({error}); write it with `wbvla lmo eval --policy BUNDLE --json {path}`"
        ) from None
    missing = [key for key in (*PAPER, "sway", "height_error_m", "holdout") if key not in results]
    if missing:
        raise ConfigError(f"{path}: lacks {', '.join(missing)}; it is not a result of `wbvla lmo eval`")
    return results


def table(columns: dict[str, Results]) -> str:
    """A Markdown table: a column for each evaluation, by its name, and what the paper reached or the target is."""
    each = list(columns.values())
    rows = [["test", *columns, "paper, Table 3 / target"]]
    for name, (place, yaw) in PAPER.items():
        rows.append(
            [f"{name}: position m / yaw rad", *(_displacement(r[name]) for r in each), f"{place} / {yaw}"]
        )
    rows.append(["sway stand / squat, m", *(_sway(r["sway"]) for r in each), "0.03 / 0.03"])
    rows.append(["height error, m", *(show(r["height_error_m"], 3) for r in each), "0.02"])
    rows.append(
        ["falls per 100, pushes 0.5 m/s every 4 s", *(f"{r['falls_per_100']:.1f}" for r in each), "2"]
    )
    for name in ("payload", "hand_force", "holdout"):
        falls = (f"{r[name]['falls_per_100']:.1f}" for r in each)
        rows.append([f"falls per 100, {name.replace('_', ' ')}", *falls, "5"])
    rows.append(["mechanical power in the push test, W", *(show(r["power_w"], 0) for r in each), ""])
    rows.append(
        ["torque there: rms N m, largest share of a limit", *(_torque(r["torque"]) for r in each), ""]
    )
    for key in dict.fromkeys(key for r in each for key in r.get("sweeps", {})):
        rows.append(
            [f"falls per 100 by {label(key)}", *(_falls(r.get("sweeps", {}).get(key)) for r in each), ""]
        )
    rows.insert(1, ["---"] * len(rows[0]))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def label(key: str) -> str:
    """A swept quantity in words with its unit, from its key."""
    for suffix, unit in _UNITS.items():
        if key.endswith(f"_{suffix}"):
            return f"{key.removesuffix(f'_{suffix}').replace('_', ' ')}, {unit}"
    return key.replace("_", " ")


def show(value: float | None, digits: int = 2) -> str:
    """``value`` as text, a dash for None (no robot stayed up)."""
    return "-" if value is None else f"{value:.{digits}f}"


def _displacement(r: Results) -> str:
    reached = r["reached_share"]
    return (
        f"{show(r['position_error_m'])} / {show(r['yaw_error_rad'])} (reaches {show(reached['positive'])} / "
        f"{show(reached['negative'])} of the way, {r['falls_per_100']:.0f} of 100 fall)"
    )


def _sway(r: Results) -> str:
    stand, squat = r["stand_falls_per_100"], r["squat_falls_per_100"]
    return f"{show(r['stand_m'], 3)} / {show(r['squat_m'], 3)} ({stand:.0f} / {squat:.0f} of 100 fall)"


def _torque(r: Results) -> str:
    return f"{show(r['rms_nm'], 1)}, {show(r['largest_share_of_limit'])}"


def _falls(values: dict[str, Results] | None) -> str:
    if values is None:
        return "-"
    return ", ".join(f"{value}: {point['falls_per_100']:.0f}" for value, point in values.items())
