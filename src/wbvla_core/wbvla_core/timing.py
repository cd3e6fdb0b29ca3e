"""Deadlines, latencies and rates of control loops.

Nothing here reads a clock unless the caller hands one over: ``DeadlineTimer`` takes clock and sleep as
arguments (their defaults are the machine's monotonic clock), the meters take ``now_ns``. All times are
integer nanoseconds.

Definitions used everywhere: *rate* is the median over 1 s windows; *lateness* is tick start minus deadline; a
tick is *missed* when its command was published after the next deadline, or its deadline passed without a
tick.
"""

from __future__ import annotations

import math
import time
from array import array
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from wbvla_core.realtime import Realtime, enter_realtime

__all__ = [
    "NS_PER_MS",
    "NS_PER_S",
    "DeadlineTimer",
    "LatencyHistogram",
    "RateMeter",
    "Realtime",
    "RollingLatency",
    "Tick",
    "enter_realtime",
]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


@dataclass(frozen=True)
class Tick:
    """One turn of a loop: which deadline it serves, when it began, and how many were skipped."""

    index: int
    deadline_ns: int
    start_ns: int
    skipped: int = 0

    @property
    def lateness_ns(self) -> int:
        """Start minus deadline [ns]."""
        return self.start_ns - self.deadline_ns


class DeadlineTimer:
    """Absolute deadlines ``start + k * period``: an overrun never shifts the grid.

    ``wait()`` sleeps to the next deadline and returns its ``Tick``. When deadlines have passed meanwhile, the
    newest of them is served at once and the older ones are skipped and counted: a loop that fell behind never
    runs a burst. ``done()`` says that the tick's command is out, and returns whether it was in time.
    """

    def __init__(
        self,
        period_ns: int,
        clock: Callable[[], int] = time.monotonic_ns,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if period_ns <= 0:
            raise ValueError(f"period_ns must be positive, got {period_ns}")
        self.period_ns = int(period_ns)
        self._clock = clock
        self._sleep = sleep
        self._tick: Tick | None = None
        self._next_ns: int | None = None
        self.ticks = 0
        self.late = 0
        self.skipped = 0

    def start(self, first_deadline_ns: int | None = None) -> None:
        """Lay the grid anew; the first deadline is ``first_deadline_ns``, or now. Counters go to zero."""
        self._next_ns = self._clock() if first_deadline_ns is None else int(first_deadline_ns)
        self._tick = None
        self.ticks = self.late = self.skipped = 0

    def wait(self) -> Tick:
        """Sleep until the next deadline (not at all when it has passed) and begin its tick."""
        now_ns = self._clock()
        deadline_ns = now_ns if self._next_ns is None else self._next_ns
        skipped = 0
        if now_ns < deadline_ns:
            while now_ns < deadline_ns:
                self._sleep((deadline_ns - now_ns) / NS_PER_S)
                now_ns = self._clock()
        else:
            skipped = (now_ns - deadline_ns) // self.period_ns
            deadline_ns += skipped * self.period_ns
        tick = Tick(self.ticks + self.skipped + skipped, deadline_ns, now_ns, skipped)
        self.ticks += 1
        self.skipped += skipped
        self._next_ns = deadline_ns + self.period_ns
        self._tick = tick
        return tick

    def done(self) -> bool:
        """Call once the tick's command is published; False when that was after the next deadline."""
        if self._tick is None:
            raise RuntimeError("done() without a tick: call wait() first")
        in_time = self._clock() <= self._tick.deadline_ns + self.period_ns
        self._tick = None
        if not in_time:
            self.late += 1
        return in_time

    @property
    def missed(self) -> int:
        """Deadlines whose command came late or never."""
        return self.late + self.skipped

    @property
    def missed_fraction(self) -> float:
        """Missed deadlines over all deadlines so far; 0 before the first."""
        return self.missed / max(1, self.ticks + self.skipped)


class LatencyHistogram:
    """Percentiles in fixed memory: logarithmic bins, 1 us to 100 s, each 2 % wide; the maximum is exact."""

    FIRST_NS = 1_000
    GROWTH = 1.02
    BINS = 1 + math.ceil(math.log(1e8) / math.log(1.02))

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * self.BINS))
        self.count = 0
        self.max_ns = 0

    def record(self, latency_ns: int) -> None:
        """Add one latency [ns]; negative ones count as zero."""
        self.max_ns = max(self.max_ns, int(latency_ns))
        self.count += 1
        if latency_ns <= self.FIRST_NS:
            self._counts[0] += 1
            return
        position = math.log(latency_ns / self.FIRST_NS) / math.log(self.GROWTH)
        self._counts[min(self.BINS - 1, 1 + int(position))] += 1

    def clear(self) -> None:
        """Forget everything."""
        for i in range(self.BINS):
            self._counts[i] = 0
        self.count = self.max_ns = 0

    def merge(self, other: LatencyHistogram) -> None:
        """Add the latencies of another histogram."""
        for i, count in enumerate(other._counts):
            if count:
                self._counts[i] += count
        self.count += other.count
        self.max_ns = max(self.max_ns, other.max_ns)

    def percentile_ns(self, percent: float) -> float:
        """Latency [ns] that ``percent`` (0..100) of the values do not exceed, within 2 %; NaN when empty."""
        if self.count == 0:
            return math.nan
        wanted = max(1, math.ceil(self.count * percent / 100.0))
        seen = 0
        for i, count in enumerate(self._counts):
            seen += count
            if seen >= wanted:
                return min(float(self.max_ns), self.FIRST_NS * self.GROWTH**i)
        return float(self.max_ns)

    def percentile_ms(self, percent: float) -> float:
        """``percentile_ns`` in milliseconds."""
        return self.percentile_ns(percent) / NS_PER_MS


