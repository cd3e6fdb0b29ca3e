"""The real-time loop catches up after a late wake-up, lets a long stop pass, and excuses a machine that
stood still.
"""

import pytest
from wbvla_sim.realtime_loop import Pacer, RateWindows

MS = 1_000_000


class Clock:
    def __init__(self):
        self.now = 5 * MS

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += round(seconds * 1e9)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def pacer(clock):
    return Pacer(0.001, 2, clock, clock.sleep)


def test_each_wake_up_takes_two_steps_on_the_grid(pacer, clock):
    turns = [pacer.wait().steps for _ in range(50)]
    assert turns == [2] * 50
    assert clock.now == (5 + 100) * MS


def test_late_wake_up_is_caught_up_and_the_grid_stays(pacer, clock):
    pacer.wait()
    clock.now += 9 * MS + 300_000
    assert pacer.wait().steps == 9
    assert pacer.wait().steps in (1, 2)
    pacer.wait()
    assert (clock.now - 5 * MS) % (2 * MS) == 0
    assert pacer.lateness.max_ns == pytest.approx(7.3 * MS, rel=0.01)


def test_time_beyond_the_longest_catch_up_is_dropped_and_told(pacer, clock):
    pacer.wait()
    clock.now += 500 * MS
    assert pacer.wait().steps == 100
    assert pacer.dropped_s == pytest.approx(0.4, abs=0.003)
    assert pacer.wait().steps in (1, 2)


def test_the_watchdogs_clock_does_not_count_a_stop_of_the_machine(pacer, clock):
    before = pacer.wait().watch_ns
    clock.now += 50 * MS
    assert pacer.wait().watch_ns - before == 8 * MS


def test_rate_windows_report_median_and_minimum():
    windows = RateWindows()
    counter = 0.0
    for millisecond in range(0, 5001, 10):
        windows.update(millisecond * MS, counter)
        counter += 10.0 if millisecond < 4000 else 5.0
    assert windows.median == pytest.approx(1000.0)
    assert windows.minimum == pytest.approx(500.0, rel=0.02)
