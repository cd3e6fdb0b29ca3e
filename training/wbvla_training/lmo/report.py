"""Evaluation results as text and plots."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAPER = {"forward": (0.21, 0.05), "lateral": (0.55, 0.06), "turn": (0.05, 0.19)}


def table(results: dict[str, Any]) -> str:
    """The results as a Markdown table beside the paper's row."""
    rows = ["| test | measured | paper, Table 3 / target |", "|---|---|---|"]
    for name, (place, yaw) in PAPER.items():
        r = results[name]
        reached = r["reached_share"]
        rows.append(
            f"| {name}: position m / yaw rad | {_show(r['position_error_m'])} / {_show(r['yaw_error_rad'])} (reaches "
            f"{_show(reached['positive'])} / {_show(reached['negative'])} of the way, {r['falls_per_100']:.0f} of 100 fall) "
            f"| {place} / {yaw} |"
        )
    sway = results["sway"]
    stand, squat = sway["stand_falls_per_100"], sway["squat_falls_per_100"]
    rows.append(
        f"| sway stand / squat, m | {_show(sway['stand_m'], 3)} / {_show(sway['squat_m'], 3)} ({stand:.0f} / {squat:.0f} of "
        "100 fall) | 0.03 / 0.03 |"
    )
    rows.append(f"| height error, m | {_show(results['height_error_m'], 3)} | 0.02 |")
    rows.append(f"| falls per 100, pushes 0.5 m/s every 4 s | {results['falls_per_100']:.1f} | 2 |")
    for name in ("payload", "hand_force", "holdout"):
        rows.append(f"| falls per 100, {name.replace('_', ' ')} | {results[name]['falls_per_100']:.1f} | 5 |")
    for key, values in results.get("sweeps", {}).items():
        text = ", ".join(f"{value}: {falls:.0f}" for value, falls in values.items())
        rows.append(f"| falls per 100 by {key} | {text} | |")
    return "\n".join(rows)


def _show(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def plot_sweeps(sweeps: dict[str, dict[str, float]], folder: Path) -> Path:
    """One PNG with falls per 100 episodes over each swept quantity; returns its path."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 3, figsize=(11, 6), sharey=True, layout="constrained")
    for axis, (name, values) in zip(axes.flat, sweeps.items(), strict=False):
        axis.plot([float(v) for v in values], list(values.values()), "o-")
        axis.set_xlabel(name)
        axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel("falls per 100 episodes of 20 s")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "lmo_sweeps.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path
