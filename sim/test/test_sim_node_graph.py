"""The simulator's ROS face on a running graph: pictures, ground truth, services, a plant that comes and
goes.
"""

import io
import os
import subprocess
import sys
import threading
import time
import uuid

import numpy as np
import pytest
import rclpy
from PIL import Image
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, CompressedImage
from wbvla_core.shared_slots import shared_path
from wbvla_core.types import Reason
from wbvla_sim.sim_node import SimNode

from wbvla_msgs.msg import SimState, Status
from wbvla_msgs.srv import SimGantry, SimPush, SimReset
from wbvla_ros import conversions, qos


def wait_for(condition, what, timeout_s=20.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s} s for {what}"
        time.sleep(0.02)


class Graph:
    """A plant process, the simulator node and a listener."""

    def __init__(self, name):
        self.name = name
        self.plants = []
        self.start_plant()
        overrides = [Parameter("autostart", value=True)]
        self.sim = SimNode(namespace=f"/{name}", parameter_overrides=overrides)
        self.ear = rclpy.create_node("ear", namespace=f"/{name}")
        self.states, self.images, self.infos, self.statuses = [], [], [], []
        listen = self.ear.create_subscription
        listen(SimState, "sim/state", self.states.append, qos.TOOLS)
        listen(CompressedImage, "head_camera/image_raw/compressed", self.images.append, qos.CAMERA)
        listen(CameraInfo, "head_camera/camera_info", self.infos.append, qos.CAMERA)
        listen(Status, "status", self.statuses.append, qos.STATUS)
        self.executor = SingleThreadedExecutor()
        for node in (self.sim, self.ear):
            self.executor.add_node(node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self):
        self.executor.spin()
        # As in a process of its own: the thread that rendered frees the GL context.
        self.sim.leave()

    def start_plant(self):
        command = [sys.executable, "-m", "wbvla_sim.plant_process", "--name", self.name, "--task", "table"]
        self.plants.append(subprocess.Popen(command, stdout=subprocess.DEVNULL))

    def call(self, kind, service, request):
        client = self.ear.create_client(kind, service)
        assert client.wait_for_service(timeout_sec=10.0)
        future = client.call_async(request)
        wait_for(future.done, service)
        return future.result()

    def close(self):
        self.executor.shutdown(timeout_sec=5.0)
        self.thread.join(10.0)
        for node in (self.sim, self.ear):
            node.destroy_node()
        for plant in self.plants:
            plant.kill()
            plant.wait()


@pytest.fixture
def graph():
    name = f"test{uuid.uuid4().hex[:10]}"
    os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(domain_id=60 + os.getpid() % 40)
    graph = Graph(name)
    yield graph
    graph.close()
    rclpy.try_shutdown()
    for part in (name, f"{name}-sim"):
        shared_path(part).unlink(missing_ok=True)


def test_pictures_truth_and_services(graph):
    wait_for(lambda: len(graph.images) > 10 and len(graph.states) > 50, "pictures and states")
    picture = np.asarray(Image.open(io.BytesIO(bytes(graph.images[-1].data))))
    assert picture.shape == (480, 640, 3) and picture.std() > 10
    info, state = graph.infos[-1], graph.states[-1]
    assert (info.width, info.height, info.header.frame_id) == (640, 480, "head_cam")
    assert info.k[0] == info.k[4] > 100
    stamps = np.array([conversions.to_ns(s.header.stamp) for s in graph.states])
    assert np.all(np.diff(stamps) >= 0)
    assert state.hoisted and not state.fell and 0.6 < state.pelvis.position.z < 0.9
    assert {body.name for body in state.objects} >= {"ball_red", "box"}
    wait_for(lambda: any(s.node == "sim_node" and s.rate_hz > 5 for s in graph.statuses), "a status")

    reply = graph.call(SimGantry, "sim/gantry", SimGantry.Request(hooked=True, height=2.0, speed=1.0))
    assert reply.success, reply.message
    wait_for(lambda: abs(graph.states[-1].gantry_height - 2.0) < 0.01, "the bar to rise")
    reply = graph.call(SimGantry, "sim/gantry", SimGantry.Request(hooked=True, height=9.0, speed=1.0))
    assert not reply.success and "height" in reply.message
    push = SimPush.Request(body="torso_link", duration=0.2)
    push.force.y = 100.0
    assert graph.call(SimPush, "sim/push", push).success
    wait_for(lambda: graph.states[-1].pelvis_twist.linear.y > 0.1, "the robot to swing")
    assert graph.call(SimReset, "sim/reset", SimReset.Request(task="empty", seed=2)).success
    wait_for(lambda: graph.states[-1].objects == [], "the other scene")


def test_a_dead_plant_is_told_of_and_the_next_one_joined(graph):
    wait_for(lambda: len(graph.states) > 5, "states")
    graph.plants[-1].terminate()
    graph.plants[-1].wait()
    wait_for(
        lambda: any(s.node == "sim_node" and s.reason == int(Reason.STATE_LOST) for s in graph.statuses),
        "the alarm",
    )
    count = len(graph.images)
    time.sleep(0.3)
    assert len(graph.images) <= count + 1
    graph.start_plant()
    wait_for(lambda: len(graph.images) > count + 5, "pictures of the next plant")


def test_a_missing_plant_or_camera_refuses_with_one_message(monkeypatch):
    monkeypatch.setattr("wbvla_sim.sim_node.OPEN_TIMEOUT_S", 0.2)
    rclpy.init(domain_id=60 + os.getpid() % 40)
    for values, text in (({}, "start the plant first"), ({"camera": "nose"}, "not one of head_cam")):
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        node = SimNode(namespace="/nobody", parameter_overrides=overrides)
        node.trigger_configure()
        assert not node.is_active and text in node.refused
        node.destroy_node()
    rclpy.try_shutdown()
