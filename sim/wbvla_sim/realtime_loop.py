"""Paces a plant against the monotonic clock, and keeps account of how well that went."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

from wbvla_core.timing import LatencyHistogram

NS_PER_S = 1_000_000_000
LONGEST_CATCH_UP_S = 0.1
WATCH_CAP_NS = 8_000_000


@dataclass(frozen=True)
class Turn:
    """One wake-up: how many physics steps are due, and the clock for the plant's watchdog."""

    steps: int
    watch_ns: int


class Pacer:
    """Absolute deadlines every ``steps_per_wake`` physics steps of ``timestep_s``.

    A late wake-up is caught up, step by step, unless it is later than ``LONGEST_CATCH_UP_S``: then the world
    stands still for the time lost (``dropped_s``). The watchdog's clock (``watch_ns``) advances with the
    wake-ups, at most ``WATCH_CAP_NS`` each: when the whole machine stood still, the driver's silence was not
    its fault.
    """

    def __init__(
        self,
        timestep_s: float,
        steps_per_wake: int,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._step_ns = round(timestep_s * NS_PER_S)
        self._wake_ns = steps_per_wake * self._step_ns
        self.lateness = LatencyHistogram()
        self.dropped_s = 0.0
        self._watch_ns = 0
        self.restart()

    def restart(self) -> None:
        """Begin anew now, for example after the world was rebuilt."""
        self._last_ns = self._start_ns = self._clock()
        self._deadline_ns = self._start_ns + self._wake_ns
        self._done = 0

    def wait(self) -> Turn:
        """Sleep to the next deadline."""
        now_ns = self._clock()
        while now_ns < self._deadline_ns:
            self._sleep((self._deadline_ns - now_ns) / NS_PER_S)
            now_ns = self._clock()
        self.lateness.record(now_ns - self._deadline_ns)
        self._watch_ns += min(WATCH_CAP_NS, now_ns - self._last_ns)
        self._last_ns = now_ns
        behind = (now_ns - self._start_ns) // self._step_ns - self._done
        limit = round(LONGEST_CATCH_UP_S * NS_PER_S) // self._step_ns
        if behind > limit:
            lost_ns = (behind - limit) * self._step_ns
            self._start_ns += lost_ns
            self.dropped_s += lost_ns / NS_PER_S
            behind = limit
        self._done += behind
        self._deadline_ns = self._start_ns + (self._done * self._step_ns // self._wake_ns + 1) * self._wake_ns
        return Turn(behind, self._watch_ns)


class RateWindows:
    """Ratios of a counter to the wall clock over 1 s windows."""

    def __init__(self) -> None:
        self._begin: tuple[int, float] | None = None
        self.values: list[float] = []

    def update(self, now_ns: int, counter: float) -> None:
        """The counter stands at ``counter``."""
        if self._begin is None:
            self._begin = (now_ns, counter)
        elapsed = now_ns - self._begin[0]
        if elapsed >= NS_PER_S:
            self.values.append((counter - self._begin[1]) * NS_PER_S / elapsed)
            self._begin = (now_ns, counter)

    def pause(self) -> None:
        """Drop the open window."""
        self._begin = None

    @property
    def last(self) -> float:
        """Newest window; 0 before the first."""
        return self.values[-1] if self.values else 0.0

    @property
    def median(self) -> float:
        """Median window; 0 before the first."""
        return median(self.values) if self.values else 0.0

    @property
    def minimum(self) -> float:
        """Smallest window; 0 before the first."""
        return min(self.values, default=0.0)
