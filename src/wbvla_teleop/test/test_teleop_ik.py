"""Inverse kinematics of both arms: targets reached, limits and clearances kept, fast enough for a part of a core."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import mujoco
import numpy as np
import pytest
from wbvla_core.model import joint_addresses
from wbvla_teleop.frame import PELVIS, TORSO, FrameError, WristPose
from wbvla_teleop.ik import DualArmIk

sys.path.insert(0, str(Path(__file__).parent))
from teleop_samples import SPEC

DT_S = 0.02
ARMS = SPEC.index("arms")


def follow(ik: DualArmIk, left, right, seconds: float, position=SPEC.default_rad) -> list[dict[str, float]]:
    return [ik.solve(position, left, right, DT_S) for _ in range(round(seconds / DT_S))]


def test_both_wrists_reach_places_in_front_of_the_robot():
    ik = DualArmIk(SPEC)
    left, right = (WristPose(np.array([0.25, y, 0.22])) for y in (0.2, -0.15))
    follow(ik, left, right, 2.0)
    for side, target in enumerate((left, right)):
        assert np.linalg.norm(ik.wrist(side, PELVIS).position_m - target.position_m) < 0.003


def test_reached_pose_agrees_with_the_robot_model_with_bent_waist_and_legs():
    from wbvla_core.model import build_mjspec

    position = SPEC.default_rad.copy()
    position[SPEC.index(("waist_yaw_joint", "waist_pitch_joint", "left_hip_pitch_joint"))] = 0.4, 0.2, -0.8
    ik = DualArmIk(SPEC)
    ik.reset(position)
    target = WristPose(np.array([0.25, 0.2, -0.05]), np.array([0.93, 0.0, -0.36, 0.0]), TORSO)
    joints = follow(ik, target, None, 2.0, position)[-1]
    position[SPEC.index(tuple(joints))] = list(joints.values())
    model = build_mjspec(SPEC).compile()
    data = mujoco.MjData(model)
    data.qpos[joint_addresses(model, SPEC)[0]] = position
    mujoco.mj_kinematics(model, data)
    torso, hand = data.body(TORSO), data.body("left_wrist_roll_link")
    place = torso.xmat.reshape(3, 3).T @ (hand.xpos - torso.xpos)
    assert np.linalg.norm(place - target.position_m) < 0.01


def test_an_arm_without_target_holds_still():
    ik = DualArmIk(SPEC)
    steps = follow(ik, WristPose(np.array([0.25, 0.2, 0.2])), None, 1.0)
    right = [name for name in SPEC.groups["arms"] if name.startswith("right")]
    assert max(abs(steps[-1][name] - steps[0][name]) for name in right) < 1e-3


def test_joints_stay_within_range_and_speed_whatever_is_asked():
    ik = DualArmIk(SPEC)
    random = np.random.default_rng(1)
    last = np.array(list(ik.joints().values()))
    for _ in range(30):
        left, right = (WristPose(random.uniform(-0.8, 0.8, 3)) for _ in range(2))
        for _ in range(10):
            now = np.array(list(ik.solve(SPEC.default_rad, left, right, DT_S).values()))
            assert np.all(now >= SPEC.lower_rad[ARMS] - 1e-6) and np.all(now <= SPEC.upper_rad[ARMS] + 1e-6)
            limit = np.minimum(SPEC.velocity_rad_s[ARMS], ik.config.speed_rad_s)
            assert np.all(np.abs(now - last) <= limit * DT_S + 1e-6)
            last = now


def test_hands_told_to_go_into_body_and_each_other_keep_clear():
    ik = DualArmIk(SPEC)
    inside = WristPose(np.array([0.0, 0.0, 0.3]))
    follow(ik, inside, inside, 3.0)
    model, pairs = ik.collision_model()
    fromto = np.empty(6)
    data = ik._configuration.data
    gaps = [mujoco.mj_geomDistance(model, data, a, b, 1.0, fromto) for a, b in pairs]
    assert min(gaps) > 0.5 * ik.config.clearance_m


def test_one_call_takes_a_small_part_of_a_50_hz_period_of_one_core():
    ik = DualArmIk(SPEC)
    target = WristPose(np.array([0.25, 0.2, 0.2]))
    follow(ik, target, target, 0.2)
    begin = time.process_time()
    follow(ik, target, target, 2.0)
    assert (time.process_time() - begin) / 100 < 0.008


def test_frames_refuse_what_no_robot_can_follow():
    with pytest.raises(FrameError, match="wrist position"):
        WristPose(np.array([np.nan, 0, 0]))
    with pytest.raises(FrameError, match="quaternion"):
        WristPose(np.zeros(3), np.zeros(4))
    with pytest.raises(FrameError, match="camera"):
        WristPose(np.zeros(3), None, "camera")
