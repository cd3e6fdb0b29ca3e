"""Plots of evaluations: falls and power over the swept quantities, torque of each joint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .report import Results, label

DPI = 80


def draw(columns: dict[str, Results], folder: Path) -> list[Path]:
    """PNG files in ``folder``: ``lmo_falls.png`` and ``lmo_power.png`` where sweeps are among the results of ``columns``
    (by name), and ``lmo_torque.png`` of the push test; returns those written."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    folder.mkdir(parents=True, exist_ok=True)
    swept = {name: results["sweeps"] for name, results in columns.items() if "sweeps" in results}
    figures = {}
    if swept:
        figures["lmo_falls.png"] = _sweeps(pyplot, swept, "falls_per_100", "falls per 100 episodes", 100.0)
        figures["lmo_power.png"] = _sweeps(pyplot, swept, "power_w", "mechanical power, W")
    by_joint = {name: r["torque"]["joints"] for name, r in columns.items() if "joints" in r["torque"]}
    if by_joint:
        figures["lmo_torque.png"] = _torque(pyplot, by_joint)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=DPI)
        pyplot.close(figure)
    return [folder / name for name in figures]


def _sweeps(
    pyplot: Any, swept: dict[str, Results], figure_of: str, title: str, top: float | None = None
) -> Any:
    """A plot for each swept quantity; ``top`` of the scale, None: by the data."""
    keys = list(dict.fromkeys(key for sweeps in swept.values() for key in sweeps))
    rows = -(-len(keys) // 3)
    figure, axes = pyplot.subplots(
        rows, 3, figsize=(11, 2.8 * rows), sharey=True, squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(keys) :]:
        axis.set_visible(False)
    for axis, key in zip(axes.flat, keys, strict=False):
        for name, sweeps in swept.items():
            points = sweeps.get(key, {})
            axis.plot(
                [float(v) for v in points], [_number(p[figure_of]) for p in points.values()], "o-", label=name
            )
        axis.set_xlabel(label(key))
        axis.grid(alpha=0.3)
        axis.set_ylim(*((0.0, None) if top is None else (-0.03 * top, 1.03 * top)))
    for axis in axes[:, 0]:
        axis.set_ylabel(title)
    axes[0, 0].legend()
    return figure


def _torque(pyplot: Any, by_joint: dict[str, Results]) -> Any:
    figure, axes = pyplot.subplots(1, 2, figsize=(11, 4), sharey=True, layout="constrained")
    height = 0.8 / len(by_joint)
    for place, (name, joints) in enumerate(by_joint.items()):
        at = [i + (place - 0.5 * (len(by_joint) - 1)) * height for i in range(len(joints))]
        for axis, key in zip(axes, ("rms_nm", "largest_share_of_limit"), strict=True):
            axis.barh(at, [_number(values[key]) for values in joints.values()], height, label=name)
    joints = next(iter(by_joint.values()))
    axes[0].set_yticks(
        range(len(joints)), [joint.removesuffix("_joint").replace("_", " ") for joint in joints]
    )
    axes[0].invert_yaxis()
    axes[0].set_xlabel("root mean square torque in the push test, N m")
    axes[1].set_xlabel("largest share of the joint's limit, mean over robots")
    axes[1].axvline(1.0, color="0.5", linestyle="--")
    axes[1].legend()
    return figure


def _number(value: float | None) -> float:
    """NaN, which leaves a gap, where no robot stayed up."""
    return float("nan") if value is None else value
