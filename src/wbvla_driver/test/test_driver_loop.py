"""The control thread: keeps its rate, survives what others do, and always ends with the safe command."""

import threading
import time

import numpy as np
import pytest
from wbvla_core.mailbox import Mailbox
from wbvla_core.types import Source, State
from wbvla_driver.backends import BackendError, make_backend
from wbvla_driver.backends.base import Capabilities
from wbvla_driver.config import DriverConfig
from wbvla_driver.core import DriverCore
from wbvla_driver.loop import ControlLoop

MS = 1_000_000


class FakeBackend:
    """A plant in the same process; ``broken`` makes reading fail as a bug would."""

    capabilities = Capabilities(("legs",), True)
    clock_offset_ns = 0

    def __init__(self, plant):
        self.plant = plant
        self.command = None
        self.commands = []
        self.broken = None
        self.refusal = None

    def read(self):
        if self.broken:
            raise RuntimeError(self.broken)
        return self.plant.step(self.command, time.time_ns())

    def write(self, command):
        if self.refusal:
            raise BackendError(self.refusal)
        self.command = command
        self.commands.append(command)


@pytest.fixture
def made(bench):
    backend = FakeBackend(bench.plant)
    outputs = []
    core = DriverCore(bench.spec, DriverConfig(), bench.kinematics, bench.stand)
    loop = ControlLoop(core, backend, 5 * MS, outputs.append)
    yield loop, core, backend, outputs
    loop.stop()


def wait_for(condition, timeout_s=5.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_runs_at_its_rate_and_reports_it(made):
    loop, _, backend, outputs = made
    loop.start()
    wait_for(lambda: loop.report().ticks > 300, 10.0)
    report = loop.report()
    assert 100 < report.rate_hz < 205  # a busy machine may skip deadlines, but none is ever served twice
    assert len(backend.commands) >= 300 and len(outputs) >= 300
    assert report.ticks + report.missed >= 300
    assert "real-time" in loop.realtime


def test_stopping_ends_with_damping_and_a_later_start_begins_damped(made):
    loop, core, backend, _ = made
    loop.start()
    wait_for(lambda: core.status().tilt_deg == 0.0 and len(backend.commands) > 5)
    assert loop.ask(lambda now: core.release(True, now))[0]
    wait_for(lambda: backend.command.active)
    assert loop.stop()
    assert not backend.command.active
    assert core.state == State.DAMPING and loop.status.state == State.DAMPING
    loop.start()
    time.sleep(0.1)
    assert not backend.command.active


def test_questions_are_answered_by_the_control_thread(made):
    loop, core, _, _ = made
    with pytest.raises(TimeoutError, match="not active"):
        loop.ask(lambda now: 1)
    loop.start()
    names = []
    session, _ = loop.ask(lambda now: (names.append(threading.current_thread().name), core.set_authority(
        Source.TELEOP, now))[1])  # fmt: skip
    assert session == 2 and names == ["driver-control"]


def test_calls_reach_the_core_with_their_time_of_arrival(made):
    loop, _, _, _ = made
    loop.start()
    times = []
    before = time.monotonic_ns()
    loop.post(times.append)
    wait_for(lambda: times)
    assert before <= times[0] <= time.monotonic_ns()


def test_a_flood_of_calls_is_cut_and_counted(made):
    loop, _, _, _ = made
    for _ in range(400):
        loop.post(lambda now: None)
    assert loop.report().overflow == 400 - 256


def test_a_publisher_that_fails_does_not_end_the_loop(made):
    loop, _, backend, _ = made
    loop._publish = lambda output: 1 / 0
    loop.start()
    wait_for(lambda: len(backend.commands) > 50)
    assert loop.running and "ZeroDivisionError" in loop.trouble


def test_a_plant_that_takes_no_commands_is_told(made):
    loop, _, backend, _ = made
    backend.refusal = "another driver commands"
    loop.start()
    wait_for(lambda: loop.trouble == "another driver commands")
    assert loop.running


def test_a_bug_in_the_loop_damps_and_is_told(made):
    loop, core, backend, _ = made
    loop.start()
    wait_for(lambda: len(backend.commands) > 5)
    loop.ask(lambda now: core.release(True, now))
    wait_for(lambda: backend.command.active)
    backend.broken = "a bug"
    wait_for(lambda: not loop.running)
    assert "a bug" in loop.failure
    assert not backend.command.active


@pytest.fixture
def mailbox_name():
    import os

    return f"driver-test-{os.getpid()}"


def test_the_mailbox_backend_meets_its_plant_and_the_next_one(bench, spec, mailbox_name):
    plant_side = Mailbox.create(mailbox_name, spec)
    plant_side.write_reading(bench.plant.step(None, 5))
    clock = [0]
    backend = make_backend("mailbox", spec, mailbox_name, 1.0)
    backend._clock = lambda: clock[0]
    assert len(list(backend.acquire())) == 2
    assert backend.read().sequence == 1
    core = DriverCore(spec, DriverConfig(), bench.kinematics, bench.stand)
    backend.write(core.tick(backend.read(), 5).plant_command)
    np.testing.assert_array_equal(plant_side.read_command().damping, spec.damping_kd)
    plant_side.unlink()
    plant_side.close()
    assert backend.read() is None
    backend.write(core.safe_command(10))
    successor = Mailbox.create(mailbox_name, spec)
    successor.write_reading(bench.plant.step(None, 15))
    clock[0] += 10**9
    assert backend.read().sequence == 2
    assert list(backend.release()) == [f"mailbox '{mailbox_name}' closed"]
    successor.unlink()
    successor.close()


def test_backends_refuse_with_one_clear_sentence(spec, mailbox_name):
    with pytest.raises(BackendError, match="does not exist yet"):
        make_backend("aimdk", spec, mailbox_name, 0.1)
    with pytest.raises(BackendError, match="known are mailbox, aimdk"):
        make_backend("carrier pigeon", spec, mailbox_name, 0.1)
    with pytest.raises(BackendError, match="start the plant first"):
        list(make_backend("mailbox", spec, mailbox_name, 0.0).acquire())


def test_a_silent_plant_is_refused_at_acquire(spec, mailbox_name):
    plant_side = Mailbox.create(mailbox_name, spec)
    with pytest.raises(BackendError, match="gives no readings"):
        list(make_backend("mailbox", spec, mailbox_name, 0.05).acquire())
    plant_side.unlink()
    plant_side.close()
