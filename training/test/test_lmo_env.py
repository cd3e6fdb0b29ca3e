"""The batched environment obeys the motors, delays, ground and forces it is told to simulate, and rewards what it sees."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch
from wbvla_core.robot_spec import RobotSpec
from wbvla_training.lmo import clips, randomisation, sensing
from wbvla_training.lmo.cli import PACKAGED_CLIPS
from wbvla_training.lmo.config import PhysicsConfig, RandomisationConfig, UpperBodyConfig
from wbvla_training.lmo.disturbances import Disturbances
from wbvla_training.lmo.env import LmoEnv
from wbvla_training.lmo.ground import UnevenGround
from wbvla_training.lmo.physics import BatchedRobot, build_model
from wbvla_training.lmo.presets import preset
from wbvla_training.lmo.scenarios import NOMINAL
from wbvla_training.lmo.upper_body import UpperBodyMotion, working_range

SPEC = RobotSpec.load("x2_ultra")
FULL = PhysicsConfig()


def _robot(n: int = 2) -> BatchedRobot:
    robot = BatchedRobot(SPEC, FULL, n)
    qpos = np.zeros((n, 7 + SPEC.n))
    qpos[:, 2], qpos[:, 3], qpos[:, 7:] = 5.0, 1.0, SPEC.default_rad
    robot.reset(np.arange(n), qpos, np.zeros((n, 6 + SPEC.n)))
    return robot


def _draw(n: int, **changes) -> randomisation.EpisodeDraw:
    cfg = replace(NOMINAL, action_delay_s=(0.0, 0.0), **changes)
    return randomisation.sample(n, len(SPEC.links), SPEC.n, cfg, 1.0, torch.Generator().manual_seed(0))


def test_model_has_the_published_mass_and_only_soles_touch_the_ground():
    model = build_model(SPEC, FULL)
    assert model.body_mass.sum() == pytest.approx(41.9665, abs=2e-3)
    soles = [g for g in range(model.ngeom) if model.geom_contype[g]]
    assert len(soles) == 8 and model.ngeom == 10


def test_welding_removes_joints_but_no_mass_and_keeps_the_pose():
    welded = build_model(SPEC, replace(FULL, welded_groups=("arms", "head")))
    assert welded.nu == 15 and welded.body_mass.sum() == pytest.approx(41.9665, abs=2e-3)
    robot, short = _robot(1), BatchedRobot(SPEC, replace(FULL, welded_groups=("arms", "head")), 1)
    qpos = np.zeros((1, 22))
    qpos[:, 2], qpos[:, 3], qpos[:, 7:] = 5.0, 1.0, SPEC.default_rad[:15]
    short.reset(np.arange(1), qpos, np.zeros((1, 21)))
    np.testing.assert_allclose(short.xpos[0, short.ids.hands], robot.xpos[0, robot.ids.hands], atol=1e-5)


def test_torque_follows_the_torque_speed_line():
    robot = _robot(1)
    robot.randomise(np.arange(1), _draw(1))
    knee = SPEC.index(("left_knee_joint",))[0]
    robot.qvel[0, 6 + knee] = 10.0
    target = SPEC.default_rad[None].copy()
    target[0, knee] += 2.0
    robot.step(target)
    limit = SPEC.torque_limits_nm(np.eye(SPEC.n)[knee] * 10.0)[1][knee]
    assert robot.force_range[0, knee, 1] == pytest.approx(limit) and limit < 60.0
    assert abs(robot.force[0]).max() <= SPEC.effort_nm.max() + 1e-3


def test_a_delayed_set_point_acts_later():
    robot = _robot(2)
    draw = _draw(2)
    draw.action_delay_s[:] = torch.tensor([0.0, 0.02])
    robot.randomise(np.arange(2), draw)
    still = np.tile(SPEC.default_rad, (2, 1))
    robot.step(still)
    robot.step(still)
    moved = still.copy()
    moved[:, 3] += 0.3
    robot.step(moved)
    assert robot.force[0, 3] > robot.force[1, 3] + 5.0
    robot.step(moved)
    assert robot.qpos[1, 10] > SPEC.default_rad[3] + 0.02


def test_payloads_add_their_mass_where_the_hands_and_torso_are():
    robot = _robot(3)
    robot.randomise(np.arange(3), _draw(3, torso_payload_kg=(10.0, 10.0), hand_payload_kg=(1.5, 1.5)))
    np.testing.assert_allclose(robot.mass.sum(1), 41.9665 + 13.0, atol=0.01)
    assert robot.mass[0, robot.ids.torso] == pytest.approx(20.144, abs=0.01)


def test_hand_forces_and_pulses_reach_the_engine_and_pushes_change_the_velocity():
    robot = _robot(6)
    cfg = replace(
        NOMINAL, hand_force_n=(30.0, 30.0), hand_force_fraction=1.0, pulse_force_n=(150.0, 150.0), pulse_fraction=1.0,
        pulse_period_s=(0.1, 0.1), push_speed_m_s=(0.5, 0.5), push_period_s=(0.1, 0.1),
    )  # fmt: skip
    disturbances = Disturbances(robot, cfg, torch.Generator().manual_seed(0))
    disturbances.reset(torch.arange(6))
    pulsed = torch.zeros(6, dtype=torch.bool)
    for _ in range(160):
        disturbances.step(1.0, torch.zeros(6))
        pulsed |= torch.from_numpy(np.linalg.norm(robot.xfrc[:, robot.ids.torso, :2], axis=-1) > 149.0)
    assert pulsed.all()
    assert np.linalg.norm(robot.xfrc[:, robot.ids.hands, :3].sum(1), axis=-1).mean() > 15.0
    assert np.linalg.norm(robot.qvel[:, :2], axis=-1).max() > 0.4


def test_uneven_ground_moves_only_under_a_swinging_foot():
    robot = _robot(2)
    cfg = replace(NOMINAL, ground_height_m=0.02, ground_slope_rad=0.04)
    ground = UnevenGround(robot, cfg, torch.Generator().manual_seed(0))
    feet = torch.tensor([[[1.0, 0.1, 0.1], [1.0, -0.1, 0.07]]]).repeat(2, 1, 1)
    ground.step(feet, torch.tensor([[0.05, 0.0], [0.05, 0.0]]), torch.tensor([True, False]), 1.0)
    left, right = robot.ids.floors
    assert robot.geom_pos[0, left, 0] == 1.0 and abs(robot.geom_pos[0, left, 2]) <= 0.01
    assert (robot.geom_pos[0, right] == 0.0).all() and (robot.geom_pos[1, [left, right]] == 0.0).all()
    normal = torch.tensor([0.0, 0.0, 1.0])
    assert (
        ground.height_above(feet)[0, 0] != feet[0, 0, 2]
        and ground.height_above(feet)[1, 0] == feet[1, 0] @ normal
    )


def test_arms_stay_within_limits_at_full_amplitude_and_rest_at_none():
    upper = tuple(i for i in range(SPEC.n) if i not in set(SPEC.lmo_index.tolist()))
    loaded = clips.load(PACKAGED_CLIPS, SPEC)
    lower, high = (
        torch.tensor(a[list(upper)], dtype=torch.float32) for a in (SPEC.lower_rad, SPEC.upper_rad)
    )
    for cfg in (UpperBodyConfig(amplitude=1.5, clip_fraction=1.0), UpperBodyConfig(amplitude=1.0)):
        motion = UpperBodyMotion(SPEC, upper, cfg, loaded, 16, torch.Generator().manual_seed(0))
        motion.reset(torch.arange(16), 1.0)
        path = torch.stack([motion.step(1.0) for _ in range(200)])
        assert (path >= lower - 1e-5).all() and (path <= high + 1e-5).all()
        assert path.std(0).max() > 0.2
    quiet = UpperBodyMotion(
        SPEC, upper, UpperBodyConfig(amplitude=0.0), None, 4, torch.Generator().manual_seed(0)
    )
    quiet.reset(torch.arange(4), 1.0)
    torch.testing.assert_close(
        quiet.step(1.0), torch.tensor(SPEC.default_rad[list(upper)]).float().repeat(4, 1)
    )


def test_working_ranges_are_mirrored():
    permutation, sign = SPEC.mirror
    joints = np.array([i for i in range(SPEC.n) if i not in set(SPEC.lmo_index.tolist())])
    low, high = (dict(zip(joints, side, strict=True)) for side in working_range(SPEC, joints))
    for j in SPEC.index("arms"):
        twin = permutation[j]
        expected = (low[j], high[j]) if sign[j] > 0 else (-high[j], -low[j])
        np.testing.assert_allclose((low[twin], high[twin]), expected, atol=0.02)


def test_same_seed_gives_the_same_episode_and_everything_stays_finite():
    cfg = replace(preset("x2_stage2"), num_envs=6)
    loaded = clips.load(PACKAGED_CLIPS, SPEC)
    runs = []
    for _ in range(2):
        env = LmoEnv(cfg, loaded)
        env.level = 1.0
        rewards, falls = [], 0
        for k in range(60):
            action = 0.3 * torch.sin(torch.arange(13) + 0.1 * k).repeat(6, 1)
            observations, reward, _, extras = env.step(action)
            rewards.append(reward)
            falls += extras["falls"]
            assert (
                torch.isfinite(observations["policy"]).all()
                and torch.isfinite(observations["privileged"]).all()
            )
        runs.append(torch.stack(rewards))
        assert torch.isfinite(runs[-1]).all()
    assert torch.equal(runs[0], runs[1])


def test_a_robot_that_falls_starts_a_new_episode_upright():
    env = LmoEnv(replace(preset("x2_stage1"), num_envs=4, randomisation=RandomisationConfig()))
    limp = torch.full((4, 13), -6.0)
    for _ in range(150):
        _, _, done, extras = env.step(limp)
        if done.any():
            fallen = done.nonzero()[0, 0]
            assert extras["falls"] >= 1 and env.episode_length_buf[fallen] == 0
            assert env.gravity[fallen, 2] < -0.99 and env.height[fallen] > 0.55
            return
    pytest.fail("limp robots stayed up for 3 s")


def test_balance_shifts_to_where_the_ground_must_push_against_the_hand_forces():
    """Against the engine's inverse dynamics of a robot that does not accelerate: its root must be held by a wrench whose
    horizontal moment vanishes about the point where the ground pushes."""
    env = LmoEnv(replace(preset("x2_stage2"), num_envs=2), None)
    env.step(torch.zeros(2, 13))
    before = env._record().balance
    force = torch.tensor([[[18.0, -12.0, 9.0], [-5.0, 4.0, -20.0]], [[0.0, 0.0, 0.0], [30.0, 0.0, 0.0]]])
    env.disturbances.hand_force = force
    found = env._record().balance - before
    for i in range(2):
        free, pushed = (_ground_point(env, i, f) for f in (np.zeros((2, 3)), force[i].numpy()))
        shift = torch.tensor([[*(pushed - free), 0.0]], dtype=torch.float32)
        expected = sensing.to_heading(shift, env.yaw[i : i + 1])[0, :2]
        torch.testing.assert_close(found[i], expected, atol=2e-4, rtol=0)
    assert found.abs().max() > 0.03
    forward = sensing.to_heading(torch.tensor([[[30.0, 0.0, 0.0]]]).repeat(2, 1, 1), env.yaw)[1, 0, :2]
    assert found[1] @ forward > 0.0, "pushed forwards, the ground must push further ahead"
    env.disturbances.hand_force = torch.zeros(2, 2, 3)
    assert torch.equal(env._record().balance, before)


def _ground_point(env: LmoEnv, i: int, force: np.ndarray) -> np.ndarray:
    """Point [2] of the ground about which the wrench that holds robot ``i`` still has no horizontal moment."""
    robot, ground = env.robot, float(env.lowest_sole[i])
    model = build_model(SPEC, env.cfg.physics)
    model.body_mass[:], model.body_ipos[:] = robot.mass[i], robot.ipos[i]
    data = mujoco.MjData(model)
    data.qpos[:] = robot.qpos[i]
    mujoco.mj_forward(model, data)
    data.qacc[:] = 0.0
    data.qfrc_constraint[:] = 0.0
    model.opt.disableflags |= mujoco.mjtDisableBit.mjDSBL_CONSTRAINT
    mujoco.mj_inverse(model, data)
    pushed = np.zeros(model.nv)
    for hand, f in zip(robot.ids.hands, force, strict=True):
        mujoco.mj_applyFT(model, data, f, np.zeros(3), data.xipos[hand], hand, pushed)
    wrench = data.qfrc_inverse[:6] - pushed[:6]
    moment = data.xmat[1].reshape(3, 3) @ wrench[3:]
    f, up = wrench[:3], data.qpos[2] - ground
    return data.qpos[:2] + np.array([-moment[1] - up * f[0], moment[0] - up * f[1]]) / f[2]


def test_reading_some_rows_again_equals_reading_all():
    env = LmoEnv(replace(preset("x2_stage2"), num_envs=5), None)
    env.step(torch.zeros(5, 13))
    names = ("base", "yaw", "gravity", "gyro", "velocity", "position", "speed", "foot", "foot_normal", "foot_height",
             "lowest_sole", "height", "com")  # fmt: skip
    whole = {name: getattr(env, name).clone() for name in names}
    ids = torch.tensor([1, 4])
    for name in names:
        getattr(env, name)[ids] = float("nan")
    env._read(ids)
    for name in names:
        torch.testing.assert_close(getattr(env, name), whole[name], atol=1e-6, rtol=0)


def test_a_step_leaves_the_number_of_torch_threads_as_it_was():
    env = LmoEnv(replace(preset("x2_stage1"), num_envs=2), None)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        env.step(torch.zeros(2, 13))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
