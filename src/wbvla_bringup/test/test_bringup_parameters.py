"""The parameter file against what the nodes declare: nothing missing, nothing unknown, defaults alike."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import rclpy
import yaml
from wbvla_driver.node import DriverNode
from wbvla_lmo_node.node import LmoNode
from wbvla_sim.sim_node import SimNode
from wbvla_teleop.node import TeleopNode
from wbvla_teleop.recorder import Recorder
from wbvla_vla_node.node import VlaNode

PARAMETERS = Path(__file__).resolve().parents[1] / "params" / "x2.yaml"
NODES = {
    "sim_node": SimNode,
    "driver": DriverNode,
    "lmo_node": LmoNode,
    "vla_node": VlaNode,
    "teleop_node": TeleopNode,
    "recorder": Recorder,
}
# Every node of ROS 2 has these.
COMMON = {"use_sim_time"}


@pytest.fixture(scope="module", autouse=True)
def context():
    if "CYCLONEDDS_URI" not in os.environ:
        os.environ.setdefault("ROS_LOCALHOST_ONLY", "1")
    rclpy.init(domain_id=60 + os.getpid() % 40)
    yield
    rclpy.try_shutdown()


def listed() -> dict[str, dict]:
    content = yaml.safe_load(PARAMETERS.read_text())
    return {name.removeprefix("/**/"): value["ros__parameters"] for name, value in content.items()}


def test_file_has_exactly_the_nodes_of_the_graph():
    assert set(listed()) == set(NODES)


@pytest.mark.parametrize("name", NODES)
def test_file_lists_every_parameter_of_the_node_with_its_default(name):
    node = NODES[name](namespace="/wbvla")
    try:
        assert node.get_name() == name
        declared = {key: parameter.value for key, parameter in node.get_parameters_by_prefix("").items()}
    finally:
        node.destroy_node()
    given = listed()[name]
    assert set(declared) - COMMON == set(given)
    different = {
        key: (given[key], declared[key])
        for key in given
        if key != "autostart" and _plain(declared[key]) != given[key]
    }
    assert not different, "file and node differ in the default of these"


def _plain(value):
    return list(value) if hasattr(value, "__iter__") and not isinstance(value, str) else value
