"""Release, damping, gravity feed-forward, state estimation: what the joints and the controllers get."""

from dataclasses import replace

import numpy as np
import pytest
from wbvla_core.limits import SetPoint, law_effort_nm
from wbvla_core.rotations import matrix_from_quaternion, matrix_from_rpy, quaternion_from_matrix
from wbvla_core.types import ImuSample, Source, State
from wbvla_driver.config import DriverConfig, DriverConfigError
from wbvla_driver.core import DriverCore
from wbvla_driver.estimation import StateEstimator


def test_the_first_command_is_damping_even_without_a_reading(spec, kinematics):
    core = DriverCore(spec, DriverConfig(), kinematics, None)
    command = core.tick(None, 0).plant_command
    assert not command.active
    np.testing.assert_array_equal(command.stiffness, 0)
    np.testing.assert_array_equal(command.damping, spec.damping_kd)


def test_release_begins_at_the_measured_pose_with_no_gain_and_ends_at_the_stand(bench):
    bench.run(50)
    start = bench.plant.position_rad.copy()
    assert np.abs(start - bench.spec.default_rad).max() > 0.1
    bench.core.release(True, bench.now_ns)
    first = bench.tick().plant_command
    np.testing.assert_allclose(first.position_rad, start, atol=1e-3)
    assert first.stiffness.max() < 1.0
    np.testing.assert_allclose(first.damping, bench.spec.damping_kd, atol=0.1)
    count = len(bench.commands)
    bench.run(2600)
    path = np.array([c.position_rad for c in bench.commands[count:]])
    assert np.abs(np.diff(path, axis=0)).max() < 0.01
    assert bench.core.state == State.STANDING
    np.testing.assert_allclose(bench.command.position_rad, bench.spec.default_rad, atol=1e-6)
    np.testing.assert_allclose(bench.command.stiffness, bench.spec.kp)


def test_release_waits_for_the_locomotion_node_in_the_hoist(bench):
    bench.lmo_alive = False
    bench.run(50)
    bench.core.release(True, bench.now_ns)
    assert bench.run(5000).state == State.RELEASING
    bench.lmo_alive = True
    assert bench.until(State.STANDING) <= 30


def test_every_torque_the_law_implies_is_within_the_motors(bench):
    bench.active()
    rng = np.random.default_rng(3)
    for _ in range(50):
        bench.lmo(position_rad=rng.uniform(-2, 2, 13), effort_feedforward_nm=rng.uniform(-300, 300, 13))
        measured = bench.plant.position_rad.copy()
        command = bench.tick().plant_command
        set_point = SetPoint(
            command.position_rad,
            command.velocity_rad_s,
            command.stiffness,
            command.damping,
            command.effort_feedforward_nm,
        )
        # The plant moved to the last command before it measured.
        torque = law_effort_nm(set_point, bench.plant.position_rad, np.zeros(bench.spec.n))
        assert np.all(np.abs(torque) <= bench.spec.effort_nm * (1 + 1e-9)), measured


def test_arms_carry_their_own_weight_and_legs_get_none_of_it(bench):
    bench.active()
    arms = bench.spec.index("arms")
    expected = bench.kinematics.arm_gravity_nm(bench.plant.position_rad, np.array([1.0, 0, 0, 0]))
    assert np.abs(expected[arms]).max() > 0.5
    np.testing.assert_allclose(bench.command.effort_feedforward_nm[arms], expected[arms], atol=0.05)
    np.testing.assert_array_equal(bench.command.effort_feedforward_nm[bench.spec.index("legs")], 0)


def test_grippers_keep_their_opening_until_somebody_moves_them(bench):
    bench.standing()
    np.testing.assert_allclose(bench.command.gripper_opening, 0.5)
    bench.core.set_authority(Source.TELEOP, bench.now_ns)
    for _ in range(20):
        bench.loco()
        bench.arms(
            joint_names=bench.spec.hand_names,
            positions=np.tile([1.0, 0.0], (4, 1)),
        )
        bench.run(50)
    np.testing.assert_allclose(bench.command.gripper_opening, [1.0, 0.0], atol=1e-6)


def test_waist_pitch_and_roll_are_held(bench):
    bench.active()
    held = bench.spec.index(("waist_pitch_joint", "waist_roll_joint"))
    np.testing.assert_allclose(bench.command.position_rad[held], bench.spec.default_rad[held])
    np.testing.assert_allclose(bench.command.stiffness[held], bench.spec.kp[held])


def reading_with(bench, quaternions, position=None, rates=None):
    reading = bench.plant.step(None, bench.now_ns + 5_000_000)
    imus = {
        name: ImuSample(
            reading.stamp_ns, q, np.zeros(3) if rates is None else rates[name], np.array([0, 0, 9.81])
        )
        for name, q in quaternions.items()
    }
    position = bench.spec.default_rad if position is None else position
    return replace(reading, imus=imus, position_rad=position)


