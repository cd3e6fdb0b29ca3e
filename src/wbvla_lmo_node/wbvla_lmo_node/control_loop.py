"""The control thread: one tick per absolute deadline, and nothing else in it.

It knows no ROS. It asks for real-time scheduling where that is permitted, keeps Python's garbage collector
out of the time between deadline and command, and measures itself.
"""

from __future__ import annotations

import gc
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from wbvla_core.timing import NS_PER_S, DeadlineTimer, RateMeter, RollingLatency, enter_realtime
from wbvla_core.types import LegWaistCommand

from wbvla_lmo_node.core import LmoCore

# Another thread of the process must give the interpreter back within this time; Python's default is 5 ms.
SWITCH_INTERVAL_S = 0.0005
COLLECT_TICKS = 50


@dataclass(frozen=True)
class LoopReport:
    """Rate [Hz]; latencies in ms as (p50, p99) over 10 s; lateness maximum and counters since start."""

    rate_hz: float
    tick_ms: tuple[float, float]
    lateness_ms: tuple[float, float]
    lateness_max_ms: float
    state_to_command_ms: tuple[float, float]
    ticks: int
    missed: int


class ControlLoop:
    """Runs ``core.tick`` every ``period_ns`` and hands set-points to ``publish``.

    ``stamp_clock`` gives the time [ns] in the clock of message stamps; deadlines are in monotonic time;
    ``window_s`` is what the latency percentiles reach over."""

    def __init__(
        self,
        core: LmoCore,
        publish: Callable[[LegWaistCommand], None],
        stamp_clock: Callable[[], int] = time.time_ns,
        period_ns: int = NS_PER_S // 50,
        priority: int = 0,
        window_s: float = 10.0,
    ) -> None:
        self._core, self._publish, self._stamp_clock = core, publish, stamp_clock
        self._priority = priority
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer = DeadlineTimer(period_ns)
        self._rate = RateMeter()
        self._lateness, self._tick_time, self._way = (RollingLatency(window_s) for _ in range(3))
        self.realtime = ""
        self.failure: str | None = None

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to control."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._stopping.clear()
        self.failure = None
        self._thread = threading.Thread(target=self._run, name="lmo-control", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> bool:
        """End after the present tick; False when the thread did not end in time."""
        if self._thread is None:
            return True
        self._stopping.set()
        self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        self._thread = None
        return ended

    def report(self) -> LoopReport:
        """Timing so far; any thread may ask."""
        now_ns = time.monotonic_ns()

        def pair(latency: RollingLatency) -> tuple[float, float]:
            return _finite(latency.percentile_ms(50, now_ns)), _finite(latency.percentile_ms(99, now_ns))

        return LoopReport(
            rate_hz=_finite(self._rate.rate_hz(now_ns)),
            tick_ms=pair(self._tick_time),
            lateness_ms=pair(self._lateness),
            lateness_max_ms=self._lateness.max_ns / 1e6,
            state_to_command_ms=pair(self._way),
            ticks=self._timer.ticks,
            missed=self._timer.missed,
        )

    def _run(self) -> None:
        self.realtime = enter_realtime(self._priority).message
        collecting = gc.isenabled()
        # What exists by now lives as long as the process. What comes later is collected between two ticks.
        gc.collect()
        gc.freeze()
        gc.disable()
        try:
            self._timer.start()
            while not self._stopping.is_set():
                self._turn()
        except Exception as error:
            # Whatever broke, the driver notices the silence within 60 ms and balances by itself; the node is
            # told.
            self.failure = f"the control loop failed: {type(error).__name__}: {error}"
        finally:
            gc.unfreeze()
            if collecting:
                gc.enable()

    def _turn(self) -> None:
        tick = self._timer.wait()
        command = self._core.tick(self._stamp_clock())
        if command is not None:
            self._publish(command)
        done_ns = time.monotonic_ns()
        self._timer.done()
        self._lateness.record(tick.lateness_ns, tick.start_ns)
        self._tick_time.record(done_ns - tick.start_ns, done_ns)
        if command is None:
            self._rate.pause()
        else:
            self._rate.count(tick.start_ns)
            self._way.record(self._stamp_clock() - command.state_stamp_ns, done_ns)
        if self._timer.ticks % COLLECT_TICKS == 0:
            gc.collect()


def _finite(value: float) -> float:
    """Percentiles without any sample are not a number, which a message must not carry."""
    return value if value == value else 0.0
