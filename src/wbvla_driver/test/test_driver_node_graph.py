"""The driver node on a running graph: lifecycle, services, topics, second publishers, faults over DDS."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import Imu, JointState
from wbvla_core.mailbox import Mailbox
from wbvla_core.types import ArmTarget, LocoCommand, Reason, Source, State
from wbvla_driver.node import DriverNode

from wbvla_msgs import msg, srv
from wbvla_ros import conversions, qos

MS = 1_000_000
# Plant, driver and all others share one busy process here; the limits themselves are tested in lock-step.
PATIENCE = {
    "realtime_priority": 0,
    "safety.state_timeout_ms": 300.0,
    "safety.imu_timeout_ms": 300.0,
    "safety.lmo_timeout_ms": 300.0,
    "safety.lmo_hold_ms": 500.0,
    "safety.source_timeout_ms": 500.0,
    "safety.hang_ms": 1000.0,
    "max_state_age_ms": 300.0,
}


class PlantThread:
    """Writes readings of the fake plant into a mailbox at 250 Hz."""

    def __init__(self, name, plant):
        self.plant = plant
        self.mailbox = Mailbox.create(name, plant.spec)
        self.stopping = threading.Event()
        self.paused = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(0.004):
            if not self.paused:
                command = self.mailbox.read_command()
                reading = self.plant.step(command, time.time_ns())
                if reading is not None:
                    self.mailbox.write_reading(reading)

    def close(self):
        self.stopping.set()
        self.thread.join()
        self.mailbox.unlink()
        self.mailbox.close()


class Others:
    """Locomotion node, VLA and an operator, in one node."""

    def __init__(self, bench):
        self.bench, self.spec = bench, bench.spec
        self.node = rclpy.create_node("others", namespace="/wbvla")
        self.heard = {}
        self.counts = {}
        self.lmo_on = self.vla_on = False
        self.nan = False
        self.sequence = 0
        make, listen = self.node.create_publisher, self.node.create_subscription
        self.lmo = make(msg.LegWaistCommand, "leg_waist_command", qos.STATE)
        self.arm = make(msg.ArmTarget, "vla/arm_target", qos.COMMAND)
        self.loco = make(msg.LocoCommand, "vla/loco_command", qos.COMMAND)
        self.statuses = []
        for kind, topic, profile in (
            (msg.RobotState, "robot_state", qos.STATE),
            (JointState, "joint_states", qos.TOOLS),
            (Imu, "imu/data", qos.TOOLS),
            (msg.LocoCommand, "loco_command", qos.COMMAND),
            (msg.ArmTarget, "arm_target", qos.TOOLS),
            (msg.Authority, "authority", qos.LATCHED),
            (msg.EStop, "estop", qos.LATCHED),
        ):
            listen(kind, topic, lambda m, t=topic: self.hear(t, m), profile)
        listen(msg.Status, "status", self.on_status, qos.STATUS)
        self.node.create_timer(0.02, self.tick)
        self.clients = {
            "set_authority": self.node.create_client(srv.SetAuthority, "set_authority"),
            "estop": self.node.create_client(srv.EStop, "estop"),
            "release": self.node.create_client(srv.Release, "release"),
        }

    def hear(self, topic, message):
        self.heard[topic] = message
        self.counts[topic] = self.counts.get(topic, 0) + 1

    def on_status(self, message):
        if message.node == "driver":
            self.statuses.append(message)

    def tick(self):
        self.sequence += 1
        now_ns = time.time_ns()
        if self.lmo_on:
            command = self.bench.stand.step(None, None)
            position = command.position_rad * (np.nan if self.nan else 1.0)
            self.lmo.publish(
                conversions.leg_waist_command_to_msg(
                    type(command)(
                        **{
                            **command.__dict__,
                            "position_rad": position,
                            "sequence": self.sequence,
                            "stamp_ns": now_ns,
                            "state_stamp_ns": now_ns,
                        }
                    )
                )
            )
        authority = self.heard.get("authority")
        if self.vla_on and authority is not None and self.sequence % 3 == 0:
            common = {
                "source": Source.VLA,
                "session": authority.session,
                "sequence": self.sequence,
                "stamp_ns": now_ns,
                "observation_stamp_ns": now_ns,
            }
            self.loco.publish(conversions.loco_command_to_msg(LocoCommand(0.6, (1, 0, 0), **common)))
            names = tuple(np.array(self.spec.joint_names)[self.spec.index("arms")])
            positions = np.tile(self.spec.default_rad[self.spec.index("arms")], (3, 1))
            chunk = ArmTarget(names, positions, np.array([0, 100, 200]) * MS, **common)
            self.arm.publish(conversions.arm_target_to_msg(chunk))

    def call(self, name, **fields):
        kinds = {"set_authority": srv.SetAuthority, "estop": srv.EStop, "release": srv.Release}
        client = self.clients[name]
        assert client.wait_for_service(5.0)
        future = client.call_async(kinds[name].Request(**fields))
        wait_for(future.done, f"answer of {name}")
        return future.result()


def wait_for(condition, what, timeout_s=10.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.01)


@pytest.fixture
def graph(bench):
    """A driver node, a plant and the other nodes, spinning until the test ends."""
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(domain_id=100 + os.getpid() % 90)
    mailbox = f"driver-graph-{os.getpid()}"
    plant = PlantThread(mailbox, bench.plant)
    closing, made = [plant.close], {}
    ours, theirs = SingleThreadedExecutor(), SingleThreadedExecutor()

    class Driver(DriverNode):
        def make_stand(self, bundle):
            return bench.stand

    def build(**values):
        values = {"mailbox": mailbox, "plant_timeout_s": 2.0, **PATIENCE, **values}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        made["driver"] = Driver(namespace="/wbvla", parameter_overrides=overrides)
        made["others"] = Others(bench)
        for executor, key in ((ours, "driver"), (theirs, "others")):
            node = made[key] if key == "driver" else made[key].node
            executor.add_node(node)
            thread = threading.Thread(target=executor.spin, daemon=True)
            thread.start()
            closing.append(lambda e=executor, t=thread: (e.shutdown(timeout_sec=5.0), t.join(5.0)))
        return made["driver"], made["others"], plant

    yield build
    for close in reversed(closing[1:]):
        close()
    if "driver" in made:
        made["driver"].leave()
        made["driver"].destroy_node()
        made["others"].node.destroy_node()
    rclpy.try_shutdown()
    plant.close()


def activate(driver):
    driver.trigger_configure()
    driver.trigger_activate()
    assert driver.is_active, driver.refused


def stand(driver, others):
    activate(driver)
    others.lmo_on = True
    wait_for(lambda: "robot_state" in others.heard, "a robot state")
    answer = others.call("release", hoisted=True)
    assert answer.success, answer.message
    wait_for(lambda: others.statuses and others.statuses[-1].state == int(State.STANDING), "STANDING")


def test_a_standing_robot_follows_and_stops_as_told(graph):
    driver, others, plant = graph()
    stand(driver, others)
    others.vla_on = True
    answer = others.call("set_authority", source=1)
    assert answer.success and answer.session == 2
    wait_for(lambda: others.statuses[-1].state == int(State.ACTIVE), "ACTIVE")
    assert others.heard["authority"].source == 1 and others.heard["authority"].session == 2
    wait_for(lambda: others.heard["loco_command"].s_x == 1, "the VLA's command to pass")
    before = dict(others.counts)
    time.sleep(2.0)
    rate = {topic: (others.counts[topic] - before[topic]) / 2.0 for topic in before}
    # 200 and 50 Hz; a busy machine may deliver less, never more.
    assert all(60 < rate[topic] <= 220 for topic in ("robot_state", "joint_states", "imu/data"))
    assert all(20 < rate[topic] <= 55 for topic in ("loco_command", "arm_target"))
    joints = others.heard["joint_states"]
    assert list(joints.name) == [*others.spec.joint_names, *others.spec.hand_names]
    assert len(joints.position) == 33
    assert others.heard["robot_state"].spec_hash == others.spec.hash
    others.vla_on = False
    wait_for(lambda: others.statuses[-1].reason == int(Reason.VLA_LOST), "VLA_LOST")
    assert others.statuses[-1].state == int(State.STANDING)
    assert others.call("estop", reason="test").success
    wait_for(lambda: not plant.mailbox.read_command().active, "damping at the plant", 1.0)
    wait_for(lambda: others.heard["estop"].active, "the emergency stop to be told")
    assert others.heard["estop"].reason == "test"
    assert not others.call("release", hoisted=False).success
    assert others.call("release", hoisted=True).success
    wait_for(lambda: others.statuses[-1].state == int(State.STANDING), "STANDING again")
    assert not others.heard["estop"].active
    assert others.heard["authority"].source == 0


def test_deactivation_damps_first_and_says_so(graph):
    driver, others, plant = graph()
    stand(driver, others)
    assert plant.mailbox.read_command().active
    driver.trigger_deactivate()
    assert not plant.mailbox.read_command().active
    assert not driver.is_active
    answer = others.call("set_authority", source=1)
    assert not answer.success and "not active" in answer.message


def test_a_second_publisher_refuses_activation_and_names_the_nodes(graph):
    driver, others, _ = graph()
    driver.trigger_configure()
    intruder = others.node.create_publisher(msg.LocoCommand, "vla/loco_command", qos.COMMAND)
    wait_for(lambda: driver.count_publishers("vla/loco_command") == 2, "discovery")
    driver.trigger_activate()
    assert not driver.is_active
    assert "vla/loco_command" in driver.refused and "/wbvla/others" in driver.refused
    others.node.destroy_publisher(intruder)
    wait_for(lambda: driver.count_publishers("vla/loco_command") == 1, "discovery")
    driver.trigger_activate()
    assert driver.is_active


def test_a_second_publisher_while_active_makes_a_new_session_within_a_second(graph):
    driver, others, _ = graph()
    stand(driver, others)
    others.call("set_authority", source=1)
    wait_for(lambda: others.heard["authority"].session == 2, "session 2")
    made = time.monotonic()
    intruder = others.node.create_publisher(msg.ArmTarget, "vla/arm_target", qos.COMMAND)
    wait_for(lambda: others.heard["authority"].session == 3, "a new session", 3.0)
    assert time.monotonic() - made < 2.0
    assert others.heard["authority"].source == 1
    others.node.destroy_publisher(intruder)


def test_set_points_that_are_not_finite_lead_to_the_last_resort(graph):
    driver, others, _ = graph()
    stand(driver, others)
    others.nan = True
    wait_for(lambda: others.statuses[-1].state == int(State.LAST_RESORT), "LAST_RESORT")
    assert others.statuses[-1].reason == int(Reason.LMO_NOT_FINITE)


def test_a_silent_plant_damps_and_stays_damped(graph):
    driver, others, plant = graph()
    stand(driver, others)
    plant.paused = True
    wait_for(lambda: others.statuses[-1].state == int(State.DAMPING), "DAMPING")
    assert others.statuses[-1].reason == int(Reason.STATE_LOST)
    plant.paused = False
    time.sleep(0.5)
    assert others.statuses[-1].state == int(State.DAMPING)


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"mailbox": "nobody-here", "plant_timeout_s": 0.1}, "start the plant first"),
        ({"backend": "aimdk"}, "does not exist yet"),
        ({"robot": "r2d2"}, "r2d2"),
        ({"base_imu": "nose"}, "base_imu 'nose'"),
        ({"safety.tilt_limit_deg": 0.0}, "tilt_limit_deg"),
        ({"rate_hz": 10.0}, "rate_hz"),
        ({"velocity_limit": [1.0, 1.0]}, "velocity_limit needs 3 numbers"),
    ],
)
def test_configuration_is_refused_with_one_clear_sentence(graph, values, complaint):
    driver, _, plant = graph(**values)
    driver.trigger_configure()
    assert driver.refused is not None and complaint in driver.refused
    assert not driver.is_active
    assert plant.mailbox.read_command() is None
