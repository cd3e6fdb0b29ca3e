"""``metadata.yaml`` of a rosbag2 folder, as ROS 2 Humble (metadata version 5) writes and reads it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

FILE_NAME = "metadata.yaml"
_ENDLESS = {"sec": 2147483647, "nsec": 4294967295}


@dataclass(frozen=True)
class TopicInfo:
    """One recorded topic: absolute name, ``package/msg/Name``, and how its publisher offers it."""

    name: str
    type: str
    reliable: bool = True
    latched: bool = False
    depth: int = 10

    def offered_qos(self) -> str:
        """YAML text with Humble's integer enums; ``ros2 bag play`` publishes with it."""
        profile = {
            "history": 1,
            "depth": self.depth,
            "reliability": 1 if self.reliable else 2,
            "durability": 1 if self.latched else 2,
            "deadline": dict(_ENDLESS),
            "lifespan": dict(_ENDLESS),
            "liveliness": 1,
            "liveliness_lease_duration": dict(_ENDLESS),
            "avoid_ros_namespace_conventions": False,
        }
        return yaml.safe_dump([profile], sort_keys=False).strip()


@dataclass(frozen=True)
class BagExtent:
    """Which messages a bag file holds: counts by topic name, and log times of the first and last one [ns]."""

    counts: Mapping[str, int]
    start_ns: int
    end_ns: int


def write_bag_metadata(
    folder: Path, file_name: str, topics: Iterable[tuple[str, str, str]], extent: BagExtent
) -> None:
    """Write ``metadata.yaml`` so that a reader sees either the old or the new file, never half of one.

    ``topics`` are (name, type, offered QoS as YAML text).
    """
    duration = {"nanoseconds": max(0, extent.end_ns - extent.start_ns)}
    start = {"nanoseconds_since_epoch": extent.start_ns}
    total = sum(extent.counts.values())
    information = {
        "version": 5,
        "storage_identifier": "mcap",
        "duration": duration,
        "starting_time": start,
        "message_count": total,
        "topics_with_message_count": [
            {
                "topic_metadata": {
                    "name": name,
                    "type": type_name,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": qos,
                },
                "message_count": extent.counts.get(name, 0),
            }
            for name, type_name, qos in topics
        ],
        "compression_format": "",
        "compression_mode": "",
        "relative_file_paths": [file_name],
        "files": [{"path": file_name, "starting_time": start, "duration": duration, "message_count": total}],
    }
    text = yaml.dump({"rosbag2_bagfile_information": information}, Dumper=_PlainDumper, sort_keys=False)
    temporary = folder / (FILE_NAME + ".new")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, folder / FILE_NAME)


class _PlainDumper(yaml.SafeDumper):
    """No anchors and aliases: readers of the file need not know them."""

    def ignore_aliases(self, data: object) -> bool:
        return True
