"""Events of one tick; what repeats is told at most once a second and counted in between."""

from __future__ import annotations

from dataclasses import dataclass

from wbvla_core.timing import NS_PER_S
from wbvla_core.types import Event, Reason, State


@dataclass
class _Repeat:
    told_ns: int
    silent: int


class EventLog:
    """Collects events between two calls of ``drain``."""

    def __init__(self, quiet_s: float = 1.0) -> None:
        self._quiet_ns = int(quiet_s * NS_PER_S)
        self._repeats: dict[tuple[Reason, str], _Repeat] = {}
        self._events: list[Event] = []

    def add(self, reason: Reason, state: State, topic: str, detail: str, now_ns: int) -> None:
        """Something about ``topic`` (a stream or part of the robot) that may repeat at every tick."""
        repeat = self._repeats.get((reason, topic))
        if repeat is not None and now_ns - repeat.told_ns < self._quiet_ns:
            repeat.silent += 1
            return
        silent = 0 if repeat is None else repeat.silent
        self._repeats[(reason, topic)] = _Repeat(now_ns, 0)
        values = {"repeated": float(silent)} if silent else {}
        self._events.append(Event(now_ns, reason, state, f"{topic}: {detail}", values))

    def extend(self, events: tuple[Event, ...]) -> None:
        """Events that never repeat."""
        self._events.extend(events)

    def drain(self) -> tuple[Event, ...]:
        """All events since the last call."""
        events, self._events = tuple(self._events), []
        return events
