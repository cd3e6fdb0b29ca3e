"""What is in a dataset, in figures: for the terminal, for the page, as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wbvla_training.data.dataset_index import DatasetIndex
from wbvla_training.data.schema import INTERVENTION


@dataclass(frozen=True)
class Summary:
    """A dataset at a glance. ``succeeded``: episodes whose task did; None: nobody said of any."""

    root: str
    version: str
    robot: str
    contract: str
    contract_hash: str
    fps: int
    episodes: int
    frames: int
    hours: float
    tasks: dict[str, int]
    operators: dict[str, int]
    succeeded: int | None
    intervention_share: float
    cameras: dict[str, str]
    size_mb: float


def summarise(index: DatasetIndex) -> Summary:
    """Raises DataError when a table cannot be read."""
    contract = index.contract()
    tasks: dict[str, int] = {}
    for episode in index.episodes:
        for task in episode.tasks:
            tasks[task] = tasks.get(task, 0) + 1
    operators: dict[str, int] = {}
    outcomes = []
    for account in index.provenance:
        name = account["operator"] or "unknown"
        operators[name] = operators.get(name, 0) + 1
        outcomes.append(account["task_succeeded"])
    interventions = (
        float(index.columns([INTERVENTION])[INTERVENTION].mean()) if INTERVENTION in index.features else 0.0
    )
    size = sum(file.stat().st_size for file in Path(index.root).rglob("*") if file.is_file())
    return Summary(
        root=str(index.root),
        version=index.version,
        robot=str(index.info.get("robot_type")),
        contract=contract.name if contract else "",
        contract_hash=contract.hash if contract else "",
        fps=index.fps,
        episodes=len(index.episodes),
        frames=index.frames,
        hours=index.frames / index.fps / 3600,
        tasks=tasks,
        operators=operators,
        succeeded=sum(o is True for o in outcomes) if any(o is not None for o in outcomes) else None,
        intervention_share=interventions,
        cameras={c: _camera(index.features[c]) for c in index.cameras},
        size_mb=size / 1e6,
    )


def lines(summary: Summary) -> list[tuple[str, str]]:
    """(what, value) rows for people."""
    rows = [
        ("dataset", f"{summary.root}, LeRobot {summary.version}, {summary.size_mb:.1f} MB"),
        ("robot", summary.robot),
        ("contract", f"{summary.contract} {summary.contract_hash}" if summary.contract else "none"),
        ("episodes", f"{summary.episodes}, {summary.frames} frames at {summary.fps} Hz, {_duration(summary.hours)}"),
        ("outcome", "unknown" if summary.succeeded is None else f"{summary.succeeded} of {summary.episodes} succeeded"),
        ("interventions", f"{summary.intervention_share:.1%} of frames"),
    ]
    rows += [("camera", f"{name}: {text}") for name, text in summary.cameras.items()]
    rows += [("task", f"{task} ({count})") for task, count in summary.tasks.items()]
    rows += [("operator", f"{name} ({count})") for name, count in summary.operators.items()]
    return rows


@dataclass(frozen=True)
class Histogram:
    """Counts of one value over equal bins from ``low`` to ``high``."""

    name: str
    low: float
    high: float
    counts: tuple[int, ...]


def histograms(index: DatasetIndex, feature: str, bins: int = 24) -> list[Histogram]:
    """One per value of a feature."""
    values = index.columns([feature])[feature].astype(np.float64)
    found = []
    for name, column in zip(index.names(feature), values.T, strict=True):
        finite = column[np.isfinite(column)]
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
        width = max(high - low, 1e-6)
        counts, _ = np.histogram(finite, bins=bins, range=(low, low + width))
        found.append(Histogram(name, low, high, tuple(int(c) for c in counts)))
    return found


def _camera(feature: dict) -> str:
    height, width = feature["shape"][:2]
    return f"{width} x {height}, {feature.get('info', {}).get('video.codec', 'unknown codec')}"


def _duration(hours: float) -> str:
    return f"{hours:.2f} h" if hours >= 1 else f"{hours * 60:.1f} min" if hours * 60 >= 2 else f"{hours * 3600:.1f} s"
