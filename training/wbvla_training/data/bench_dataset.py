"""``wbvla bench dataset``: frames a second out of a dataset, beside LeRobot's own reader where it is installed."""

from __future__ import annotations

import importlib.util
import json
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from wbvla_training.data.convert import ConvertOptions, convert
from wbvla_training.data.reader import EpisodeReader
from wbvla_training.data.samples import START_NS, SampleEpisode, write_sample

CHUNK = 16


@dataclass
class Bench:
    """Read single items (state, action chunk of 16, one 640 x 480 picture) at random places and in order, in one
    process. Without --dataset a made-up one of four episodes is read."""

    json: Path | None = None
    """Write the figures to this file."""
    dataset: Path | None = None
    """Dataset (v3.0) to read instead."""
    seconds: float = 10.0
    """Time for each measurement."""


class Quiet:
    """Progress for nobody."""

    def total(self, seconds: float) -> None: ...
    def bag(self, name: str, seconds: float) -> None: ...
    def done(self, name: str, seconds: float) -> None: ...
    def assembling(self, episodes: int, total: int) -> None: ...


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write; returns the exit code."""
    a = tyro.cli(Bench, prog="wbvla bench dataset", args=argv)
    with tempfile.TemporaryDirectory(prefix="wbvla-bench-") as name:
        figures = measure(a.dataset or sample_dataset(Path(name)), a.seconds)
    for key, value in figures.items():
        print(f"{key:<34}{'not installed' if value is None else f'{value:.1f}'}")
    if a.json:
        a.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def sample_dataset(folder: Path, episodes: int = 4, seconds: float = 20.0) -> Path:
    """A dataset of made-up episodes with a 30 Hz camera."""
    for number in range(episodes):
        episode = SampleEpisode(seconds=seconds, camera_hz=30.0, start_ns=START_NS + number * 10**11, pictures=240)
        write_sample(folder / f"bags/{number}", episode)
    convert([folder / "bags"], ConvertOptions(folder / "dataset"), Quiet())
    return folder / "dataset"


def measure(dataset: Path, seconds: float) -> dict[str, float | None]:
    """Frames a second; None for LeRobot's where it is not installed."""
    reader = EpisodeReader(dataset, chunk=CHUNK)
    order = np.random.default_rng(0).integers(0, len(reader), 100_000).tolist()
    figures: dict[str, float | None] = {
        "random_frames_per_s": _rate(reader.__getitem__, order, seconds),
        "sequential_frames_per_s": _rate(reader.__getitem__, range(len(reader)), seconds),
        "lerobot_random_frames_per_s": None,
        "lerobot_sequential_frames_per_s": None,
        "frames": len(reader),
    }
    peer = _lerobot(dataset, reader.index.fps)
    if peer is not None:
        figures["lerobot_random_frames_per_s"] = _rate(peer.__getitem__, order, seconds)
        figures["lerobot_sequential_frames_per_s"] = _rate(peer.__getitem__, range(len(reader)), seconds)
    return figures


def _rate(read: Callable[[int], object], order: Iterable[int], seconds: float) -> float:
    count, begin = 0, time.perf_counter()
    for i in order:
        read(i)
        count += 1
        if time.perf_counter() - begin > seconds:
            break
    return count / (time.perf_counter() - begin)


def _lerobot(dataset: Path, fps: int):
    """LeRobot's own reader of the same items, or None where the package is not installed."""
    if importlib.util.find_spec("lerobot") is None:
        return None
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    steps = {"action": [i / fps for i in range(CHUNK)]}
    return LeRobotDataset("local/dataset", root=dataset, delta_timestamps=steps)