class RollingLatency:
    """Percentiles over the last ``window_s`` seconds (to a tenth of it), and the maximum of all times."""

    SLICES = 10

    def __init__(self, window_s: float = 10.0) -> None:
        self._slice_ns = int(window_s * NS_PER_S / self.SLICES)
        self._slices: deque[LatencyHistogram] = deque(maxlen=self.SLICES)
        self._slice_end_ns: int | None = None
        self.max_ns = 0

    def record(self, latency_ns: int, now_ns: int) -> None:
        """Add one latency [ns] at ``now_ns``."""
        self._advance(now_ns)
        self._slices[-1].record(latency_ns)
        self.max_ns = max(self.max_ns, int(latency_ns))

    def percentile_ms(self, percent: float, now_ns: int) -> float:
        """Percentile [ms] over the window that ends at ``now_ns``; NaN when nothing fell into it."""
        self._advance(now_ns)
        total = LatencyHistogram()
        for part in tuple(self._slices):
            total.merge(part)
        return total.percentile_ms(percent)

    def _advance(self, now_ns: int) -> None:
        if self._slice_end_ns is None or now_ns - self._slice_end_ns >= self.SLICES * self._slice_ns:
            self._slices.clear()
            self._slices.append(LatencyHistogram())
            self._slice_end_ns = now_ns + self._slice_ns
        while now_ns >= self._slice_end_ns:
            self._slices.append(LatencyHistogram())
            self._slice_end_ns += self._slice_ns


class RateMeter:
    """Rate of events as the median over 1 s windows; keeps the newest ``windows`` windows.

    A window closes with the first event that comes 1 s or more after its first one, and counts events over
    the true time between the two, so that a steady 50 Hz reads 50.0 and not 49 or 51.
    """

    def __init__(self, window_s: float = 1.0, windows: int = 120) -> None:
        self._window_ns = int(window_s * NS_PER_S)
        self._rates: deque[float] = deque(maxlen=windows)
        self._start_ns: int | None = None
        self._count = 0
        self.total = 0

    def count(self, now_ns: int) -> None:
        """One event at ``now_ns``."""
        self.total += 1
        if self._start_ns is None:
            self._start_ns = now_ns
        elapsed_ns = now_ns - self._start_ns
        if elapsed_ns >= self._window_ns:
            self._rates.append(self._count * NS_PER_S / elapsed_ns)
            self._start_ns = now_ns
            self._count = 0
        self._count += 1

    def pause(self) -> None:
        """The source stops on purpose: the open window is dropped, so that the silence does not count."""
        self._start_ns = None
        self._count = 0

    def rate_hz(self, now_ns: int) -> float:
        """Median [Hz] of the kept windows; an open one counts once it is twice as long. NaN without any."""
        rates = list(self._rates)
        if self._start_ns is not None and now_ns - self._start_ns >= 2 * self._window_ns:
            rates.append(self._count * NS_PER_S / (now_ns - self._start_ns))
        if not rates:
            return math.nan
        rates.sort()
        middle = len(rates) // 2
        return rates[middle] if len(rates) % 2 else 0.5 * (rates[middle - 1] + rates[middle])
