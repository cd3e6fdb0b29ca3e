"""The MuJoCo model: mass properties, actuators and sensors are those of the RobotSpec."""

import mujoco
import numpy as np
import pytest
from wbvla_core.model import build_mjspec, hand_addresses, joint_addresses
from wbvla_core.robot_spec import RobotSpec

SPEC = RobotSpec.load("x2_ultra")


@pytest.fixture(scope="module")
def model() -> mujoco.MjModel:
    return build_mjspec(SPEC).compile()


def with_floor(**options) -> tuple[mujoco.MjModel, mujoco.MjData]:
    robot = build_mjspec(SPEC, **options)
    robot.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[0, 0, 1])
    model = robot.compile()
    return model, mujoco.MjData(model)


def whole_body(model: mujoco.MjModel, body: str) -> tuple[float, np.ndarray, np.ndarray]:
    """Mass, centre of mass and inertia about it of a body with all below it, in that body's frame, zero
    pose."""
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    root = model.body(body).id
    members = [i for i in range(model.nbody) if i == root or model.body_parentid[i] == root]
    mass = sum(model.body_mass[i] for i in members)
    com = sum(model.body_mass[i] * data.xipos[i] for i in members) / mass
    inertia = np.zeros((3, 3))
    for i in members:
        axes = data.ximat[i].reshape(3, 3)
        offset = data.xipos[i] - com
        inertia += axes @ np.diag(model.body_inertia[i]) @ axes.T
        inertia += model.body_mass[i] * (offset @ offset * np.eye(3) - np.outer(offset, offset))
    frame = data.xmat[root].reshape(3, 3)
    return mass, frame.T @ (com - data.xpos[root]), frame.T @ inertia @ frame


def test_actuators_are_joints_in_wire_order_then_claws(model):
    names = [model.actuator(i).name for i in range(model.nu)]
    assert names == [*SPEC.joint_names, "left_claw_joint", "right_claw_joint"]
    np.testing.assert_array_equal(model.actuator_trnid[:31, 0], [model.joint(n).id for n in SPEC.joint_names])


def test_mass_is_the_published_total_with_and_without_hands(model):
    assert model.body_mass.sum() == pytest.approx(41.9665, abs=1e-4)
    assert build_mjspec(SPEC, hands=False).compile().body_mass.sum() == pytest.approx(41.9665, abs=1e-4)


def test_fingers_do_not_change_the_wrist_links_mass_properties(model):
    for hand in SPEC.hands:
        link = SPEC.link(hand.link)
        mass, com, inertia = whole_body(model, hand.link)
        assert mass == pytest.approx(link.mass_kg)
        np.testing.assert_allclose(com, link.com_m, atol=1e-9)
        np.testing.assert_allclose(inertia, link.inertia_matrix, atol=1e-9)


def test_dofs_carry_armature_friction_and_effort_of_the_spec(model):
    _, dofs = joint_addresses(model, SPEC)
    np.testing.assert_allclose(model.dof_armature[dofs], SPEC.armature_kg_m2)
    np.testing.assert_allclose(model.dof_frictionloss[dofs], 0.3)
    np.testing.assert_allclose(model.actuator_forcerange[:31, 1], SPEC.effort_nm)
    np.testing.assert_allclose(model.actuator_forcerange[:31, 0], -SPEC.effort_nm)


def test_actuator_closes_the_position_law_and_clips_at_the_effort_limit(model):
    data = mujoco.MjData(model)
    qpos, dofs = joint_addresses(model, SPEC)
    rng = np.random.default_rng(3)
    q, qd, wanted, speed = (rng.normal(0.0, s, 31) for s in (0.2, 0.3, 0.2, 0.3))
    feedforward = rng.normal(0.0, 1.0, 31)
    data.qpos[qpos], data.qvel[dofs] = q, qd
    data.ctrl[:31] = SPEC.kp * wanted + SPEC.kd * speed + feedforward
    mujoco.mj_forward(model, data)
    law = SPEC.kp * (wanted - q) + SPEC.kd * (speed - qd) + feedforward
    np.testing.assert_allclose(data.actuator_force[:31], np.clip(law, -SPEC.effort_nm, SPEC.effort_nm))
    assert np.any(np.abs(law) > SPEC.effort_nm)


