"""The twin behaves like drives and sensors: watchdog, interpolation, clamps, latency, noise, faults, same
bytes.
"""

from dataclasses import replace

import numpy as np
import pytest
from wbvla_core.types import PlantState
from wbvla_sim.actuation import JointFault
from wbvla_sim.plant import PlantConfig
from wbvla_sim.sensors import SensorConfig

MS = 1_000_000


def test_starts_in_damping_and_stays_there_until_asked(bench):
    readings = bench.run(0.1)
    assert all(r.plant_state is PlantState.DAMPING for r in readings)
    bench.hold(0.1)
    assert bench.plant.state is PlantState.DAMPING, (
        "an active command without an inactive one before must not arm"
    )
    bench.activate()
    assert bench.plant.state is PlantState.ACTIVE


def test_watchdog_damps_after_20_ms_of_silence_and_latches(bench):
    bench.activate()
    silent = bench.now_ns - 5 * MS
    readings = bench.run(0.05)
    first = next(r for r in readings if r.plant_state is PlantState.DAMPING)
    assert 20 <= (first.stamp_ns - silent) / MS <= 24
    assert first.watchdog_trips == 1
    bench.hold(0.1)
    assert bench.plant.state is PlantState.DAMPING
    bench.activate()
    assert bench.plant.state is PlantState.ACTIVE


def test_repeating_one_sequence_counts_as_silence(bench):
    bench.activate()
    same = bench.command()
    bench.run(0.05, lambda: same)
    assert bench.plant.state is PlantState.DAMPING


def test_commands_that_are_not_finite_are_rejected(bench):
    bench.activate()
    poison = bench.spec.default_rad.copy()
    poison[3] = np.nan
    bench.run(0.1, lambda: bench.command(position_rad=poison))
    assert bench.plant.actuation.rejected > 1
    assert bench.plant.state is PlantState.DAMPING
    assert np.all(np.isfinite(bench.plant.data.qpos))


def test_set_points_come_at_500_hz_and_move_in_steps_between_commands(bench):
    bench.activate()
    before = bench.plant.actuation.set_points
    bench.hold(1.0)
    assert bench.plant.actuation.set_points - before == 500
    goal = bench.spec.default_rad.copy()
    elbow = bench.spec.index(("left_elbow_joint",))[0]
    goal[elbow] -= 0.02
    seen = []
    bench.plant.apply(bench.command(position_rad=goal, interpolation_s=0.010))
    for _ in range(16):
        bench.plant.step(bench.now_ns)
        bench.now_ns += MS
        seen.append(bench.plant.actuation._position[elbow])
    steps = np.diff(np.array(seen)[::2])
    assert seen[-1] == pytest.approx(goal[elbow])
    assert steps.min() == pytest.approx(-0.004), "5 steps of 2 ms"


def test_a_command_takes_effect_after_its_latency(make_bench):
    base = PlantConfig()
    slow = replace(base, actuation=replace(base.actuation, latency_s=0.006))
    delays = []
    for config in (base, slow):
        bench = make_bench(config)
        bench.activate()
        bench.hold(0.02)
        bench.plant.apply(bench.command(effort_feedforward_nm=np.full(31, 0.1)))
        wanted = bench.sequence
        start = bench.now_ns
        while bench.plant.actuation.last_sequence != wanted:
            bench.run(0.001)
        delays.append((bench.now_ns - start) / MS)
    assert delays[1] - delays[0] == pytest.approx(4.0, abs=1.0)


def test_readings_are_at_most_2_ms_apart_and_carry_their_capture_time(make_bench):
    bench = make_bench(PlantConfig(sensors=SensorConfig(latency_s=0.004)))
    stamps, ages = [], []
    for _ in range(200):
        if bench.plant.step(bench.now_ns):
            stamps.append(bench.plant.reading().stamp_ns)
            ages.append(bench.now_ns - stamps[-1])
        bench.now_ns += MS
    assert set(np.diff(stamps)) == {2 * MS}
    assert set(ages) == {4 * MS}


def test_limits_hold_whatever_is_asked(bench):
    bench.activate()
    wild = np.full(31, 50.0)
    readings = bench.hold(
        0.5, position_rad=wild, stiffness=np.full(31, 5000.0), effort_feedforward_nm=wild * 100
    )
    torque = np.array([r.effort_nm for r in readings])
    assert np.all(np.abs(torque) <= bench.spec.effort_nm + 2.0), "2 N m is ten deviations of the torque noise"
    assert bench.plant.actuation.limited > 0
    over = bench.plant.data.qpos[bench.plant._joints] - bench.spec.upper_rad
    assert over.max() < 0.05


