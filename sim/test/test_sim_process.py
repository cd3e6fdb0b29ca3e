"""The plant as a process: one per name, clean at SIGTERM, replaceable after SIGKILL, damping when its
driver dies.
"""

import json
import signal
import subprocess
import sys
import time
import uuid

import numpy as np
import pytest
from wbvla_core.mailbox import Mailbox
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.shared_slots import shared_path
from wbvla_core.types import PlantCommand, PlantState
from wbvla_sim.plant_process import main, parser, without_ros_args
from wbvla_sim.sim_mailbox import FaultRequest, GantryRequest, PushRequest, ResetRequest, SimMailbox

SPEC = RobotSpec.load("x2_ultra")


@pytest.fixture
def name():
    unique = f"test-{uuid.uuid4().hex[:12]}"
    yield unique
    for part in (unique, f"{unique}-sim"):
        shared_path(part).unlink(missing_ok=True)


@pytest.fixture
def start(name):
    running = []

    def launch(*options):
        command = [sys.executable, "-m", "wbvla_sim.plant_process", "--name", name, *options]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        running.append(process)
        return process

    yield launch
    for process in running:
        process.kill()
        process.communicate()


def command(sequence, active):
    return PlantCommand(
        time.time_ns(), sequence, active, SPEC.default_rad, np.zeros(SPEC.n), SPEC.kp, SPEC.kd, np.zeros(SPEC.n),
        np.zeros(2),
    )  # fmt: skip


def drive(box, seconds, active, first):
    """Commands at 200 Hz for a while; returns the next sequence."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        box.write_command(command(first, active))
        first += 1
        time.sleep(0.005)
    return first


def wait_for(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.005)


def test_readings_come_fresh_and_a_dead_driver_leads_to_damping(start, name, tmp_path):
    process = start("--summary", str(tmp_path / "plant.json"))
    box = Mailbox.open(name, SPEC, timeout_s=20.0)
    wait_for(lambda: box.read_reading() is not None)
    first = box.read_reading().sequence
    time.sleep(1.0)
    assert box.read_reading().sequence - first > 400
    sequence = drive(box, 0.2, False, 1)
    drive(box, 1.5, True, sequence)
    assert box.read_reading().plant_state is PlantState.ACTIVE
    wait_for(lambda: box.read_reading().plant_state is PlantState.DAMPING, 0.5)
    assert box.read_reading().watchdog_trips == 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 0
    assert box.read_reading().plant_state is PlantState.OFFLINE and box.orphaned
    assert not shared_path(name).exists() and not shared_path(f"{name}-sim").exists()
    summary = json.loads((tmp_path / "plant.json").read_text())
    assert summary["watchdog_trips"] == 1 and summary["rtf"] > 0.9 and summary["set_points_hz"] > 400
    assert not summary["fell"]
    box.close()


def test_a_second_plant_of_the_name_refuses_and_a_killed_one_is_replaced(start, name, capsys):
    first = start()
    box = Mailbox.open(name, SPEC, timeout_s=20.0)
    assert main(["--name", name]) == 2
    assert "owned by another living process" in capsys.readouterr().err
    first.kill()
    first.wait()
    instance = box.instance
    start()
    wait_for(lambda: box.instance == instance + 1)
    wait_for(lambda: box.read_reading() is not None)
    assert not box.orphaned
    box.close()


def test_requests_are_answered_and_refused_ones_say_why(start, name):
    start("--task", "empty", "--seed", "3")
    sim = SimMailbox.open(name, SPEC, timeout_s=20.0)
    wait_for(lambda: sim.read() is not None and sim.read().hoisted)
    height = sim.read().gantry_height_m
    assert sim.ask(GantryRequest(True, height - 0.2, 1.0)).success
    wait_for(lambda: abs(sim.read().gantry_height_m - height + 0.2) < 0.01)
    assert sim.ask(PushRequest("torso_link", (10.0, 0.0, 0.0), 0.1)).success
    assert "no body" in sim.ask(PushRequest("tail", (10.0, 0.0, 0.0), 0.1)).message
    assert sim.ask(FaultRequest("imu", "pelvis")).success
    assert not sim.ask(FaultRequest("imu", "nose")).success
    assert not sim.ask(ResetRequest("nowhere", 1)).success
    assert sim.ask(ResetRequest("table", 4), timeout_s=10.0).success
    wait_for(lambda: sim.read().task == "table" and sim.read().resets == 1)
    assert sim.read().seed == 4 and sim.read().qpos.size > 7 + SPEC.n
    sim.close()


def test_ros_arguments_are_understood_or_dropped():
    line = ["--seed", "2", "--ros-args", "-r", "__ns:=/robot", "-r", "__node:=plant", "-p", "task:=table",
            "-p", "use_sim_time:=false", "-p", "ideal_sensors:=true"]  # fmt: skip
    options = parser().parse_args(without_ros_args(line))
    assert (options.name, options.task, options.seed, options.ideal_sensors) == ("/robot", "table", 2, True)


@pytest.mark.parametrize(
    ("options", "text"),
    [(("--robot", "no_such_robot"), "no_such_robot"), (("--task", "moon"), "no scene 'moon'")],
)
def test_what_cannot_start_says_why_and_exits_with_2(name, capsys, options, text):
    assert main(["--name", name, *options]) == 2
    assert text in capsys.readouterr().err
