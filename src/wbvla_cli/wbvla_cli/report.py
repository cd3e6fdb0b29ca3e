"""``report.json`` and ``report.html`` of a run: figures for scripts, pictures for people."""

from __future__ import annotations

import base64
import html
import io
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from wbvla_core.robot_spec import RobotSpec

from wbvla_cli.bag_metrics import BagMetrics

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 980px; margin: 2em auto; padding: 0 1em; color: #1c2733 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 1.8em }
table { border-collapse: collapse; margin: .5em 0 } td, th { padding: .2em .8em .2em 0; text-align: left }
td.n { text-align: right; font-variant-numeric: tabular-nums } .ok { color: #15803d } .bad { color: #b91c1c }
img, video { max-width: 100% } small { color: #64748b }
"""


def write_json(path: Path, report: dict) -> None:
    path.write_text(json.dumps(report, indent=2, allow_nan=False) + "\n")


def percentiles(values_ms: np.ndarray) -> dict[str, float]:
    """p50 and p99 of values [ms]; zeros when there are none."""
    if len(values_ms) == 0:
        return {"p50": 0.0, "p99": 0.0}
    return {
        "p50": round(float(np.percentile(values_ms, 50)), 3),
        "p99": round(float(np.percentile(values_ms, 99)), 3),
    }


def _picture(figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    plt.close(figure)
    return f'<img alt="plot" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def _mark(axis, faults: list[dict]) -> None:
    for fault in faults:
        if fault.get("time_s") is not None:
            axis.axvline(fault["time_s"], color="#b91c1c", lw=0.8, ls=":")
            axis.annotate(
                fault["reason"].lower(),
                (fault["time_s"], 1.0),
                xycoords=("data", "axes fraction"),
                fontsize=7,
                rotation=90,
                va="top",
                ha="right",
                color="#b91c1c",
            )


def height_plot(metrics: BagMetrics, faults: list[dict]) -> str:
    figure, axis = plt.subplots(figsize=(9, 3))
    series = metrics.series
    if "sim/state" in series.times_s:
        times, values = series.times_s["sim/state"], series.values["sim/state"]
        axis.plot(times, values[:, 0], label="pelvis above floor", lw=1.2)
        axis.fill_between(
            times,
            0,
            1,
            where=values[:, 1] > 0.5,
            color="#94a3b8",
            alpha=0.2,
            transform=axis.get_xaxis_transform(),
            label="hoisted",
        )
    if "loco_command" in series.times_s:
        axis.plot(
            series.times_s["loco_command"], series.values["loco_command"], label="commanded h*", lw=1, ls="--"
        )
    _mark(axis, faults)
    axis.set(xlabel="time [s]", ylabel="height [m]")
    axis.legend(loc="lower right", fontsize=8)
    return _picture(figure)


def torque_plot(metrics: BagMetrics, spec: RobotSpec) -> str:
    """Largest torque of each joint against its limit."""
    figure, axis = plt.subplots(figsize=(9, 3.4))
    if "joint_states" in metrics.series.values:
        table = metrics.series.values["joint_states"]
        names = metrics.joint_names
        effort = np.abs(table[:, len(names) :][:, : spec.n])
        share = effort.max(axis=0) / spec.effort_nm
        typical = np.percentile(effort, 99, axis=0) / spec.effort_nm
        at = np.arange(spec.n)
        axis.bar(at, share, color="#93c5fd", label="largest")
        axis.bar(at, typical, color="#1d4ed8", label="99 %")
        axis.axhline(1.0, color="#b91c1c", lw=1)
        axis.set_xticks(
            at, [name.removesuffix("_joint") for name in spec.joint_names], rotation=90, fontsize=7
        )
        axis.legend(fontsize=8)
    axis.set(ylabel="torque / limit")
    return _picture(figure)


def latency_plot(metrics: BagMetrics) -> str:
    figure, axis = plt.subplots(figsize=(9, 2.6))
    if len(metrics.state_to_command_ms):
        axis.hist(metrics.state_to_command_ms, bins=np.linspace(0, 30, 121), color="#1d4ed8")
    axis.set(xlabel="robot_state stamp to leg_waist_command published [ms]", ylabel="count", yscale="log")
    return _picture(figure)


def _rows(values: dict, prefix: str = "") -> list[tuple[str, str]]:
    rows = []
    for key, value in values.items():
        if isinstance(value, dict):
            rows += _rows(value, f"{prefix}{key}.")
        elif not isinstance(value, list):
            rows.append((prefix + key, f"{value:.3f}" if isinstance(value, float) else str(value)))
    return rows


def write_html(
    path: Path,
    title: str,
    report: dict,
    metrics: BagMetrics,
    spec: RobotSpec,
    video: str | None,
    story: str = "",
) -> None:
    """One page with figures, faults and plots; needs no network. ``story``: HTML that comes first."""
    faults = report.get("faults", [])
    verdict = "fell" if report["robot"]["fell"] else "stood"
    fault_rows = "".join(
        f"<tr><td>{html.escape(fault['reason'])}</td><td class=n>{fault['detected_ms']:.0f} ms</td>"
        f"<td>{html.escape(fault['end_state'])}</td><td>{html.escape(fault.get('detail', ''))}</td></tr>"
        for fault in faults
    )
    figure_rows = "".join(
        f"<tr><td>{html.escape(key)}</td><td class=n>{html.escape(value)}</td></tr>"
        for key, value in _rows(report)
    )
    rate_rows = "".join(
        f"<tr><td>{html.escape(topic)}</td><td class=n>{metrics.counts[topic]}</td><td class=n>{rate:.1f}</td></tr>"
        for topic, rate in metrics.rates_hz.items()
    )
    film = f'<video controls src="{html.escape(video)}"></video>' if video else ""
    path.write_text(
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>"
        f"<h1>{html.escape(title)}</h1><p>The robot <b class={'bad' if verdict == 'fell' else 'ok'}>{verdict}</b>.</p>"
        f"{story}{film}<h2>Height</h2>{height_plot(metrics, faults)}"
        f"<h2>Faults and reactions</h2><table><tr><th>reason<th>detected<th>end state<th></tr>{fault_rows}</table>"
        f"<h2>Torques</h2>{torque_plot(metrics, spec)}"
        f"<h2>Latency</h2>{latency_plot(metrics)}"
        f"<h2>Recorded topics</h2><table><tr><th>topic<th>messages<th>Hz</tr>{rate_rows}</table>"
        f"<h2>Figures</h2><table>{figure_rows}</table><p><small>{html.escape(metrics.path)}</small></p>\n"
    )
