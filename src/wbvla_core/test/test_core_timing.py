"""Deadlines do not drift, overruns are counted and never bunched, percentiles and rates are right."""

import math
import subprocess
import sys

import numpy as np
import pytest
from wbvla_core.timing import NS_PER_MS, NS_PER_S, DeadlineTimer, LatencyHistogram, RateMeter, RollingLatency

from wbvla_core import realtime


class FakeTime:
    """A clock that moves only when somebody sleeps or works; every sleep oversleeps by ``oversleep_ns``."""

    def __init__(self, oversleep_ns=0):
        self.now_ns = 1_000
        self.oversleep_ns = oversleep_ns
        self.sleeps = 0

    def clock(self):
        return self.now_ns

    def sleep(self, seconds):
        self.sleeps += 1
        self.now_ns += round(seconds * NS_PER_S) + self.oversleep_ns

    def work(self, ns):
        self.now_ns += ns


def make(fake, period_ms=20):
    timer = DeadlineTimer(period_ms * NS_PER_MS, fake.clock, fake.sleep)
    timer.start()
    return timer


def test_oversleeping_does_not_shift_the_grid():
    fake = FakeTime(oversleep_ns=700_000)
    timer = make(fake)
    ticks = []
    for _ in range(50):
        ticks.append(timer.wait())
        fake.work(2 * NS_PER_MS)
        assert timer.done()
    assert [t.deadline_ns for t in ticks] == [1_000 + k * 20 * NS_PER_MS for k in range(50)]
    assert {t.lateness_ns for t in ticks[1:]} == {700_000}
    assert timer.missed == 0


def test_overrun_skips_passed_deadlines_and_counts_them():
    fake = FakeTime()
    timer = make(fake)
    timer.wait()
    fake.work(75 * NS_PER_MS)
    assert not timer.done()
    tick = timer.wait()
    assert (tick.index, tick.skipped) == (3, 2)
    assert tick.lateness_ns == 15 * NS_PER_MS
    fake.work(NS_PER_MS)
    assert timer.done()
    following = timer.wait()
    assert following.deadline_ns == tick.deadline_ns + 20 * NS_PER_MS
    assert following.lateness_ns == 0
    assert (timer.late, timer.skipped, timer.missed) == (1, 2, 3)
    assert timer.missed_fraction == pytest.approx(3 / 5)


def test_a_loop_that_lags_never_runs_a_burst():
    fake = FakeTime()
    timer = make(fake)
    timer.wait()
    fake.work(NS_PER_S)
    timer.done()
    starts = []
    for _ in range(4):
        starts.append(timer.wait().start_ns)
        timer.done()
    assert np.diff(starts).min() >= 0
    assert starts[-1] - starts[0] >= 3 * 20 * NS_PER_MS


def test_short_sleeps_are_repeated_until_the_deadline():
    fake = FakeTime()
    timer = DeadlineTimer(10 * NS_PER_MS, fake.clock, lambda s: fake.work(NS_PER_MS))
    timer.start()
    timer.wait()
    assert timer.wait().lateness_ns == 0


def test_a_period_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="period_ns"):
        DeadlineTimer(0)


def test_done_needs_a_tick():
    with pytest.raises(RuntimeError, match="wait"):
        DeadlineTimer(1).done()


def test_percentiles_are_within_two_percent_of_the_sorted_values():
    values = np.random.default_rng(1).lognormal(13.0, 1.5, 20_000).astype(int) + 1_000
    histogram = LatencyHistogram()
    for value in values:
        histogram.record(value)
    for percent in (50, 90, 99, 99.9):
        exact = np.percentile(values, percent, method="inverted_cdf")
        assert histogram.percentile_ns(percent) == pytest.approx(exact, rel=0.021)
    assert histogram.max_ns == values.max()
    assert histogram.percentile_ns(100) == values.max()


def test_histogram_takes_the_extremes():
    histogram = LatencyHistogram()
    assert math.isnan(histogram.percentile_ms(50))
    histogram.record(-5)
    assert histogram.percentile_ns(50) == 0
    histogram.record(10**15)
    assert histogram.percentile_ns(100) == pytest.approx(
        histogram.FIRST_NS * histogram.GROWTH ** (histogram.BINS - 1)
    )
    histogram.clear()
    assert histogram.count == 0 and math.isnan(histogram.percentile_ns(99))


def test_rolling_latency_forgets_what_is_older_than_its_window():
    rolling = RollingLatency(window_s=10.0)
    rolling.record(50 * NS_PER_MS, 0)
    for second in range(1, 30):
        rolling.record(NS_PER_MS, second * NS_PER_S)
    assert rolling.percentile_ms(100, 29 * NS_PER_S) == pytest.approx(1.0, rel=0.03)
    assert rolling.max_ns == 50 * NS_PER_MS
    assert math.isnan(rolling.percentile_ms(50, 100 * NS_PER_S))


def test_rate_is_the_median_over_windows():
    meter = RateMeter()
    now = 0
    for _ in range(500):
        meter.count(now)
        now += 20 * NS_PER_MS
    assert meter.rate_hz(now) == pytest.approx(50.0)
    now += 300 * NS_PER_MS  # one gap spoils one window, not the median
    for _ in range(200):
        meter.count(now)
        now += 20 * NS_PER_MS
    assert meter.rate_hz(now) == pytest.approx(50.0)
    assert meter.total == 700


def test_a_rate_falls_when_its_source_dies_and_not_when_it_pauses():
    dead, paused = RateMeter(), RateMeter()
    for k in range(26):
        dead.count(k * 100 * NS_PER_MS)
        paused.count(k * 100 * NS_PER_MS)
    paused.pause()
    assert paused.rate_hz(60 * NS_PER_S) == pytest.approx(10.0)
    assert dead.rate_hz(60 * NS_PER_S) <= 10.0
    assert math.isnan(RateMeter().rate_hz(5))


def test_realtime_says_what_is_missing_instead_of_failing(monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(realtime.os, "sched_setscheduler", refuse)
    monkeypatch.setattr(realtime, "_try_lock_memory", lambda libc: (False, "memory not locked"))
    granted = realtime.enter_realtime(70)
    assert not granted.fifo and not granted.memory_locked
    assert "CAP_SYS_NICE" in granted.message and "memory not locked" in granted.message


def test_memory_is_not_locked_under_a_finite_limit(monkeypatch):
    monkeypatch.setattr(realtime.resource, "getrlimit", lambda _: (8 << 20, 8 << 20))
    monkeypatch.setattr(realtime.os, "geteuid", lambda: 1000)
    locked, text = realtime._try_lock_memory(libc=None)
    assert not locked and "8388608" in text


def test_realtime_priority_zero_changes_nothing_and_nonsense_is_refused():
    assert not realtime.enter_realtime(0).fifo
    with pytest.raises(ValueError, match="priority"):
        realtime.enter_realtime(100)


def test_all_threads_of_a_process_are_raised_where_permitted():
    code = (
        "import os, threading, time\n"
        "from wbvla_core.realtime import enter_realtime, raise_threads\n"
        "threading.Thread(target=time.sleep, args=(1.0,), daemon=True).start()\n"
        "permitted = enter_realtime(7).fifo\n"
        "raised = raise_threads(7)\n"
        "tasks = [int(task) for task in os.listdir('/proc/self/task')]\n"
        "assert raised == (len(tasks) if permitted else 0), (raised, tasks)\n"
        "assert all((os.sched_getscheduler(task) == os.SCHED_FIFO) == permitted for task in tasks)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60.0)
    assert done.returncode == 0, done.stderr
