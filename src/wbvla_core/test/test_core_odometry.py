"""Leg odometry against MuJoCo's own kinematics, and in the observation."""

from __future__ import annotations

from dataclasses import replace

import mujoco
import numpy as np
import pytest
from wbvla_core.intent import Intent
from wbvla_core.model import build_mjspec, joint_addresses
from wbvla_core.robot_spec import RobotSpec

from wbvla_core import observation, odometry

SPEC = RobotSpec.load("x2_ultra")
LEGS = odometry.legs(SPEC)


def _moving(seed: int):
    rng = np.random.default_rng(seed)
    position = SPEC.default_rad + rng.uniform(-0.3, 0.3, SPEC.n)
    return position, rng.normal(size=SPEC.n), rng.normal(size=3)


@pytest.mark.parametrize("seed", range(3))
def test_place_and_velocity_of_the_soles_equal_the_engines(seed):
    position, velocity, turning = _moving(seed)
    model = build_mjspec(SPEC, hands=False).compile()
    data = mujoco.MjData(model)
    at, dof = joint_addresses(model, SPEC)
    data.qpos[3] = 1.0
    data.qpos[at], data.qvel[dof], data.qvel[3:6] = position, velocity, turning
    mujoco.mj_forward(model, data)
    places, speeds = odometry.soles(position[None], velocity[None], turning[None], LEGS)
    for leg, foot, place, speed in zip(LEGS, SPEC.feet, places, speeds, strict=True):
        body = model.body(foot.link).id
        point = data.xpos[body] + data.xmat[body].reshape(3, 3) @ np.array(leg.sole_m)
        jacobian = np.zeros((3, model.nv))
        mujoco.mj_jac(model, data, jacobian, None, point, body)
        np.testing.assert_allclose(place[0], point - data.qpos[:3], atol=1e-12)
        np.testing.assert_allclose(speed[0], jacobian @ data.qvel, atol=1e-12)


def test_a_base_swaying_over_standing_feet_is_seen_moving():
    # Both ankles and hips pitch the same way, slowly: a parallelogram, the base moves forward.
    velocity = np.zeros(SPEC.n)
    for side in ("left", "right"):
        velocity[SPEC.index((f"{side}_hip_pitch_joint",))] = 0.1
        velocity[SPEC.index((f"{side}_ankle_pitch_joint",))] = -0.1
    down = np.array([[0.0, 0.0, -1.0]])
    moving = odometry.base_velocity(SPEC.default_rad[None], velocity[None], down, np.zeros((1, 3)), LEGS)
    assert 0.04 < moving[0, 0] < 0.07
    assert abs(moving[0, 1]) < 1e-6


def test_only_the_lower_foot_counts():
    position, velocity = SPEC.default_rad.copy(), np.zeros(SPEC.n)
    position[SPEC.index(("left_knee_joint",))] += 0.5
    velocity[SPEC.index(("left_hip_pitch_joint",))] = 3.0
    down = np.array([[0.0, 0.0, -1.0]])
    moving = odometry.base_velocity(position[None], velocity[None], down, np.zeros((1, 3)), LEGS)
    np.testing.assert_allclose(moving, 0.0, atol=0.02)


def test_exchanging_left_and_right_turns_the_sideways_velocity_round():
    permutation, sign = SPEC.mirror
    position, velocity, turning = _moving(5)
    down = np.array([[0.0, 0.0, -1.0]])
    one = odometry.base_velocity(position[None], velocity[None], down, turning[None], LEGS)
    other = odometry.base_velocity(
        (sign * position[permutation])[None],
        (sign * velocity[permutation])[None],
        down,
        (turning * [-1.0, 1.0, -1.0])[None],
        LEGS,
    )
    np.testing.assert_allclose(other, one * [1.0, -1.0], atol=0.03)


@pytest.mark.parametrize("legs", [(), (LEGS[0], replace(LEGS[1], joints=LEGS[1].joints[:5]))])
def test_the_term_needs_a_robot_with_two_legs_alike(legs):
    with pytest.raises(ValueError, match="two legs of equally many joints"):
        observation.ObservationConfig((observation.Term("odometry"),), (0,), (), (0.0,), legs)


def test_slow_odometry_goes_on_from_the_frame_before_and_begins_anew_after_a_reset():
    terms = (observation.Term("height"), observation.Term("slow_odometry", scale=4.0))
    config = _config(terms)
    swaying = np.zeros((2, SPEC.n))
    for side in ("left", "right"):
        swaying[:, SPEC.index((f"{side}_hip_pitch_joint",))] = 0.1
        swaying[:, SPEC.index((f"{side}_ankle_pitch_joint",))] = -0.1
    measured = observation.measured(
        np.tile(SPEC.default_rad, (2, 1)), swaying, np.array([[0.0, 0.0, -1.0]] * 2), np.zeros((2, 3)), config
    )
    velocity = odometry.base_velocity(
        measured.position_rad, swaying, measured.gravity, measured.angular_velocity, LEGS
    )
    standing = Intent.standing(np.array([0.64, 0.64]))
    frame = None
    for _ in range(100):
        frame = observation.frame(measured, standing, None, None, None, config, frame)
    np.testing.assert_allclose(frame[:, 1:] / 4.0, velocity * (1.0 - 0.98**100), atol=1e-9)
    frame = observation.begin(frame, np.array([False, True]))
    frame = observation.frame(measured, standing, None, None, None, config, frame)
    np.testing.assert_allclose(frame[1, 1:] / 4.0, 0.02 * velocity[1], atol=1e-9)
    np.testing.assert_allclose(frame[0, 1:] / 4.0, velocity[0] * (1.0 - 0.98**101), atol=1e-9)


def _config(terms):
    driven = tuple(int(i) for i in SPEC.lmo_index)
    upper = tuple(i for i in range(SPEC.n) if i not in driven)
    return observation.ObservationConfig(terms, driven, upper, tuple(SPEC.default_rad), LEGS)
