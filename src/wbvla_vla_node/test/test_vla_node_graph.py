"""The VLA node on a running graph: rates, instructions, the action, faults, and what it must never read."""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import rclpy
import yaml
from rclpy.action import ActionClient
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import String
from wbvla_core.types import PlantState, Reason, RobotState
from wbvla_vla_node.node import PARAMETERS, VlaNode

from wbvla_msgs import msg
from wbvla_msgs.action import ExecuteInstruction
from wbvla_ros import conversions, qos

sys.path.insert(0, str(Path(__file__).parent))
from vla_samples import SPEC, jpeg

PICTURE = jpeg()
NUMBER = itertools.count()
PARAMETER_FILE = Path(__file__).resolve().parents[2] / "wbvla_bringup" / "params" / "x2.yaml"


class Robot:
    """Camera, driver's state and authority of a robot that stands still, and an ear for the VLA."""

    def __init__(self, namespace):
        self.node = rclpy.create_node("robot", namespace=namespace)
        self.camera_on = True
        self.loco, self.arm, self.statuses, self.ticks = [], [], [], 0
        make = self.node.create_publisher
        self._state = make(msg.RobotState, "robot_state", qos.STATE)
        self._image = make(CompressedImage, "head_camera/image_raw/compressed", qos.CAMERA)
        self._authority = make(msg.Authority, "authority", qos.LATCHED)
        self.instruction = make(String, "instruction", qos.LATCHED)
        listen = self.node.create_subscription
        listen(msg.LocoCommand, "vla/loco_command", self.loco.append, qos.COMMAND)
        listen(msg.ArmTarget, "vla/arm_target", self.arm.append, qos.COMMAND)
        listen(msg.Status, "status", self.statuses.append, qos.STATUS)
        self.node.create_timer(0.01, self._tick)

    def authority(self, source: int, session: int) -> None:
        self._authority.publish(msg.Authority(source=source, session=session))

    def _tick(self):
        self.ticks += 1
        now_ns = self.node.get_clock().now().nanoseconds
        zeros = np.zeros(SPEC.n)
        state = RobotState(
            now_ns,
            self.ticks,
            SPEC.default_rad,
            zeros,
            zeros,
            np.zeros(2),
            np.array([1.0, 0, 0, 0]),
            np.zeros(3),
            np.zeros(3),
            PlantState.ACTIVE,
        )
        self._state.publish(conversions.robot_state_to_msg(state, SPEC))
        if self.camera_on and self.ticks % 6 == 0:
            image = CompressedImage(format="jpeg", data=PICTURE)
            image.header.stamp = conversions.to_time(now_ns)
            self._image.publish(image)


@pytest.fixture
def make():
    """Makes a robot and a VLA node with given parameters, spinning in a thread until the test ends."""
    if "CYCLONEDDS_URI" not in os.environ:
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(domain_id=60 + os.getpid() % 40)
    executor, nodes, threads = SingleThreadedExecutor(), [], []

    def build(**values):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        # A new name for each test: the graph remembers the nodes of this process's earlier ones for a while.
        namespace = f"/wbvla_{next(NUMBER)}"
        vla = VlaNode(namespace=namespace, parameter_overrides=overrides)
        robot = Robot(namespace)
        nodes.extend((vla, robot.node))
        for node in nodes:
            executor.add_node(node)
        threads.append(threading.Thread(target=executor.spin, daemon=True))
        threads[0].start()
        return robot, vla

    yield build
    for node in nodes:
        executor.remove_node(node)
    for node in nodes:
        if isinstance(node, VlaNode):
            node.leave()
    executor.shutdown(timeout_sec=5.0)
    for thread in threads:
        thread.join(5.0)
    for node in nodes:
        node.destroy_node()
    rclpy.try_shutdown()


