"""``wbvla bench convert``: speed, memory and truth of a conversion, beside a plain loop over the same bag."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from rosbags.highlevel import AnyReader
from wbvla_core.contract import Contract
from wbvla_core.vla_input import decode_jpeg
from wbvla_teleop.definitions import typestore

from wbvla_training.data.admit import feature_topics
from wbvla_training.data.dataset_index import DatasetIndex
from wbvla_training.data.frames import VideoFrames
from wbvla_training.data.samples import (
    HEIGHT_M,
    HEIGHT_M_S,
    NAMESPACE,
    RAMP_JOINT,
    RAMP_RAD_S,
    START_NS,
    SampleEpisode,
    jpeg,
    picture_number,
    write_sample,
)
from wbvla_training.data.schema import STAMPS

CAMERA = "observation.images.head_cam"


@dataclass
class Bench:
    """Convert an episode with one 640 x 480 camera at 30 Hz and joint states at 500 Hz.

    ours: wbvla data convert, in a process of its own: alignment, video, statistics, files. baseline: the same bag read by
    rosbags' AnyReader, the topics that the contract's features need decoded (JPEG included) and appended to lists;
    it aligns nothing and writes nothing.
    """

    seconds: float = 60.0
    """Length of the episode."""
    json: Path | None = None
    """Write the figures to this file."""
    pictures: int = 240
    """Different pictures in the bag, repeated."""


def main(argv: list[str] | None = None) -> int:
    """Measure, print and write; returns the exit code."""
    a = tyro.cli(Bench, prog="wbvla bench convert", args=argv)
    with tempfile.TemporaryDirectory(prefix="wbvla-bench-") as name:
        figures = measure(Path(name), a.seconds, a.pictures)
    for key, value in figures.items():
        print(f"{key:<28}{value:.3f}" if isinstance(value, float) else f"{key:<28}{value}")
    if a.json:
        a.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


def measure(folder: Path, seconds: float, pictures: int) -> dict:
    """All figures; rates in recorded seconds per second, GB = 1e9 bytes of bag."""
    episode = SampleEpisode(
        seconds=seconds, camera_hz=30.0, state_hz=500.0, joint_states_hz=500.0, pictures=pictures
    )
    write_sample(folder / "bags/bench", episode)
    size = sum(file.stat().st_size for file in (folder / "bags").rglob("*.mcap"))
    baseline_s = _baseline(folder / "bags/bench")
    elapsed_s, peak_mb, cpu_s = _convert(folder / "bags", folder / "dataset")
    errors_ms, frames = stamp_errors_ms(folder / "dataset")
    return {
        "seconds_per_gb": elapsed_s / (size / 1e9),
        "times_real_time": seconds / elapsed_s,
        "peak_rss_mb": peak_mb,
        "max_stamp_error_ms": errors_ms,
        "baseline_times_real_time": seconds / baseline_s,
        "baseline_seconds_per_gb": baseline_s / (size / 1e9),
        "min_psnr_db": min_psnr_db(folder / "dataset", pictures),
        "cpu_seconds": cpu_s,
        "recorded_seconds": seconds,
        "bag_gb": size / 1e9,
        "dataset_gb": sum(f.stat().st_size for f in (folder / "dataset").rglob("*") if f.is_file()) / 1e9,
        "frames": frames,
        "cores": os.cpu_count(),
    }


def _convert(bags: Path, out: Path) -> tuple[float, float, float]:
    """Wall time [s], largest resident set [MB] and processor time [s] of the command, its start included."""
    code = (
        "import resource, sys; from wbvla_training.data.cli import main; status = main(sys.argv[1:]); "
        "used = resource.getrusage(resource.RUSAGE_SELF); "
        "print('used', used.ru_maxrss, used.ru_utime + used.ru_stime); sys.exit(status)"
    )
    begin = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, "convert", str(bags), "--out", str(out)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    elapsed_s = time.perf_counter() - begin
    if done.returncode != 0:
        raise RuntimeError(f"the conversion failed: {done.stderr.strip()}")
    used = re.search(r"used (\d+) ([\d.]+)", done.stdout)
    return elapsed_s, int(used.group(1)) * 1024 / 1e6, float(used.group(2))


def _baseline(bag: Path) -> float:
    """Seconds of read, decode, append in this process, which has all it needs loaded."""
    contract = Contract.load("x2")
    wanted = {f"{NAMESPACE}/{contract.topics[key].topic}" for key in feature_topics(contract)}
    lists: dict[str, list] = {name: [] for name in wanted}
    begin = time.perf_counter()
    with AnyReader([bag], default_typestore=typestore()) as reader:
        connections = [c for c in reader.connections if c.topic in wanted]
        for connection, _, data in reader.messages(connections=connections):
            message = reader.deserialize(data, connection.msgtype)
            if hasattr(message, "format"):
                # Pictures are measured, not kept: a minute of them would fill the memory.
                lists[connection.topic].append(decode_jpeg(bytes(message.data)).shape)
            else:
                lists[connection.topic].append(message)
    return time.perf_counter() - begin


def stamp_errors_ms(dataset: Path) -> tuple[float, int]:
    """Largest distance [ms] between the time that a value tells of itself and the stamp that stands beside it,
    over states, commands and the grid; and the number of frames."""
    index = DatasetIndex.open(dataset)
    columns = index.columns(["observation.state", "action", STAMPS, "timestamp", "frame_index"])
    stamps = columns[STAMPS]
    place = {name: i for i, name in enumerate(index.names(STAMPS))}
    ramp = columns["observation.state"][:, index.names("observation.state").index(RAMP_JOINT)].astype(np.float64)
    height = columns["action"][:, index.names("action").index("h")].astype(np.float64)
    frames = columns["frame_index"][:, 0]
    grid_ns = stamps[0, place["frame"]] + frames * 1e9 / index.fps
    errors_s = (
        ramp / RAMP_RAD_S - (stamps[:, place["head_camera"]] - START_NS) / 1e9,
        (height - HEIGHT_M) / HEIGHT_M_S - (stamps[:, place["loco_command"]] - START_NS) / 1e9,
        (stamps[:, place["frame"]] - grid_ns) / 1e9,
        columns["timestamp"][:, 0] - (frames / index.fps).astype(np.float32),
    )
    return max(float(np.abs(error).max()) for error in errors_s) * 1e3, index.frames


def min_psnr_db(dataset: Path, pictures: int, step: int = 37) -> float:
    """Worst peak signal-to-noise ratio of the video against the JPEG pictures of the bag, over every ``step``-th frame."""
    index = DatasetIndex.open(dataset)
    path, first = index.episodes[0].videos[CAMERA]
    video = VideoFrames(path, index.fps)
    worst = np.inf
    for number in range(0, index.episodes[0].length, step):
        rgb = video.read(first + number)
        truth = decode_jpeg(jpeg(picture_number(rgb) % pictures)).astype(np.float64)
        worst = min(worst, 10 * np.log10(255.0**2 / np.mean((rgb - truth) ** 2)))
    video.close()
    return float(worst)