def test_pelvis_stands_at_the_known_height_and_com_in_the_default_pose():
    model, data = with_floor()
    qpos, _ = joint_addresses(model, SPEC)
    data.qpos[qpos] = SPEC.default_rad
    mujoco.mj_forward(model, data)
    soles = [data.site(f"{foot.link}_sole").xpos[2] for foot in SPEC.feet]
    height = data.xpos[1, 2] - np.mean(soles)
    assert height == pytest.approx(0.6404, abs=1.5e-3)
    assert data.subtree_com[1, 2] - np.mean(soles) == pytest.approx(0.681, abs=2e-3)


def test_contact_spheres_follow_the_option():
    for feet, count in (("spheres", 8), ("full", 24), ("none", 0)):
        robot = build_mjspec(SPEC, feet=feet, bodies_collide=False).compile()
        assert sum("_sole_" in robot.geom(i).name for i in range(robot.ngeom)) == count
    with pytest.raises(ValueError, match="feet='shoes'"):
        build_mjspec(SPEC, feet="shoes")


def test_imus_report_gravity_and_turn_rates_of_their_link(model):
    data = mujoco.MjData(model)
    data.qvel[3:6] = [0.1, -0.2, 0.3]
    mujoco.mj_forward(model, data)
    for imu in SPEC.imus:
        np.testing.assert_allclose(data.sensor(f"imu_{imu.name}_gyro").data, [0.1, -0.2, 0.3], atol=1e-9)
        np.testing.assert_allclose(data.sensor(f"imu_{imu.name}_quat").data, [1, 0, 0, 0], atol=1e-9)
    # Free fall: an accelerometer at rest on a held pelvis would read +g, a falling one reads about nothing.
    data.qvel[:] = 0.0
    mujoco.mj_forward(model, data)
    assert np.linalg.norm(data.sensor("imu_pelvis_acc").data) < 0.5


def test_gripper_opens_ten_centimetres_and_both_fingers_move_alike(model):
    data = mujoco.MjData(model)
    model.opt.gravity[:] = 0.0
    address, _ = hand_addresses(model, SPEC)
    data.ctrl[31:] = 1.0
    mujoco.mj_step(model, data, nstep=1500)
    np.testing.assert_allclose(data.qpos[address], 0.05, atol=1e-3)
    np.testing.assert_allclose(data.qpos[address + 1], data.qpos[address], atol=5e-4)
    gap = data.geom("left_claw_joint_body").xpos - data.geom("left_claw_joint_mirror_body").xpos
    assert np.linalg.norm(gap) - 2 * 0.007 == pytest.approx(0.1, abs=2e-3)
    model.opt.gravity[:] = [0, 0, -9.81]


def test_head_camera_looks_forward_and_forty_degrees_down(model):
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    axes = data.cam("head_cam").xmat.reshape(3, 3)
    np.testing.assert_allclose(-axes[:, 2], [np.cos(np.radians(40)), 0, -np.sin(np.radians(40))], atol=1e-3)
    np.testing.assert_allclose(axes[:, 0], [0, -1, 0], atol=1e-3)
    assert data.cam("head_cam").xpos[2] - data.xpos[1, 2] + 0.675 == pytest.approx(1.18, abs=5e-3)


def test_robot_does_not_touch_itself_in_the_default_pose_but_hands_meet(model):
    data = mujoco.MjData(model)
    qpos, _ = joint_addresses(model, SPEC)
    data.qpos[qpos] = SPEC.default_rad
    mujoco.mj_forward(model, data)
    assert data.ncon == 0
    data.qpos[qpos[SPEC.index(["left_shoulder_roll_joint"])]] = -0.06
    data.qpos[qpos[SPEC.index(["right_shoulder_roll_joint"])]] = 0.06
    data.qpos[qpos[SPEC.index(["left_shoulder_yaw_joint"])]] = -1.0
    data.qpos[qpos[SPEC.index(["right_shoulder_yaw_joint"])]] = 1.0
    data.qpos[qpos[SPEC.index(["left_elbow_joint", "right_elbow_joint"])]] = -1.6
    mujoco.mj_forward(model, data)
    assert data.ncon > 0


def test_fallen_robot_rests_on_its_bodies():
    model, data = with_floor()
    data.qpos[2] = 0.3
    data.qpos[3:7] = [0.7071, 0, 0.7071, 0]
    qpos, _ = joint_addresses(model, SPEC)
    data.qpos[qpos] = SPEC.default_rad
    data.ctrl[:31] = SPEC.kp * SPEC.default_rad
    mujoco.mj_step(model, data, nstep=1500)
    assert 0.02 < data.xpos[1, 2] < 0.3
    touching = {model.geom(int(g)).name for c in data.contact[: data.ncon] for g in c.geom} - {"floor"}
    assert any("body" in name for name in touching)
