"""What :mod:`trial_watch` notes of a trial in lock-step, of one on the running graph."""

from __future__ import annotations

from collections import Counter

from rclpy.node import Node
from wbvla_core.types import Reason, Source
from wbvla_ros.conversions import to_ns

from wbvla_msgs import msg
from wbvla_ros import qos
from wbvla_sim.lockstep import MS
from wbvla_sim.tasks.trial_watch import NO_REACTION, TrialNotes, ages

SOURCES = ("vla", "teleop")


class GraphWatch:
    """Listens with a node that somebody spins. A trial counts from the first command of a source that the driver follows,
    so that standing up and the stop between trials are left out; changes of state that are over before the driver's next
    status are not seen, and limited ticks are not told on the graph."""

    def __init__(self, node: Node) -> None:
        self.begin()
        node.create_subscription(msg.LocoCommand, "loco_command", self._on_loco, qos.TOOLS)
        node.create_subscription(msg.Status, "status", self._on_status, qos.STATUS)
        for source in SOURCES:
            node.create_subscription(msg.ArmTarget, f"{source}/arm_target", self._on_arm, qos.TOOLS)

    def begin(self) -> None:
        """Forget the trial before."""
        self._following = False
        self._arm_stamp_ns: int | None = None
        self._ages: dict[str, list[float]] = {"loco": [], "arm": []}
        self._last: tuple[int, int] | None = None
        self._dropped: list[int] = []
        self._reactions: Counter[str] = Counter()

    def notes(self) -> TrialNotes:
        """What was seen so far."""
        found = {name: ages(list(values)) for name, values in self._ages.items() if values}
        refused = self._dropped[-1] - self._dropped[0] if self._dropped else 0
        return TrialNotes(dict(self._reactions), None, refused, found)

    def _on_loco(self, command: msg.LocoCommand) -> None:
        if command.source == Source.NONE:
            return
        self._following = True
        now_ns = to_ns(command.header.stamp)
        self._ages["loco"].append((now_ns - to_ns(command.observation_stamp)) / MS)
        if self._arm_stamp_ns is not None:
            self._ages["arm"].append((now_ns - self._arm_stamp_ns) / MS)

    def _on_arm(self, target: msg.ArmTarget) -> None:
        self._arm_stamp_ns = to_ns(target.observation_stamp)

    def _on_status(self, status: msg.Status) -> None:
        if status.node != "driver":
            return
        now = (status.state, status.reason)
        if self._following:
            self._dropped.append(status.dropped)
            if self._last is not None and now != self._last and Reason(status.reason) not in NO_REACTION:
                self._reactions[Reason(status.reason).name] += 1
        self._last = now
