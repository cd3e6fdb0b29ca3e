"""Kinematics against independent formulas: a plain numpy chain, finite differences and simulated contact
forces."""

import mujoco
import numpy as np
import pytest
from wbvla_core.kinematics import Kinematics
from wbvla_core.model import build_mjspec, joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import (
    matrix_from_axis_angle,
    matrix_from_quaternion,
    matrix_from_rpy,
    projected_gravity,
    quaternion_from_matrix,
)

SPEC = RobotSpec.load("x2_ultra")
KINEMATICS = Kinematics(SPEC)
UPRIGHT = np.array([1.0, 0.0, 0.0, 0.0])


def chain(q: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Position and rotation of every link in the pelvis frame, by hand."""
    poses = {SPEC.base_link: (np.zeros(3), np.eye(3))}
    for joint, angle in zip(SPEC.joints, q, strict=True):
        position, rotation = poses[joint.parent]
        origin = position + rotation @ np.array(joint.origin_xyz_m)
        turned = rotation @ matrix_from_rpy(joint.origin_rpy_rad) @ matrix_from_axis_angle(joint.axis, angle)
        poses[joint.child] = (origin, turned)
    return poses


def potential_j(q: np.ndarray, base: np.ndarray) -> float:
    poses = chain(q)
    height = 0.0
    for link in SPEC.links:
        position, rotation = poses[link.name]
        height += link.mass_kg * (base @ (position + rotation @ np.array(link.com_m)))[2]
    return 9.81 * height


def pose(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(np.maximum(SPEC.lower_rad, -0.8), np.minimum(SPEC.upper_rad, 0.8))


def attitude(rng: np.random.Generator) -> np.ndarray:
    q = np.array([1.0, *rng.normal(0.0, 0.2, 3)])
    return q / np.linalg.norm(q)


def test_height_with_straight_legs_is_the_published_maximum():
    assert KINEMATICS.stance_height_m(np.zeros(31)) == pytest.approx(0.675, abs=1e-3)


def test_height_in_the_default_pose_is_the_known_one():
    assert KINEMATICS.stance_height_m(SPEC.default_rad) == pytest.approx(0.641, abs=1e-3)


@pytest.mark.parametrize(
    ("knee", "ankle", "height"), [(1.2, -0.6, 0.57), (1.5, -0.75, 0.51), (1.8, -0.8, 0.44)]
)
def test_squat_heights_agree_with_the_published_figures(knee, ankle, height):
    q = np.zeros(31)
    for side in ("left", "right"):
        q[SPEC.index([f"{side}_knee_joint"])] = knee
        q[SPEC.index([f"{side}_ankle_pitch_joint"])] = ankle
        q[SPEC.index([f"{side}_hip_pitch_joint"])] = -knee - ankle
    assert KINEMATICS.stance_height_m(q) == pytest.approx(height, abs=0.012)


def test_height_equals_the_chain_written_by_hand_for_any_pose_and_attitude():
    rng = np.random.default_rng(0)
    for _ in range(20):
        q, quaternion = pose(rng), attitude(rng)
        base, poses = matrix_from_quaternion(quaternion), chain(q)
        lowest = min(
            (base @ (poses[foot.link][0] + poses[foot.link][1] @ np.array(corner)))[2] - foot.radius_m
            for foot in SPEC.feet
            for corner in foot.support_m
        )
        assert KINEMATICS.stance_height_m(q, quaternion) == pytest.approx(-lowest, abs=1e-9)


def test_lifted_foot_does_not_change_the_height():
    q = SPEC.default_rad.copy()
    standing = KINEMATICS.stance_height_m(q)
    q[SPEC.index(["left_hip_pitch_joint", "left_knee_joint"])] += [-0.3, 0.5]
    assert KINEMATICS.stance_height_m(q) == pytest.approx(standing, abs=1e-9)


def test_gravity_torques_are_the_gradient_of_the_potential_energy():
    rng = np.random.default_rng(1)
    q, quaternion = pose(rng), attitude(rng)
    base = matrix_from_quaternion(quaternion)
    step = 1e-6
    expected = [
        (potential_j(q + step * unit, base) - potential_j(q - step * unit, base)) / (2 * step)
        for unit in np.eye(31)
    ]
    np.testing.assert_allclose(KINEMATICS.gravity_nm(q, quaternion), expected, atol=2e-4)


def test_arm_gravity_is_zero_at_legs_and_waist_and_holds_a_raised_arm():
    q = SPEC.default_rad.copy()
    q[SPEC.index(["left_shoulder_pitch_joint"])] = -np.pi / 2
    torque = KINEMATICS.arm_gravity_nm(q, UPRIGHT)
    assert np.all(torque[:15] == 0.0)
    # Arm mass (3.0 kg below the shoulder) a quarter metre out: some N m, and pitch down is positive.
    assert -9.0 < torque[SPEC.index(["left_shoulder_pitch_joint"])][0] < -4.0


def test_foot_forces_agree_with_simulated_contact_forces():
    robot = build_mjspec(SPEC, hands=False, visuals=False, bodies_collide=False)
    robot.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    hold = robot.add_equality(type=mujoco.mjtEq.mjEQ_WELD, name1=SPEC.base_link, name2="world")
    hold.objtype = mujoco.mjtObj.mjOBJ_BODY
    height = KINEMATICS.stance_height_m(SPEC.default_rad) - 0.004
    hold.data[3:6] = [0.0, 0.0, -height]
    hold.data[6:11] = [1.0, 0.0, 0.0, 0.0, 1.0]
    model = robot.compile()
    model.dof_frictionloss[:] = 0.0
    data = mujoco.MjData(model)
    qpos, _ = joint_addresses(model, SPEC)
    wanted = SPEC.default_rad.copy()
    wanted[SPEC.index(["left_knee_joint"])] -= 0.05
    data.qpos[2] = height
    data.qpos[qpos] = SPEC.default_rad
    data.ctrl[:] = SPEC.kp * wanted + KINEMATICS.gravity_nm(SPEC.default_rad)
    mujoco.mj_step(model, data, nstep=4000)
    truth = np.zeros(2)
    wrench = np.zeros(6)
    for i in range(data.ncon):
        mujoco.mj_contactForce(model, data, i, wrench)
        names = [model.geom(int(g)).name for g in data.contact[i].geom]
        truth[0 if any("left" in name for name in names) else 1] += wrench[0]
    assert truth.min() > 10.0 and abs(truth[0] - truth[1]) > 10.0
    estimate = KINEMATICS.foot_forces_n(data.qpos[qpos], data.actuator_force, data.qpos[3:7])
    np.testing.assert_allclose(estimate, truth, rtol=0.06, atol=3.0)


def test_feet_in_the_air_carry_nothing():
    torque = KINEMATICS.gravity_nm(SPEC.default_rad)
    np.testing.assert_allclose(KINEMATICS.foot_forces_n(SPEC.default_rad, torque), 0.0, atol=1e-6)


def test_base_attitude_follows_from_the_torso_through_a_bent_waist():
    rng = np.random.default_rng(5)
    q, qd = pose(rng), rng.normal(0.0, 1.0, 31)
    pelvis, rates = attitude(rng), rng.normal(0.0, 1.0, 3)
    model = build_mjspec(SPEC, hands=False).compile()
    data = mujoco.MjData(model)
    qpos, dofs = joint_addresses(model, SPEC)
    data.qpos[3:7], data.qpos[qpos] = pelvis, q
    data.qvel[3:6], data.qvel[dofs] = rates, qd
    mujoco.mj_forward(model, data)
    torso = data.sensor("imu_torso_quat").data, data.sensor("imu_torso_gyro").data
    quaternion, found = KINEMATICS.base_from_torso(*torso, q, qd)
    np.testing.assert_allclose(quaternion, pelvis, atol=1e-9)
    np.testing.assert_allclose(found, rates, atol=1e-9)


def test_tilt_and_projected_gravity():
    for angle in (0.0, 0.3, 2.0, np.pi):
        quaternion = quaternion_from_matrix(
            matrix_from_axis_angle([0, 0, 1], 0.7) @ matrix_from_axis_angle([0, 1, 0], angle)
        )
        assert Kinematics.tilt_rad(quaternion) == pytest.approx(angle, abs=1e-6)
        expected = [np.sin(angle), 0.0, -np.cos(angle)]
        np.testing.assert_allclose(projected_gravity(quaternion), expected, atol=1e-9)


@pytest.mark.parametrize("rpy", [(0.1, 0.2, 0.3), (3.1, 0.0, 0.0), (0.0, 0.0, 3.1), (-2.2689, 0.0, -1.5708)])
def test_rotations_convert_both_ways(rpy):
    matrix = matrix_from_rpy(rpy)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(matrix_from_quaternion(quaternion_from_matrix(matrix)), matrix, atol=1e-12)
