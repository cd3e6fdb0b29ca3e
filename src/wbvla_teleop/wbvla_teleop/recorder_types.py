"""What goes into and comes out of the episode recorder."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wbvla_core.contract import Contract
from wbvla_core.robot_spec_load import robot_files

from wbvla_teleop.bag_metadata import TopicInfo


class EpisodeState(enum.IntEnum):
    """Equals the constants of ``wbvla_msgs/EpisodeStatus``."""

    IDLE = 0
    RECORDING = 1
    FINISHED = 2
    DISCARDED = 3
    FAILED = 4


class RecorderError(RuntimeError):
    """The request does not fit what the recorder is doing; says what to do instead."""


@dataclass(frozen=True)
class RecorderConfig:
    """Where and what to record. ``expected_hz`` and ``skew_pairs`` feed the audit; sizes are bytes."""

    folder: Path
    topics: tuple[TopicInfo, ...]
    expected_hz: Mapping[str, float] = field(default_factory=dict)
    skew_pairs: tuple[tuple[str, str], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    attachments: Mapping[str, bytes] = field(default_factory=dict)
    compression: str = "zstd"
    flush_period_s: float = 0.5
    queue_bytes: int = 64 << 20
    min_free_bytes: int = 200 << 20


@dataclass(frozen=True)
class Snapshot:
    """State of the recorder at one instant; counters are of the present or last episode."""

    state: EpisodeState
    episode: str = ""
    task: str = ""
    elapsed_s: float = 0.0
    messages: int = 0
    dropped: int = 0
    bytes: int = 0
    disk_free: int = 0
    skew_ms: float = 0.0
    alarms: tuple[str, ...] = ()
    disk_full: bool = False
    detail: str = ""


def attachments(contract: Contract, robot: str | Path) -> dict[str, bytes]:
    """What every bag carries beside its messages: the contract and the robot's files. Raises RobotSpecError."""
    files = {"contract.yaml": contract.text, **robot_files(robot)}
    return {name: text.encode() for name, text in files.items()}
