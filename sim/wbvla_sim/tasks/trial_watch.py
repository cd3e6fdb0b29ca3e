"""What the safety layer did during a trial in lock-step, and how old the commands were that the robot followed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
from wbvla_core.types import ArmTarget, Reason, Source
from wbvla_driver.core import DriverOutput

from wbvla_sim.lockstep import MS, LockStep

NO_REACTION = (Reason.NONE, Reason.OPERATOR)
_ARM_TOPICS = ("vla_arm_target", "teleop_arm_target")


@dataclass(frozen=True)
class Ages:
    """Ages in ms of what a command was based on, looked at whenever the driver passes one on (50 Hz)."""

    p50_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True)
class TrialNotes:
    """``safety``: changes of the driver's state by their reason (what people asked for left out); ``limited_ticks``:
    driver ticks of 5 ms in which a set-point was limited (None: not told); ``refused``: messages dropped by the driver;
    ``command_age``: of ``loco`` (the command in force) and ``arm`` (the newest chunk), absent when there was none."""

    safety: dict[str, int] = field(default_factory=dict)
    limited_ticks: int | None = 0
    refused: int = 0
    command_age: dict[str, Ages] = field(default_factory=dict)


class TrialWatch:
    """Listens to a lock-step run from its making on; put it there after whatever else listens."""

    def __init__(self, world: LockStep) -> None:
        self._world, self._start_ns = world, world.now_ns
        status = world.driver.status()
        self._limited, self._refused = status.limited_ticks, sum(status.dropped.values())
        self._arm_stamp_ns: int | None = None
        self._ages: dict[str, list[float]] = {"loco": [], "arm": []}
        inner = world.tap

        def listen(key: str, value: object, now_ns: int) -> None:
            self._look(key, value, now_ns)
            if inner is not None:
                inner(key, value, now_ns)

        world.tap = listen

    def notes(self) -> TrialNotes:
        """What was seen so far."""
        status = self._world.driver.status()
        reactions = Counter(
            change.reason.name
            for change in self._world.changes
            if change.time_ns >= self._start_ns and change.reason not in NO_REACTION
        )
        return TrialNotes(
            safety=dict(reactions),
            limited_ticks=status.limited_ticks - self._limited,
            refused=sum(status.dropped.values()) - self._refused,
            command_age={name: ages(values) for name, values in self._ages.items() if values},
        )

    def _look(self, key: str, value: object, now_ns: int) -> None:
        if key in _ARM_TOPICS and isinstance(value, ArmTarget):
            self._arm_stamp_ns = value.observation_stamp_ns
        elif isinstance(value, DriverOutput) and value.loco_command is not None:
            if value.loco_command.source == Source.NONE:
                return
            self._ages["loco"].append((now_ns - value.loco_command.observation_stamp_ns) / MS)
            if self._arm_stamp_ns is not None:
                self._ages["arm"].append((now_ns - self._arm_stamp_ns) / MS)


def ages(values_ms: list[float]) -> Ages:
    """Percentiles of at least one age."""
    p50, p99 = np.percentile(values_ms, (50, 99))
    return Ages(float(p50), float(p99), float(max(values_ms)))
