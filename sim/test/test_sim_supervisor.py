"""Who runs trials on the graph hears of what it cannot understand, instead of going deaf; and of a camera there is not."""

from __future__ import annotations

import os
import uuid
from types import SimpleNamespace

import pytest
import rclpy
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.script import ScriptError
from wbvla_sim.tasks.lockstep_bag import LockStepBag
from wbvla_sim.tasks.supervisor import Supervisor

from wbvla_msgs import msg
from wbvla_ros import qos


@pytest.fixture
def supervisor():
    rclpy.init(domain_id=60 + os.getpid() % 40)
    supervisor = Supervisor(f"/unknown_{uuid.uuid4().hex[:8]}")
    yield supervisor
    supervisor.close()
    rclpy.try_shutdown()


def test_a_state_that_nobody_knows_is_told_to_who_waits(supervisor):
    publisher = supervisor.node.create_publisher(msg.Status, "status", qos.STATUS)
    bad = msg.Status(node="driver", state=250)
    with pytest.raises(ScriptError, match=r"could not be understood \(250 is not a valid State"):
        supervisor.wait_for("nothing", lambda: publisher.publish(bad), 20.0)
    assert supervisor.statuses == {}
    with pytest.raises(ScriptError, match="all nodes of one version"):
        _ = supervisor.driver


def test_a_bag_of_a_camera_that_the_robot_lacks_is_refused(tmp_path):
    world = SimpleNamespace(spec=RobotSpec.load("x2_ultra"))
    with pytest.raises(ValueError, match="x2_ultra has no camera 'rear_cam'; it has head_cam"):
        LockStepBag(world, tmp_path, (), "rear_cam")  # type: ignore[arg-type]