def test_torque_falls_with_speed(bench):
    bench.activate()
    spec, plant = bench.spec, bench.plant
    elbow = spec.index(("left_elbow_joint",))[0]
    plant.data.qvel[plant.sensors._dof[elbow]] = 0.98 * spec.velocity_rad_s[elbow]
    plant.actuation.update(plant.data, bench.now_ns)
    low, high = plant.model.actuator_forcerange[plant.actuation._act[elbow]]
    assert high < 0.1 * spec.effort_nm[elbow] and low == -spec.effort_nm[elbow]


def test_noise_is_on_by_default_and_can_be_turned_off(make_bench):
    def spread(config):
        bench = make_bench(config)
        bench.run(4.0)
        readings = bench.run(0.5)
        gyro = np.array([r.imus["pelvis"].angular_velocity_rad_s for r in readings])
        return np.std([r.position_rad for r in readings], axis=0).max(), np.diff(gyro, axis=0).std()

    noisy, quiet = spread(None), spread(PlantConfig(sensors=SensorConfig.ideal()))
    assert noisy[0] > 1e-4 and noisy[1] > 5e-3
    assert quiet[1] < 1e-4


def test_standing_on_the_rope_the_imu_reads_gravity_upwards(bench):
    bench.run(1.5)
    acceleration = np.mean([r.imus["pelvis"].linear_acceleration_m_s2 for r in bench.run(0.2)], axis=0)
    assert acceleration[2] == pytest.approx(9.81, abs=0.3)


def test_a_disabled_joint_gives_no_torque_and_says_so(bench):
    bench.activate()
    bench.plant.actuation.set_fault("left_knee_joint", JointFault.DISABLED)
    reading = bench.hold(0.1, position_rad=np.zeros(31))[-1]
    knee = bench.spec.index(("left_knee_joint",))[0]
    assert reading.fault[knee] == JointFault.DISABLED and reading.fault.sum() == JointFault.DISABLED
    assert abs(reading.effort_nm[knee]) < 1.5
    bench.plant.reset(seed=1)
    assert bench.plant.actuation.fault.sum() == 0


def test_a_lost_imu_freezes_and_comes_back(bench):
    before = bench.run(0.1)[-1]
    bench.plant.lose_imu("pelvis")
    lost = bench.run(0.1)[-1]
    assert lost.imus["pelvis"].stamp_ns <= before.imus["pelvis"].stamp_ns + 4 * MS
    assert lost.imus["torso"].stamp_ns == lost.stamp_ns
    bench.plant.lose_imu("pelvis", lost=False)
    assert bench.run(0.1)[-1].imus["pelvis"].stamp_ns > lost.imus["pelvis"].stamp_ns
    with pytest.raises(ValueError, match="no IMU"):
        bench.plant.lose_imu("knee")


def test_lost_state_gives_no_new_readings(bench):
    bench.run(0.1)
    bench.plant.lose_state()
    assert bench.run(0.05) == []
    bench.plant.lose_state(False)
    assert len(bench.run(0.05)) >= 24


def test_motors_warm_up_under_load(bench):
    bench.activate()
    knee = bench.spec.index(("left_knee_joint",))[0]
    start = bench.plant.reading().temperature_c[knee]
    push = np.zeros(31)
    push[knee] = 60.0
    reading = bench.hold(1.0, effort_feedforward_nm=push)[-1]
    assert reading.temperature_c[knee] > start


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(make_bench):
    def log(seed):
        bench = make_bench(seed=seed)
        bench.activate()
        bench.plant.push("torso_link", (40.0, 0.0, 0.0), 0.1)
        readings = bench.hold(0.4)
        parts = [r.position_rad for r in readings] + [r.imus["torso"].quaternion_wxyz for r in readings]
        return np.concatenate(parts).tobytes() + bench.plant.data.qpos.tobytes()

    first = log(3)
    assert first == log(3)
    assert first != log(4)


def test_reset_repeats_the_start_exactly(bench):
    first = [r.position_rad for r in bench.run(0.2)]
    bench.hold(0.1)
    bench.plant.reset(seed=0)
    again = [r.position_rad for r in bench.run(0.2)]
    np.testing.assert_array_equal(first, again)
    with pytest.raises(ValueError, match="task"):
        bench.plant.reset(task="elsewhere")
