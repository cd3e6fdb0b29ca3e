"""The URDF says the same as the MuJoCo model and is a tree that robot_state_publisher takes."""

import xml.etree.ElementTree as ET

import mujoco
import numpy as np
import pytest
from wbvla_core.model import build_mjspec, joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_rpy, rpy_from_matrix
from wbvla_core.urdf import urdf

SPEC = RobotSpec.load("x2_ultra")


@pytest.fixture(scope="module")
def document() -> str:
    return urdf(SPEC)


def test_forward_kinematics_and_masses_equal_those_of_the_mujoco_model(document):
    ours = build_mjspec(SPEC, hands=False, visuals=False, bodies_collide=False).compile()
    # A base of its own, so that the reader keeps the root link as a body.
    read = mujoco.MjSpec.from_string(document)
    read.compiler.fusestatic = False
    theirs = read.compile()
    our_data, their_data = mujoco.MjData(ours), mujoco.MjData(theirs)
    rng = np.random.default_rng(4)
    our_qpos, _ = joint_addresses(ours, SPEC)
    their_qpos, _ = joint_addresses(theirs, SPEC)
    for _ in range(5):
        pose = rng.uniform(SPEC.lower_rad, SPEC.upper_rad)
        our_data.qpos[our_qpos] = pose
        their_data.qpos[their_qpos] = pose
        mujoco.mj_kinematics(ours, our_data)
        mujoco.mj_kinematics(theirs, their_data)
        for joint in SPEC.joints:
            np.testing.assert_allclose(
                their_data.body(joint.child).xpos, our_data.body(joint.child).xpos, atol=1e-6
            )
            np.testing.assert_allclose(
                their_data.body(joint.child).xmat, our_data.body(joint.child).xmat, atol=1e-6
            )
            np.testing.assert_allclose(
                their_data.body(joint.child).xipos, our_data.body(joint.child).xipos, atol=1e-6
            )
    for joint in SPEC.joints:
        assert theirs.body(joint.child).mass[0] == pytest.approx(ours.body(joint.child).mass[0])
        np.testing.assert_allclose(theirs.joint(joint.name).range, ours.joint(joint.name).range, atol=1e-8)


def test_every_link_has_exactly_one_parent_joint_and_all_hang_on_the_base(document):
    robot = ET.fromstring(document)
    links = [link.attrib["name"] for link in robot.findall("link")]
    parents = {
        j.find("child").attrib["link"]: j.find("parent").attrib["link"] for j in robot.findall("joint")
    }
    assert len(links) == len(set(links)) and len(parents) == len(robot.findall("joint"))
    assert set(links) - set(parents) == {SPEC.base_link}
    for link in links:
        for _ in range(len(links)):
            link = parents.get(link, link)
        assert link == SPEC.base_link


def test_movable_joints_are_those_of_joint_states_and_fingers_mimic_the_opening(document):
    robot = ET.fromstring(document)
    movable = [j for j in robot.findall("joint") if j.attrib["type"] != "fixed"]
    driven = [j.attrib["name"] for j in movable if j.find("mimic") is None]
    assert driven == [*SPEC.joint_names, *SPEC.hand_names]
    mimics = {j.attrib["name"]: j.find("mimic").attrib for j in movable if j.find("mimic") is not None}
    assert mimics["left_claw_finger_joint"]["joint"] == "left_claw_joint" and len(mimics) == 4
    assert all(float(m["multiplier"]) == 0.05 for m in mimics.values())


def test_sensors_are_links_and_every_material_is_defined(document):
    robot = ET.fromstring(document)
    links = {link.attrib["name"] for link in robot.findall("link")}
    assert {
        "imu_pelvis",
        "imu_torso",
        "head_cam_optical",
        "stereo_left_optical",
        "stereo_right_optical",
    } <= links
    defined = {m.attrib["name"] for m in robot.findall("material")}
    assert {m.attrib["name"] for m in robot.iter("material")} == defined
    kinds = {shape.tag for geometry in robot.iter("geometry") for shape in geometry}
    assert kinds == {"box", "cylinder", "sphere"}


@pytest.mark.parametrize(
    "rpy", [(0.1, -0.4, 2.0), (np.pi / 2, 0.0, 0.0), (0.3, np.pi / 2, 0.0), (0.2, -np.pi / 2, 0.0)]
)
def test_rpy_comes_back_from_its_matrix(rpy):
    np.testing.assert_allclose(
        matrix_from_rpy(rpy_from_matrix(matrix_from_rpy(rpy))), matrix_from_rpy(rpy), atol=1e-9
    )