def wait_for(condition, what: str, timeout_s: float = 15.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


def activate(vla) -> None:
    vla.trigger_configure()
    vla.trigger_activate()
    assert vla.is_active, vla.refused


def status_with(robot, reason):
    return next((s for s in robot.statuses if s.node == "vla_node" and s.reason == int(reason)), None)


def test_commands_come_at_10_hz_with_authority_only_and_a_stand_command_ends_them(make):
    robot, vla = make()
    activate(vla)
    time.sleep(0.5)
    assert robot.loco == []
    robot.authority(1, 7)
    wait_for(lambda: len(robot.loco) >= 25, "25 commands")
    stamps = [conversions.to_ns(m.header.stamp) for m in robot.loco]
    assert np.median(np.diff(stamps)) == pytest.approx(1e8, rel=0.1)
    assert [m.sequence for m in robot.loco] == list(range(1, len(robot.loco) + 1))
    first, arm = robot.loco[0], robot.arm[0]
    assert (first.source, first.session) == (1, 7)
    assert first.observation_stamp == arm.observation_stamp
    assert len(arm.trajectory.points) == 8 and len(arm.trajectory.joint_names) == 16
    wait_for(lambda: robot.statuses and robot.statuses[-1].stages, "a status with stages")
    stages = {stage.stage for stage in robot.statuses[-1].stages}
    assert {"capture", "decode", "prepare", "policy", "publish", "total"} <= stages
    vla.trigger_deactivate()
    before = len(robot.loco)
    time.sleep(0.5)
    assert len(robot.loco) - before <= 1
    assert (robot.loco[-1].s_x, robot.loco[-1].s_y, robot.loco[-1].s_yaw) == (0, 0, 0)


def test_instruction_topic_changes_what_is_done_and_bad_ones_change_nothing(make):
    robot, vla = make(backend="scripted")
    robot.authority(1, 1)
    activate(vla)
    wait_for(lambda: robot.loco, "the first command")
    assert robot.loco[-1].height == pytest.approx(SPEC.nominal_height_m)
    robot.instruction.publish(String(data="squat and rise"))
    wait_for(lambda: robot.loco[-1].height == pytest.approx(0.52), "the squat")
    robot.instruction.publish(String(data="x" * 600))
    time.sleep(0.5)
    assert robot.loco[-1].height == pytest.approx(0.52)


def test_action_reports_and_succeeds_is_cancelled_and_times_out(make):
    robot, vla = make(backend="scripted")
    robot.authority(1, 1)
    client = ActionClient(robot.node, ExecuteInstruction, "execute_instruction")
    activate(vla)
    assert client.wait_for_server(timeout_sec=5.0)
    feedback = []

    def send(sentence, timeout_s=0.0):
        goal = ExecuteInstruction.Goal(instruction=sentence, timeout_s=timeout_s)
        sent = client.send_goal_async(goal, feedback_callback=lambda m: feedback.append(m.feedback))
        wait_for(sent.done, "the goal to be answered")
        return sent.result()

    def result_of(handle):
        future = handle.get_result_async()
        wait_for(future.done, "the result")
        return future.result().result

    done = result_of(send("stand still"))
    assert done.success and done.elapsed_s >= 1.0
    assert feedback and feedback[-1].chunks > 0
    late = result_of(send("walk forward", timeout_s=0.6))
    assert not late.success and "not done within" in late.message
    handle = send("look around")
    cancelled = handle.cancel_goal_async()
    wait_for(cancelled.done, "the cancellation")
    assert "cancelled" in result_of(handle).message
    before = len(robot.loco)
    time.sleep(0.5)
    assert len(robot.loco) - before <= 1, "a cancelled instruction commands nothing any more"
    assert not send("").accepted
    first = send("look around")
    send("wave")
    assert "another instruction" in result_of(first).message


def test_lost_camera_stops_the_commands_says_so_and_they_resume(make):
    robot, vla = make()
    robot.authority(1, 1)
    activate(vla)
    wait_for(lambda: len(robot.loco) > 3, "commands")
    robot.camera_on = False
    time.sleep(0.5)
    robot.statuses.clear()
    wait_for(lambda: status_with(robot, Reason.CAMERA_LOST), "CAMERA_LOST")
    stopped = len(robot.loco)
    time.sleep(0.4)
    assert len(robot.loco) == stopped
    robot.camera_on = True
    wait_for(lambda: len(robot.loco) > stopped + 3, "commands again")
    robot.statuses.clear()
    wait_for(lambda: status_with(robot, Reason.NONE), "a clean status")


def test_nothing_of_the_simulator_is_read(make):
    _, vla = make()
    activate(vla)
    space = vla.get_namespace()
    expected = {f"{space}/robot_state", f"{space}/head_camera/image_raw/compressed"}

    def topics():
        return {name for name, _ in vla.get_subscriber_names_and_types_by_node("vla_node", space)}

    wait_for(lambda: expected <= topics(), "the node in its own graph")
    assert not any("/sim/" in topic for topic in topics())


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({"bundle": "vla/nothing"}, "not found"),
        ({"backend": "magic"}, "expected bundle, torch or scripted"),
        ({"backend": "scripted", "script": "nowhere"}, "nowhere"),
        ({"rate_hz": 500.0}, "rate_hz"),
        ({"contract": "nothing"}, "nothing.yaml"),
    ],
)
def test_configuration_that_cannot_work_is_refused_with_its_reason(make, values, word):
    _, vla = make(**values)
    vla.trigger_configure()
    assert not vla.is_active and word in vla.refused


def test_second_vla_refuses_to_become_active(make):
    robot, vla = make()
    other = robot.node.create_publisher(msg.LocoCommand, "vla/loco_command", qos.COMMAND)
    vla.trigger_configure()
    wait_for(lambda: vla.count_publishers("vla/loco_command") > 1, "discovery")
    vla.trigger_activate()
    assert not vla.is_active and "other publisher" in vla.refused
    robot.node.destroy_publisher(other)


def test_parameter_file_lists_every_parameter_with_its_default():
    listed = yaml.safe_load(PARAMETER_FILE.read_text())["/**/vla_node"]["ros__parameters"]
    declared = {name: default for name, (default, _) in PARAMETERS.items()}
    assert {name: value for name, value in listed.items() if name != "autostart"} == declared
