"""The locomotion node on a running graph: activation, rates, losses, refusals."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import LocoCommand, PlantState, Reason, RobotState
from wbvla_lmo_node.node import LmoNode

from wbvla_msgs import msg
from wbvla_ros import conversions, qos


class Driver:
    """Publishes robot_state at 200 Hz and loco_command at 50 Hz; hears set-points and status."""

    def __init__(self, spec):
        self.spec = spec
        self.node = rclpy.create_node("driver", namespace="/wbvla")
        self.states = self.node.create_publisher(msg.RobotState, "robot_state", qos.STATE)
        self.commands = self.node.create_publisher(msg.LocoCommand, "loco_command", qos.COMMAND)
        self.heard, self.statuses = [], []
        self.node.create_subscription(msg.LegWaistCommand, "leg_waist_command", self.heard.append, qos.STATE)
        self.node.create_subscription(msg.Status, "status", self.statuses.append, qos.STATUS)
        self.node.create_timer(0.005, self.state)
        self.node.create_timer(0.02, self.command)
        self.quiet = self.mute = False
        self.height_m = 0.64
        self.changes = {}
        self.sequence = 0

    def state(self):
        if self.quiet:
            return
        self.sequence += 1
        zeros = np.zeros(self.spec.n)
        state = RobotState(
            time.time_ns(),
            self.sequence,
            self.spec.default_rad.copy(),
            zeros,
            zeros,
            np.zeros(2),
            np.array([1.0, 0.0, 0.0, 0.0]),
            np.zeros(3),
            np.array([0.0, 0.0, 9.81]),
            PlantState.ACTIVE,
        )
        message = conversions.robot_state_to_msg(replace(state, **self.changes), self.spec)
        self.states.publish(message)

    def command(self):
        if not self.mute:
            command = LocoCommand(self.height_m, stamp_ns=time.time_ns())
            self.commands.publish(conversions.loco_command_to_msg(command))

    def reason(self):
        return Reason(self.statuses[-1].reason) if self.statuses else None


def wait_for(condition, what, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)


@pytest.fixture
def graph():
    """(make, driver): ``make(**parameters)`` gives a spinning node under test."""
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(domain_id=31 + os.getpid() % 60)
    driver = Driver(RobotSpec.load("x2_ultra"))
    spinning, nodes = [], []

    def spin(node):
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        thread = threading.Thread(target=executor.spin, daemon=True)
        thread.start()
        spinning.append((executor, thread))

    def make(**values):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = LmoNode(namespace="/wbvla", parameter_overrides=overrides)
        nodes.append(node)
        spin(node)
        return node

    spin(driver.node)
    yield make, driver
    for executor, thread in spinning:
        executor.shutdown(timeout_sec=5.0)
        thread.join(5.0)
    for node in nodes:
        node.leave()
        node.destroy_node()
    driver.node.destroy_node()
    rclpy.try_shutdown()


def test_starts_itself_and_commands_fifty_times_a_second(graph):
    make, driver = graph
    node = make(autostart=True)
    wait_for(lambda: node.is_active, "activation")
    wait_for(lambda: driver.heard, "set-points")
    before = len(driver.heard)
    time.sleep(2.5)
    assert (len(driver.heard) - before) / 2.5 == pytest.approx(50.0, rel=0.08)
    last = driver.heard[-1]
    assert tuple(last.name) == driver.spec.lmo_joints
    assert np.isfinite(last.position).all() and np.abs(last.effort).max() < 60.0
    assert last.stiffness[3] == 150.0
    assert driver.reason() == Reason.NONE
    assert driver.statuses[-1].rate_hz == pytest.approx(50.0, rel=0.05)
    assert "state_to_command" in [stage.stage for stage in driver.statuses[-1].stages]


def test_set_points_follow_the_height_of_the_command(graph):
    make, driver = graph
    make(autostart=True)
    wait_for(lambda: driver.heard, "set-points")
    knee = driver.spec.lmo_joints.index("left_knee_joint")
    straight = driver.heard[-1].position[knee]
    driver.height_m = 0.55
    wait_for(lambda: driver.heard[-1].position[knee] > straight + 0.3, "the knees to bend")


def test_falls_silent_without_state_and_comes_back(graph):
    make, driver = graph
    make(autostart=True)
    wait_for(lambda: driver.heard, "set-points")
    driver.quiet = True
    time.sleep(0.3)
    silent = len(driver.heard)
    time.sleep(0.3)
    assert len(driver.heard) == silent
    wait_for(lambda: driver.reason() == Reason.STATE_LOST, "STATE_LOST")
    driver.quiet = False
    wait_for(lambda: len(driver.heard) > silent + 10, "set-points again")


def test_lost_command_is_reported_and_stands(graph):
    make, driver = graph
    make(autostart=True)
    wait_for(lambda: driver.heard, "set-points")
    driver.mute = True
    wait_for(lambda: driver.reason() == Reason.DRIVER_LOST, "DRIVER_LOST")
    count = len(driver.heard)
    wait_for(lambda: len(driver.heard) > count + 20, "set-points")


def test_state_that_is_not_finite_is_counted_and_not_answered(graph):
    make, driver = graph
    make(autostart=True)
    wait_for(lambda: driver.heard, "set-points")
    driver.changes = {"velocity_rad_s": np.full(driver.spec.n, np.nan)}
    wait_for(lambda: driver.reason() == Reason.LMO_NOT_FINITE, "LMO_NOT_FINITE")
    silent = len(driver.heard)
    time.sleep(0.2)
    assert len(driver.heard) == silent
    driver.changes = {}
    wait_for(lambda: len(driver.heard) > silent, "set-points again")


def test_deactivation_is_silence_and_lasts(graph):
    make, driver = graph
    node = make(autostart=True)
    wait_for(lambda: driver.heard, "set-points")
    node.trigger_deactivate()
    time.sleep(0.1)
    silent = len(driver.heard)
    time.sleep(0.5)
    assert len(driver.heard) == silent and not node.is_active


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"bundle": "lmo/nowhere"}, "lmo/nowhere"),
        ({"max_state_age_ms": -1.0}, "max_state_age_ms"),
        ({"realtime_priority": 100}, "realtime_priority"),
        ({"robot": "x3"}, "x3"),
    ],
)
def test_bad_parameters_refuse_to_configure_with_one_sentence(graph, values, words):
    make, _ = graph
    node = make(**values)
    node.trigger_configure()
    assert words in node.refused and "\n" not in node.refused


def test_second_publisher_refuses_activation(graph):
    make, driver = graph
    node = make()
    node.trigger_configure()
    intruder = driver.node.create_publisher(msg.LegWaistCommand, "leg_waist_command", qos.STATE)
    wait_for(lambda: node.count_publishers("leg_waist_command") == 2, "discovery")
    node.trigger_activate()
    assert not node.is_active and "leg_waist_command" in node.refused
    driver.node.destroy_publisher(intruder)
    wait_for(lambda: node.count_publishers("leg_waist_command") == 1, "discovery")
    node.trigger_activate()
    assert node.is_active
