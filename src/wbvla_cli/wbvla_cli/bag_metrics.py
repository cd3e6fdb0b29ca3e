"""What a recorded episode says about the run: rates, ages, and the series that the report plots."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader
from wbvla_core.timing import NS_PER_S

STAMPED_RATES = {
    "camera": "head_camera/image_raw/compressed",
    "vla": "vla/loco_command",
    "lmo": "leg_waist_command",
    "state": "robot_state",
}


def median_rate_hz(stamps_ns: np.ndarray) -> float:
    """Median count over 1 s windows between the first and the last stamp; 0 for less than two whole windows.

    Empty windows are left out: a source that was off on purpose has no rate there.
    """
    if len(stamps_ns) < 2:
        return 0.0
    seconds = (stamps_ns - stamps_ns[0]) // NS_PER_S
    counts = np.bincount(seconds.astype(np.int64))[:-1]
    counts = counts[counts > 0]
    return float(np.median(counts)) if len(counts) >= 2 else 0.0


@dataclass
class Series:
    """Time series of one run, times in seconds since the bag's first message."""

    times_s: dict[str, np.ndarray] = field(default_factory=dict)
    values: dict[str, np.ndarray] = field(default_factory=dict)


@dataclass
class BagMetrics:
    """Counts and rates per topic (relative names), state-to-command delays [ms], and the plotted series."""

    path: str
    messages: int
    counts: dict[str, int]
    rates_hz: dict[str, float]
    state_to_command_ms: np.ndarray
    joint_names: list[str]
    series: Series


def _ns(stamp) -> int:
    return stamp.sec * NS_PER_S + stamp.nanosec


def measure(path: Path, namespace: str) -> BagMetrics:
    """Read a bag once and measure it.

    Raises:
        ValueError: the bag cannot be read; says which file.
    """
    prefix = f"/{namespace.strip('/')}/"
    stamps: dict[str, list[int]] = {}
    delays: list[float] = []
    joint_names: list[str] = []
    rows: dict[str, list] = {
        name: [] for name in ("joint_states", "leg_waist_command", "sim/state", "loco_command")
    }
    try:
        with AnyReader([path]) as reader:
            begin_ns = reader.start_time
            for connection, log_ns, raw in reader.messages():
                topic = connection.topic.removeprefix(prefix)
                stamps.setdefault(topic, []).append(log_ns)
                if topic not in rows:
                    continue
                message = reader.deserialize(raw, connection.msgtype)
                t = (log_ns - begin_ns) / NS_PER_S
                if topic == "joint_states":
                    joint_names = joint_names or list(message.name)
                    rows[topic].append((t, message.position, message.effort))
                elif topic == "leg_waist_command":
                    delays.append((_ns(message.header.stamp) - _ns(message.state_stamp)) / 1e6)
                    rows[topic].append((t, message.effort))
                elif topic == "sim/state":
                    rows[topic].append((t, message.pelvis.position.z, float(message.hoisted)))
                else:
                    rows[topic].append((t, message.height))
    except Exception as error:
        raise ValueError(f"bag {path} cannot be read: {error}") from error
    series = Series()
    for name, table in rows.items():
        if table:
            series.times_s[name] = np.array([row[0] for row in table])
            series.values[name] = np.array([np.hstack(row[1:]) for row in table])
    counts = {topic: len(values) for topic, values in sorted(stamps.items())}
    return BagMetrics(
        path=str(path),
        messages=sum(counts.values()),
        counts=counts,
        rates_hz={topic: median_rate_hz(np.array(values)) for topic, values in sorted(stamps.items())},
        state_to_command_ms=np.array(delays),
        joint_names=joint_names,
        series=series,
    )
