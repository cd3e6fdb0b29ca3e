"""The mailbox keeps messages whole between processes, and refuses what does not fit."""

import os
import signal
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from wbvla_core.mailbox import Mailbox, MailboxError
from wbvla_core.shared_slots import shared_path
from wbvla_core.types import ImuSample, PlantCommand, PlantReading, PlantState

N = 31


def make_spec(tag="0123456789abcdef", n=N):
    imus = (SimpleNamespace(name="pelvis"), SimpleNamespace(name="torso"))
    return SimpleNamespace(n=n, hash=tag, hands=("left", "right"), imus=imus)


def make_command(sequence):
    same = np.full(N, float(sequence))
    return PlantCommand(10**9 + sequence, sequence, True, same, same, same, same, same, same[:2], 0.005)


def make_reading(sequence):
    same = np.full(N, float(sequence))
    imu = ImuSample(sequence, same[:4], same[:3], same[:3])
    return PlantReading(
        sequence, sequence, same, same, same, same[:2], {"pelvis": imu, "torso": imu}, PlantState.ACTIVE,
        np.full(N, sequence), same, 1, 2, 3,
    )  # fmt: skip


@pytest.fixture
def name():
    unique = f"test-{uuid.uuid4().hex[:12]}"
    yield unique
    shared_path(unique).unlink(missing_ok=True)


@pytest.fixture
def pair(name):
    plant = Mailbox.create(name, make_spec())
    driver = Mailbox.open(name, make_spec())
    yield plant, driver
    driver.close()
    plant.unlink()
    plant.close()


WRITER = """
import sys
import numpy as np
sys.path.insert(0, {here!r})
from test_core_mailbox import make_command, make_spec
from wbvla_core.mailbox import Mailbox
box = Mailbox.open({name!r}, make_spec(), timeout_s=5.0)
sequence = 0
while True:
    sequence += 1
    box.write_command(make_command(sequence))
    if sequence == 1:
        print("writing", flush=True)
"""


def start_writer(name):
    code = WRITER.format(here=os.path.dirname(__file__), name=name)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline().strip() == "writing"
    return process


def stop(process, how=signal.SIGKILL):
    process.send_signal(how)
    process.wait(timeout=10)
    process.stdout.close()


def test_command_and_reading_arrive_as_written(pair):
    plant, driver = pair
    assert plant.read_command() is None and driver.read_reading() is None
    driver.write_command(make_command(7))
    plant.write_reading(make_reading(8))
    command, reading = plant.read_command(), driver.read_reading()
    assert (command.sequence, command.active, command.interpolation_s) == (7, True, 0.005)
    np.testing.assert_array_equal(command.damping, np.full(N, 7.0))
    assert reading.plant_state is PlantState.ACTIVE
    assert (reading.watchdog_trips, reading.set_points, reading.last_command_sequence) == (1, 2, 3)
    np.testing.assert_array_equal(reading.fault, np.full(N, 8))
    np.testing.assert_array_equal(reading.imus["torso"].quaternion_wxyz, np.full(4, 8.0))
    assert driver.read_reading() is reading


def test_missing_imu_stays_missing(pair):
    plant, driver = pair
    reading = make_reading(1)
    plant.write_reading(replace(reading, imus={"torso": reading.imus["torso"]}))
    assert set(driver.read_reading().imus) == {"torso"}


def test_wrong_length_is_refused_by_field_name(pair):
    _plant, driver = pair
    with pytest.raises(ValueError, match="stiffness"):
        driver.write_command(replace(make_command(1), stiffness=np.zeros(N - 1)))


def test_messages_from_another_process_are_never_torn(pair, name):
    plant, _driver = pair
    writer = start_writer(name)
    try:
        seen, last, end = 0, 0, time.monotonic() + 1.5
        while time.monotonic() < end:
            command = plant.read_command()
            arrays = np.concatenate(
                (
                    command.position_rad,
                    command.damping,
                    command.effort_feedforward_nm,
                    command.gripper_opening,
                )
            )
            assert np.all(arrays == command.sequence), "mixed from two messages"
            assert command.sequence >= last
            seen += command.sequence != last
            last = command.sequence
    finally:
        stop(writer)
    assert seen > 20


def test_killed_writer_leaves_a_whole_message(pair, name):
    plant, _driver = pair
    for _ in range(3):
        writer = start_writer(name)
        time.sleep(0.05)
        stop(writer)
        command = plant.read_command()
        assert np.all(command.velocity_rad_s == command.sequence)
        fresh = Mailbox.open(name, make_spec())
        assert fresh.read_command().sequence == command.sequence
        fresh.close()


def test_second_commanding_process_is_refused(pair, name):
    _plant, driver = pair
    writer = start_writer(name)
    try:
        with pytest.raises(MailboxError, match="already commands"):
            driver.write_command(make_command(1))
    finally:
        stop(writer)
    driver.write_command(make_command(1))


def test_second_plant_of_the_same_name_is_refused(pair, name):
    with pytest.raises(MailboxError, match="owned by another"):
        Mailbox.create(name, make_spec())


def test_abandoned_mailbox_is_taken_over_and_emptied(name):
    code = (
        f"import os, sys; sys.path.insert(0, {os.path.dirname(__file__)!r})\n"
        "from test_core_mailbox import make_command, make_reading, make_spec\n"
        "from wbvla_core.mailbox import Mailbox\n"
        f"box = Mailbox.create({name!r}, make_spec())\n"
        "box.write_command(make_command(5)); box.write_reading(make_reading(5)); os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=30).returncode == 9
    driver = Mailbox.open(name, make_spec())
    assert driver.read_reading().sequence == 5
    before = driver.instance
    plant = Mailbox.create(name, make_spec())
    assert driver.instance == before + 1 and not driver.orphaned
    assert plant.read_command() is None and driver.read_reading() is None
    driver.write_command(make_command(1))
    assert plant.read_command().sequence == 1
    plant.unlink()
    assert driver.orphaned
    plant.close()
    driver.close()


def test_other_layout_takes_the_name_and_orphans_old_readers(name):
    first = Mailbox.create(name, make_spec())
    reader = Mailbox.open(name, make_spec())
    first.close()
    second = Mailbox.create(name, make_spec("fedcba9876543210"))
    assert reader.orphaned
    reader.close()
    second.unlink()
    second.close()


def test_missing_mailbox_is_named(name):
    with pytest.raises(MailboxError, match="start the plant first"):
        Mailbox.open(name, make_spec(), timeout_s=0.05)


@pytest.mark.parametrize(
    ("other", "text"), [(make_spec("fedcba9876543210"), "robot spec"), (make_spec(n=29), "slot sizes")]
)
def test_other_robot_is_refused(pair, name, other, text):
    with pytest.raises(MailboxError, match=text):
        Mailbox.open(name, other)


def test_other_version_and_foreign_files_are_refused(pair, name):
    path = shared_path(name)
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(8)
        file.write(b"\x63")
    with pytest.raises(MailboxError, match="version 99"):
        Mailbox.open(name, make_spec())
    with path.open("r+b") as file:
        file.write(b"NOTATALL")
    with pytest.raises(MailboxError, match="not a mailbox"):
        Mailbox.open(name, make_spec())
    with path.open("r+b") as file:
        file.write(data[:16])


def test_names_that_are_not_file_names_are_refused():
    assert shared_path("/robots/one").name == "wbvla-robots-one.mailbox"
    with pytest.raises(MailboxError, match="mailbox name"):
        shared_path("../evil name")
