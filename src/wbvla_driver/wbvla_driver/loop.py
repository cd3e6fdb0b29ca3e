"""The 200 Hz control thread: reads the plant, ticks the core, writes the plant, and only then tells the
world.

It knows no ROS. Other threads hand over calls (``post``, ``ask``) that it makes between two ticks; nothing
they do can hold it up. It ends with the safe command, whatever the cause.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wbvla_core.alive_clock import AliveClock
from wbvla_core.timing import NS_PER_MS, NS_PER_S, DeadlineTimer, RateMeter, RollingLatency, enter_realtime
from wbvla_core.types import LegWaistCommand

from wbvla_driver.backends.base import Backend, BackendError
from wbvla_driver.config import DriverStatus
from wbvla_driver.core import DriverCore, DriverOutput

# Threads that share the interpreter must give it back quickly; the default of 5 ms is a whole period.
SWITCH_INTERVAL_S = 0.0005
INBOX_LIMIT = 256
STATUS_TICKS = 10


@dataclass(frozen=True)
class LoopReport:
    """Timing of the loop: rate [Hz], latencies in ms as (p50, p99), counters since start."""

    rate_hz: float
    tick_ms: tuple[float, float]
    lateness_ms: tuple[float, float]
    lateness_max_ms: float
    ticks: int
    missed: int
    stages: dict[str, tuple[float, float]]
    set_point_rate_hz: float
    overflow: int


class _Question:
    """A call whose result another thread waits for."""

    def __init__(self, call: Callable[[int], Any]) -> None:
        self._call = call
        self.answered = threading.Event()
        self.answer: Any = None

    def __call__(self, now_ns: int) -> None:
        self.answer = self._call(now_ns)
        self.answered.set()


class ControlLoop:
    """Owns the control thread. ``publish`` gets each tick's output after the plant got its command;
    ``stamp_clock`` gives the time of stamps [ns]."""

    def __init__(
        self,
        core: DriverCore,
        backend: Backend,
        period_ns: int,
        publish: Callable[[DriverOutput], None],
        stamp_clock: Callable[[], int] = time.time_ns,
        priority: int = 0,
    ) -> None:
        self._core, self._backend = core, backend
        self._publish, self._stamp_clock = publish, stamp_clock
        self._priority = priority
        self._inbox: deque[tuple[Callable[[int], Any], int]] = deque()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer = DeadlineTimer(period_ns)
        # Beyond the plant's watchdog of 20 ms a pause hit plant and driver alike, or the plant has damped the robot.
        self._alive = AliveClock(period_ns, 20 * NS_PER_MS, 100 * NS_PER_MS)
        self._rate = RateMeter()
        self._lateness, self._tick_time = RollingLatency(), RollingLatency()
        self._stages = {"reading_to_command": RollingLatency(), "lmo_state_to_command": RollingLatency()}
        self._lmo_stamp_ns: int | None = None
        self._counted_set_points: tuple[int, int] | None = None
        self.set_point_rate_hz = 0.0
        self.overflow = 0
        self.realtime = ""
        self.failure: str | None = None
        self.trouble: str | None = None
        self.status: DriverStatus = core.status()

    @property
    def running(self) -> bool:
        """Whether the thread is there."""
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Begin to control."""
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        self._stopping.clear()
        self.failure = None
        self._thread = threading.Thread(target=self._run, name="driver-control", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 1.0) -> bool:
        """End with the safe command; False when the thread did not end in time (the caller then writes
        it)."""
        if self._thread is None:
            return True
        self._stopping.set()
        self._thread.join(timeout_s)
        ended = not self._thread.is_alive()
        self._thread = None
        return ended

    def post(self, call: Callable[[int], Any]) -> None:
        """Make ``call(arrival_ns)`` before the next tick; the time of arrival is now."""
        if len(self._inbox) >= INBOX_LIMIT:
            self.overflow += 1
            return
        self._inbox.append((call, self._alive.at(time.monotonic_ns())))

    def post_leg_waist(self, command: LegWaistCommand) -> None:
        """As ``post`` for the set-points of the locomotion policy, whose way is measured."""

        def take(now_ns: int) -> None:
            if self._core.on_leg_waist_command(command, now_ns):
                self._lmo_stamp_ns = command.state_stamp_ns

        self.post(take)

    def ask(self, call: Callable[[int], Any], timeout_s: float = 0.5) -> Any:
        """Result of ``call(arrival_ns)``, made before the next tick. Raises TimeoutError when the loop is not
        running or does not answer."""
        question = _Question(call)
        if not self.running:
            raise TimeoutError("the driver is not active")
        self._inbox.append((question, self._alive.at(time.monotonic_ns())))
        if not question.answered.wait(timeout_s):
            raise TimeoutError(f"the control loop did not answer within {timeout_s:g} s")
        return question.answer

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
            ticks=self._timer.ticks,
            missed=self._timer.missed,
            stages={name: pair(stage) for name, stage in self._stages.items()},
            set_point_rate_hz=self.set_point_rate_hz,
            overflow=self.overflow,
        )

    def _run(self) -> None:
        self.realtime = enter_realtime(self._priority).message
        try:
            self._timer.start()
            while not self._stopping.is_set():
                self._turn()
        except Exception as error:
            # The last line of defence: whatever broke, the robot is damped and the node is told.
            self.failure = f"the control loop failed: {type(error).__name__}: {error}"
        finally:
            self._leave()

    def _turn(self) -> None:
        tick = self._timer.wait()
        core = self._core
        now_ns = self._alive.tick(time.monotonic_ns())
        core.clock_offset_ns = self._stamp_clock() - now_ns
        for _ in range(len(self._inbox)):
            call, arrival_ns = self._inbox.popleft()
            call(min(arrival_ns, now_ns))
        reading = self._backend.read()
        output = core.tick(reading, now_ns)
        self._write(output)
        in_time_ns = time.monotonic_ns()
        self._timer.done()
        if output.events or self._timer.ticks % STATUS_TICKS == 0:
            self.status = core.status()
        self._measure(tick.start_ns, tick.lateness_ns, in_time_ns, reading)
        try:
            self._publish(output)
        except Exception as error:
            # Telling the world is second to keeping the robot up: a publisher that fails must not end the
            # loop.
            self.trouble = f"publishing failed: {type(error).__name__}: {error}"

    def _write(self, output: DriverOutput) -> None:
        try:
            self._backend.write(output.plant_command)
        except BackendError as error:
            self.trouble = str(error)

    def _measure(self, start_ns: int, lateness_ns: int, written_ns: int, reading: Any) -> None:
        self._rate.count(start_ns)
        self._lateness.record(lateness_ns, start_ns)
        self._tick_time.record(written_ns - start_ns, written_ns)
        stamp_ns = written_ns + self._core.clock_offset_ns
        if reading is not None:
            self._stages["reading_to_command"].record(stamp_ns - reading.stamp_ns, written_ns)
            self._count_set_points(reading.set_points, written_ns)
        if self._lmo_stamp_ns is not None:
            self._stages["lmo_state_to_command"].record(stamp_ns - self._lmo_stamp_ns, written_ns)
            self._lmo_stamp_ns = None

    def _count_set_points(self, total: int, now_ns: int) -> None:
        """Rate at which the plant moved its set-points, over windows of a second."""
        if self._counted_set_points is None or total < self._counted_set_points[0]:
            self._counted_set_points = (total, now_ns)
        elapsed_ns = now_ns - self._counted_set_points[1]
        if elapsed_ns >= NS_PER_S:
            self.set_point_rate_hz = (total - self._counted_set_points[0]) * NS_PER_S / elapsed_ns
            self._counted_set_points = (total, now_ns)

    def _leave(self) -> None:
        """The last word to the plant: damping."""
        now_ns = time.monotonic_ns()
        self._core.park(now_ns)
        try:
            self._backend.write(self._core.safe_command(now_ns))
        except BackendError as error:
            self.trouble = str(error)
        self.status = self._core.status()


def _finite(value: float) -> float:
    """Percentiles without any sample are not a number, which a message must not carry."""
    return value if value == value else 0.0
