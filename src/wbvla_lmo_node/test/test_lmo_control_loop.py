"""The control thread: rate, the end of the thread, what it does when a tick fails."""

from __future__ import annotations

import gc
import time
from types import SimpleNamespace

import pytest
from wbvla_lmo_node.control_loop import ControlLoop


class Core:
    """Makes a set-point each tick, or fails."""

    def __init__(self):
        self.ticks, self.error, self.silent = 0, None, False

    def tick(self, now_ns):
        self.ticks += 1
        if self.error is not None:
            raise self.error
        return None if self.silent else SimpleNamespace(state_stamp_ns=now_ns - 4_000_000)


def wait_for(condition, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.fixture
def run():
    """Starts a loop over a core; stops it at the end."""
    loops = []

    def start(core, publish=lambda command: None, **options):
        loop = ControlLoop(core, publish, **options)
        loops.append(loop)
        loop.start()
        return loop

    yield start
    for loop in loops:
        loop.stop()
    assert gc.isenabled(), "the collector is back when the loop has ended"


def test_keeps_fifty_hertz_and_measures_itself(run):
    said = []
    loop = run(Core(), said.append)
    time.sleep(2.2)
    report = loop.report()
    assert report.rate_hz == pytest.approx(50.0, abs=2.0)
    assert 60 <= report.ticks <= 115 and len(said) == pytest.approx(report.ticks, abs=1)
    assert report.state_to_command_ms[0] >= 4.0
    assert report.lateness_max_ms >= report.lateness_ms[1] >= report.lateness_ms[0] >= 0.0
    assert loop.stop() and not loop.running
    ticks = report.ticks
    time.sleep(0.1)
    assert loop.report().ticks <= ticks + 3


def test_tick_that_fails_ends_the_loop_and_leaves_word(run):
    core = Core()
    loop = run(core)
    wait_for(lambda: core.ticks > 2)
    core.error = RuntimeError("boom")
    wait_for(lambda: not loop.running)
    assert loop.failure == "the control loop failed: RuntimeError: boom"


def test_silent_ticks_publish_nothing_and_have_no_rate(run):
    core, said = Core(), []
    core.silent = True
    loop = run(core, said.append)
    wait_for(lambda: core.ticks > 5)
    assert said == [] and loop.report().rate_hz == 0.0


def test_priority_without_permission_is_a_message_not_an_error(run):
    core = Core()
    loop = run(core, priority=1)
    wait_for(lambda: core.ticks > 2)
    assert "SCHED_FIFO" in loop.realtime


def test_loop_can_start_again(run):
    core = Core()
    loop = run(core)
    wait_for(lambda: core.ticks > 2)
    loop.stop()
    seen = core.ticks
    loop.start()
    wait_for(lambda: core.ticks > seen + 2)
