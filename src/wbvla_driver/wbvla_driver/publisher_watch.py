"""Finds nodes that publish where only one may."""

from __future__ import annotations

from rclpy.node import Node
from wbvla_core.types import Source

# Topics with one rightful publisher each, and the source whose commands they carry (NONE: not a source's).
WATCHED: dict[str, Source] = {
    "vla/arm_target": Source.VLA,
    "vla/loco_command": Source.VLA,
    "teleop/arm_target": Source.TELEOP,
    "teleop/loco_command": Source.TELEOP,
    "leg_waist_command": Source.NONE,
    "loco_command": Source.NONE,
    "robot_state": Source.NONE,
    "authority": Source.NONE,
}


class PublisherWatch:
    """Counts publishers on the watched topics. ``new()`` tells of a topic once, until it is free of guests
    again."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._told: dict[str, int] = {}

    def crowded(self) -> dict[str, str]:
        """Topics with more than one publisher now, with the nodes that publish there."""
        found = {}
        for topic in WATCHED:
            if self._node.count_publishers(topic) > 1:
                nodes = sorted(
                    f"{info.node_namespace.rstrip('/')}/{info.node_name}"
                    for info in self._node.get_publishers_info_by_topic(topic)
                )
                found[topic] = ", ".join(nodes)
        return found

    def new(self) -> list[tuple[str, Source]]:
        """Topics on which the number of guests grew since the last call, with their source."""
        grown = []
        for topic, source in WATCHED.items():
            count = self._node.count_publishers(topic)
            if count > max(1, self._told.get(topic, 1)):
                grown.append((topic, source))
            self._told[topic] = count
        return grown
