"""Scenes: reproducible, named, at rest, and physical where it matters (cart, gripper, speed)."""

import time

import mujoco
import numpy as np
import pytest
from wbvla_core.model import joint_addresses
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim import cart as cart_parts
from wbvla_sim.scenes import build_scene, scene_names

SPEC = RobotSpec.load("x2_ultra")


def at_home(name: str, seed: int = 0) -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = build_scene(SPEC, name, seed).compile()
    data = mujoco.MjData(model)
    mujoco.mj_resetDataKeyframe(model, data, model.key("home").id)
    mujoco.mj_forward(model, data)
    return model, data


def hold_robot(model: mujoco.MjModel, data: mujoco.MjData) -> None:
    """Nail the pelvis where it is, so that things can be watched without a balancing controller."""
    root = model.joint("root").id
    model.dof_damping[model.jnt_dofadr[root] : model.jnt_dofadr[root] + 6] = 1e6


@pytest.mark.parametrize("name", scene_names())
def test_same_seed_gives_the_same_model_and_another_seed_another(name):
    def flat(seed: int) -> np.ndarray:
        model = build_scene(SPEC, name, seed).compile()
        parts = (model.body_pos, model.body_mass, model.geom_friction, model.geom_rgba, model.light_diffuse)
        return np.concatenate([part.ravel() for part in (*parts, model.tex_data[::97].astype(float))])

    np.testing.assert_array_equal(flat(3), flat(3))
    assert not np.array_equal(flat(3), flat(4))


@pytest.mark.parametrize("name", scene_names())
def test_robot_starts_on_its_soles_in_the_default_pose(name):
    model, data = at_home(name)
    qpos, _ = joint_addresses(model, SPEC)
    np.testing.assert_allclose(data.qpos[qpos], SPEC.default_rad)
    soles = [g for g in range(model.ngeom) if "_sole_" in model.geom(g).name]
    assert min(data.geom_xpos[g, 2] - model.geom_size[g, 0] for g in soles) == pytest.approx(0.0, abs=1e-9)
    robot = model.body("pelvis").id
    mine = [c for c in data.contact.geom if np.any(model.body_rootid[model.geom_bodyid[c]] == robot)]
    assert all(set(pair) & set(soles) and model.geom("floor").id in pair for pair in mine)


@pytest.mark.parametrize("name", ["table", "box_cart"])
@pytest.mark.parametrize("seed", range(3))
def test_things_stay_where_the_scene_puts_them(name, seed):
    scene = build_scene(SPEC, name, seed)
    model, data = at_home(name, seed)
    hold_robot(model, data)
    start = {body: data.body(body).xpos.copy() for body in scene.movables}
    mujoco.mj_step(model, data, nstep=1000)
    for body, position in start.items():
        assert np.linalg.norm(data.body(body).xpos - position) < 0.01, body


def test_movables_are_named_and_the_box_is_as_large_and_light_as_said():
    scene = build_scene(SPEC, "table", 1)
    model = scene.compile()
    assert scene.movables == ("ball_red", "ball_green", "ball_blue", "ball_yellow", "box")
    for body in scene.movables:
        assert model.joint(f"{body}_joint").type[0] == mujoco.mjtJoint.mjJNT_FREE
    for seed in range(5):
        box = build_scene(SPEC, "box_cart", seed).compile()
        np.testing.assert_allclose(2 * box.geom("box").size, [0.30, 0.25, 0.20])
        assert 0.5 <= box.body("box").mass[0] <= 1.5


def test_a_cart_of_50_kg_rolls_against_5_to_15_newton():
    """At rest it bears 5 N; once it goes at walking speed it takes no more than 15 N to keep it going."""
    for seed in range(3):
        model, data = at_home("box_cart", seed)
        hold_robot(model, data)
        assert model.body("cart").mass[0] == pytest.approx(50.0)
        cart, joint = model.body("cart").id, model.joint("cart_x")
        ahead = data.xmat[cart].reshape(3, 3)[:, 0].copy()
        data.xfrc_applied[cart, :3] = 5.0 * ahead
        mujoco.mj_step(model, data, nstep=500)
        assert abs(data.qpos[joint.qposadr[0]]) < 0.005
        data.qvel[joint.dofadr[0]] = 0.4
        data.xfrc_applied[cart, :3] = 15.0 * ahead
        mujoco.mj_step(model, data, nstep=500)
        assert data.qvel[joint.dofadr[0]] >= 0.4


def test_the_cart_keeps_to_its_way_against_a_push_from_the_side():
    model, data = at_home("box_cart", 0)
    hold_robot(model, data)
    cart = model.body("cart").id
    data.xfrc_applied[cart, :3] = (cart_parts.SIDE_FORCE_N - 5.0) * data.xmat[cart].reshape(3, 3)[:, 1]
    mujoco.mj_step(model, data, nstep=500)
    assert abs(data.joint("cart_y").qpos[0]) < 0.01


def test_gripper_holds_a_ball_against_gravity():
    model, data = at_home("table", 0)
    hold_robot(model, data)
    grasp, ball = data.site("left_claw_grasp"), model.joint("ball_red_joint")
    claw = model.actuator("left_claw_joint").id
    for hand in SPEC.hands:
        for suffix in ("", "_mirror"):
            data.joint(hand.name + suffix).qpos[0] = 0.045
    mujoco.mj_forward(model, data)
    data.qpos[ball.qposadr[0] : ball.qposadr[0] + 3] = grasp.xpos
    data.ctrl[claw] = 0.0
    gravity = model.opt.gravity.copy()
    model.opt.gravity[:] = 0.0
    mujoco.mj_step(model, data, nstep=400)
    model.opt.gravity[:] = gravity
    mujoco.mj_step(model, data, nstep=1500)
    assert np.linalg.norm(data.body("ball_red").xpos - data.site("left_claw_grasp").xpos) < 0.02
    assert 0.02 < data.joint("left_claw_joint").qpos[0] < 0.035


def test_unknown_scene_is_refused_by_name():
    with pytest.raises(ValueError, match="no scene 'moon'; there are empty, table, box_cart"):
        build_scene(SPEC, "moon")


def test_a_physics_step_is_fast_enough_for_real_time():
    model, data = at_home("box_cart")
    mujoco.mj_step(model, data, nstep=50)
    best = np.inf
    for _ in range(10):
        start = time.perf_counter()
        mujoco.mj_step(model, data, nstep=50)
        best = min(best, (time.perf_counter() - start) / 50)
    assert best < 250e-6
