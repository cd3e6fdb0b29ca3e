"""What trainings wrote down while they ran, as curves: JSON lines and TensorBoard events."""

from __future__ import annotations

import json
from pathlib import Path

Curves = dict[str, list[tuple[int, float]]]
"""(step, value) by name."""

_NOT_CURVES = ("step", "lr", "gradient", "examples_per_s")


def read_lines(file: Path) -> Curves:
    """Of a file of JSON objects with "step"; a half-written last line is left out. Empty without the file.

    A resumed training may write a step again: the last one counts."""
    found: dict[str, dict[int, float]] = {}
    if not file.exists():
        return {}
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        for name, value in row.items():
            if name not in _NOT_CURVES and isinstance(value, int | float):
                found.setdefault(name, {})[int(row["step"])] = float(value)
    return {name: sorted(values.items()) for name, values in found.items()}


def read_events(folder: Path) -> Curves:
    """Scalars of the TensorBoard files in ``folder`` itself; of a step that was written again the last counts."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    events.Reload()
    found: Curves = {}
    for tag in events.Tags()["scalars"]:
        values = {event.step: event.value for event in events.Scalars(tag)}
        found[tag] = sorted(values.items())
    return found


def smoothed(points: list[tuple[int, float]], most: int = 200) -> list[tuple[float, float]]:
    """Means of neighbours, at most ``most`` points."""
    size = max(1, len(points) // most)
    groups = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(s for s, _ in g) / len(g), sum(v for _, v in g) / len(g)) for g in groups]