def test_the_base_attitude_is_rebuilt_from_an_imu_above_the_waist(bench, spec, kinematics):
    position = spec.default_rad.copy()
    position[spec.index(("waist_yaw_joint", "waist_pitch_joint", "waist_roll_joint"))] = [0.5, 0.2, -0.3]
    pelvis = matrix_from_rpy((0.1, -0.2, 0.7))
    torso = (
        pelvis @ matrix_from_rpy((0, 0, 0.5)) @ matrix_from_rpy((0, 0.2, 0)) @ matrix_from_rpy((-0.3, 0, 0))
    )
    samples = {"pelvis": quaternion_from_matrix(pelvis), "torso": quaternion_from_matrix(torso)}
    for config in (DriverConfig(base_imu="pelvis"), DriverConfig(base_imu="torso")):
        estimator = StateEstimator(spec, kinematics, config)
        assert estimator.update(reading_with(bench, samples, position), 5)
        found = matrix_from_quaternion(estimator.state.base_quaternion_wxyz)
        np.testing.assert_allclose(found, pelvis, atol=1e-9)
        assert estimator.compare_imus() < 1e-6


def test_an_imu_that_sits_elsewhere_than_the_spec_says_can_be_declared(bench, spec, kinematics):
    position = spec.default_rad.copy()
    position[spec.index(("waist_pitch_joint",))] = 0.3
    torso = matrix_from_rpy((0, 0.3, 0))
    estimator = StateEstimator(spec, kinematics, DriverConfig(base_imu_link="torso_link"))
    estimator.update(reading_with(bench, {"pelvis": quaternion_from_matrix(torso)}, position), 5)
    assert estimator.tilt_rad() == pytest.approx(0.0, abs=1e-9)


def test_imus_that_disagree_about_the_vertical_are_told(bench, spec):
    bench.standing()
    step = bench.plant.step

    def tilted(command, now_ns):
        reading = step(command, now_ns)
        torso = replace(reading.imus["torso"], quaternion_wxyz=np.array([np.cos(0.15), np.sin(0.15), 0, 0]))
        return replace(reading, imus={**reading.imus, "torso": torso})

    bench.plant.step = tilted
    bench.run(100)
    assert any("IMUs disagree" in event.detail for event in bench.events)
    assert bench.core.state == State.STANDING
    assert bench.core.status().imu_disagreement_deg == pytest.approx(np.degrees(0.3), abs=0.1)


def test_readings_that_are_not_finite_count_as_lost(bench):
    bench.active()
    step = bench.plant.step
    bench.plant.step = lambda command, now: replace(
        step(command, now), velocity_rad_s=np.full(bench.spec.n, np.nan)
    )
    assert bench.until(State.DAMPING) <= 25


def test_an_imu_quaternion_of_wrong_length_counts_as_lost(bench):
    bench.active()
    step = bench.plant.step

    def zero(command, now_ns):
        reading = step(command, now_ns)
        imus = {k: replace(v, quaternion_wxyz=np.zeros(4)) for k, v in reading.imus.items()}
        return replace(reading, imus=imus)

    bench.plant.step = zero
    assert bench.until(State.DAMPING) <= 45


def test_faults_and_heat_of_joints_are_told_once_and_stop_nothing(bench):
    bench.active()
    step = bench.plant.step

    def sick(command, now_ns):
        reading = step(command, now_ns)
        fault, celsius = reading.fault.copy(), reading.temperature_c.copy()
        fault[3], celsius[4] = 7, 91.0 + 2.0 * np.sin(now_ns)
        return replace(reading, fault=fault, temperature_c=celsius)

    bench.plant.step = sick
    bench.run(3000)
    told = [event.detail for event in bench.events]
    assert told.count("left_knee_joint: fault code 7") == 1
    assert sum("left_ankle_pitch_joint: motor at" in text for text in told) == 1
    assert bench.core.state == State.ACTIVE
    assert "left_knee_joint=7" in bench.core.status().joints["joint_faults"]


@pytest.mark.parametrize(
    ("config", "complaint"),
    [
        ({"base_imu": "chest"}, "base_imu 'chest'"),
        ({"base_imu_link": "left_knee_link"}, "must be pelvis or torso_link"),
    ],
)
def test_settings_that_do_not_fit_the_robot_are_refused(spec, kinematics, config, complaint):
    with pytest.raises(DriverConfigError, match=complaint):
        DriverCore(spec, DriverConfig(**config), kinematics, None)


def test_senseless_settings_are_refused():
    with pytest.raises(DriverConfigError, match="velocity_limit"):
        DriverConfig(velocity_limit=(0.5, 0.0, 1.0))
    with pytest.raises(DriverConfigError, match="stand_ramp_s"):
        DriverConfig(stand_ramp_s=float("nan"))
