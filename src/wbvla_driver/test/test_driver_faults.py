"""The fault table on the driver core in lock-step: each fault found in time, told with its reason, in its end
state."""

import numpy as np
import pytest
from wbvla_core.safety import SafetyConfig
from wbvla_core.types import PlantState, Reason, Source, State
from wbvla_driver.config import DriverConfig

MS = 1_000_000


@pytest.mark.parametrize(
    ("source", "reason"), [(Source.VLA, Reason.VLA_LOST), (Source.TELEOP, Reason.TELEOP_LOST)]
)
def test_a_silent_source_ends_in_standing_with_legs_at_rest_and_is_taken_up_again(bench, source, reason):
    bench.active(source)
    bench.source_alive = False
    assert bench.until(State.STANDING) <= 255  # 200 ms after its last message, which was up to 50 ms ago
    assert reason in bench.reasons()
    assert bench.run(40) and bench.locos[-1].flags == (0, 0, 0)
    assert bench.locos[-1].source == Source.NONE
    bench.run(2000)
    assert bench.core.state == State.STANDING
    bench.source_alive = True
    assert bench.until(State.ACTIVE) <= 100
    assert bench.core.authority[0] == source


def test_velocity_comes_to_rest_within_half_a_second_of_a_loss(bench):
    from wbvla_core.types import LocoMode

    bench.active()
    for _ in range(200):
        if bench.now_ns // MS % 50 == 0:
            bench.loco(mode=LocoMode.VELOCITY, velocity=(0.8, 0.0, 0.0))
        bench.source_alive = False
        bench.tick()
        if bench.now_ns // MS % 50 == 0:
            bench.arms()
    assert bench.locos[-1].velocity[0] == pytest.approx(0.8)
    bench.until(State.STANDING)
    bench.run(520)
    assert bench.locos[-1].velocity == (0.0, 0.0, 0.0)
    speeds = [loco.velocity[0] for loco in bench.locos]
    assert np.abs(np.diff(speeds)).max() <= 0.8 * 20 / 500 + 1e-9


def test_height_stays_where_it_is_when_the_source_is_lost(bench):
    bench.wanted_height_m = 0.52
    bench.active()
    bench.run(500)
    assert bench.locos[-1].height_m == pytest.approx(0.52)
    bench.source_alive = False
    bench.run(1500)
    assert bench.locos[-1].height_m == pytest.approx(0.52)


def test_arms_finish_their_steps_and_then_hold(bench):
    bench.active()
    bench.arm_value = -0.3
    bench.run(1500)
    bench.source_alive = False
    bench.run(1000)
    held = bench.command.position_rad[bench.spec.index("arms")]
    bench.run(2000)
    np.testing.assert_allclose(bench.command.position_rad[bench.spec.index("arms")], held, atol=0.02)


def test_half_a_source_is_a_lost_source(bench):
    bench.active()
    bench.source = lambda: bench.arms()
    assert bench.until(State.STANDING) <= 255


def test_a_lost_camera_counts_as_the_vla_lost_and_its_chunks_move_nothing(bench):
    bench.camera_alive = True
    bench.active()
    bench.run(500)
    bench.camera_alive = False
    assert bench.until(State.STANDING) <= 370  # 300 ms after the last frame, which was up to 65 ms ago
    assert Reason.CAMERA_LOST in bench.reasons()
    bench.run(300)
    before = bench.command.position_rad
    bench.arm_value = -0.5
    bench.run(1000)
    np.testing.assert_allclose(bench.command.position_rad, before, atol=1e-6)
    bench.camera_alive = True
    assert bench.until(State.ACTIVE) <= 150


def test_a_lost_lmo_is_bridged_and_the_driver_stands_by_itself(bench):
    bench.active()
    bench.lmo_alive = False
    assert bench.until(State.HOLDING_LAST) <= 85  # 60 ms after the last set-point, which was up to 20 ms ago
    assert bench.until(State.LAST_RESORT) <= 45
    assert Reason.LMO_LOST in bench.reasons()
    bench.run(200)
    steps = bench.stand.steps
    bench.run(1000)
    assert bench.stand.steps - steps == 50
    assert bench.command.active
    assert 0.6 < bench.stand.height_m <= 0.66


def test_last_resort_does_not_obey_the_source_and_is_left_by_the_operator(bench):
    bench.active()
    bench.lmo_alive = False
    bench.until(State.LAST_RESORT)
    bench.lmo_alive = True
    bench.run(3000)
    assert bench.core.state == State.LAST_RESORT
    assert bench.locos[-1].flags == (0, 0, 0)
    assert bench.core.release(False, bench.now_ns)[0]
    assert bench.until(State.ACTIVE) <= 200


@pytest.mark.parametrize("change", ["tilt", "feet"])
def test_a_lost_lmo_without_a_stand_ends_in_damping(bench, change):
    bench.active()
    if change == "tilt":
        bench.plant.tilt_rad = np.radians(15)
    else:
        bench.plant.hung = True
    bench.lmo_alive = False
    assert bench.until(State.DAMPING) <= 130
    assert Reason.LMO_LOST in bench.reasons()
    assert not bench.command.active


def test_a_last_resort_that_talks_nonsense_ends_in_damping_at_once(bench):
    bench.active()
    bench.stand.broken = True
    bench.lmo_alive = False
    bench.until(State.DAMPING)
    assert not bench.command.active
    assert Reason.LMO_NOT_FINITE in bench.reasons()


def test_set_points_that_are_not_finite_never_reach_the_plant(bench):
    bench.active()
    bench.lmo_nan = True
    assert bench.until(State.HOLDING_LAST) <= 25
    assert Reason.LMO_NOT_FINITE in bench.reasons()
    assert bench.until(State.LAST_RESORT) <= 45  # three in a row
    assert all(np.isfinite(command.position_rad).all() for command in bench.commands)


def test_one_bad_set_point_is_forgiven(bench):
    bench.active()
    bench.lmo_nan = True
    bench.until(State.HOLDING_LAST)
    bench.lmo_nan = False
    assert bench.until(State.ACTIVE) <= 25


def test_a_lost_robot_state_damps_and_latches(bench):
    bench.active()
    bench.plant.alive = False
    assert bench.until(State.DAMPING) <= 25
    assert Reason.STATE_LOST in bench.reasons()
    bench.plant.alive = True
    bench.run(3000)
    assert bench.core.state == State.DAMPING and not bench.command.active
    assert bench.core.authority[0] == Source.NONE


def test_a_lost_imu_damps_and_latches(bench):
    bench.active()
    bench.plant.imu_alive = False
    assert bench.until(State.DAMPING) <= 45
    assert Reason.IMU_LOST in bench.reasons()
    bench.plant.imu_alive = True
    bench.run(3000)
    assert bench.core.state == State.DAMPING


def test_too_much_tilt_damps_in_one_cycle(bench):
    bench.active()
    bench.plant.tilt_rad = np.radians(61)
    assert bench.until(State.DAMPING) == 5
    assert Reason.TILT in bench.reasons()
    bench.plant.tilt_rad = 0.0
    bench.run(2000)
    assert bench.core.state == State.DAMPING


def test_the_emergency_stop_is_in_the_next_command_and_is_left_only_by_release(bench):
    bench.active()
    bench.core.estop("test", bench.now_ns)
    output = bench.tick()
    assert output.state == State.DAMPING and not output.plant_command.active
    assert Reason.ESTOP in bench.reasons() and bench.core.estop_reason == "test"
    assert not bench.core.release(False, bench.now_ns)[0]
    bench.run(1000)
    assert bench.core.state == State.DAMPING
    bench.source_alive = False
    assert bench.core.release(True, bench.now_ns)[0]
    assert bench.core.estop_reason is None
    bench.run(2700)
    assert bench.core.state == State.STANDING


def test_a_lost_heartbeat_damps_where_it_is_required(make_bench):
    bench = make_bench(DriverConfig(safety=SafetyConfig(heartbeat_timeout_ms=300)))
    bench.run(50)
    assert not bench.core.release(True, bench.now_ns)[0]
    beat, bench.tick = bench.tick, lambda: (bench.core.heartbeat_seen(bench.now_ns), beat())[1]
    bench.active()
    bench.tick = beat
    assert bench.until(State.DAMPING) <= 310
    assert Reason.HEARTBEAT_LOST in bench.reasons()


def test_a_driver_that_hung_damps_instead_of_going_on(bench):
    bench.active()
    bench.now_ns += 200 * MS
    assert bench.tick().state == State.DAMPING
    assert Reason.DRIVER_LOST in bench.reasons()


def test_a_trip_of_the_plants_own_watchdog_is_latched_here_too(bench):
    bench.active()
    bench.plant.trips += 1
    assert bench.tick().state == State.DAMPING
    assert Reason.DRIVER_LOST in bench.reasons()
    assert bench.core.release(True, bench.now_ns)[0]
    assert bench.run(100).state == State.RELEASING  # the old trip does not count again


def test_a_plant_that_does_not_follow_is_found(bench):
    bench.active()
    bench.plant.obedient = False
    bench.plant.state = PlantState.DAMPING
    assert bench.until(State.DAMPING) <= 110
    assert Reason.DRIVER_LOST in bench.reasons()


def test_a_second_publisher_voids_the_session_and_is_told(bench):
    bench.active()
    session = bench.core.authority[1]
    bench.core.second_publisher("vla/arm_target", Source.VLA, bench.now_ns)
    assert bench.core.authority == (Source.VLA, session + 1)
    assert not bench.arms(session=session)
    assert not bench.loco(session=session)
    bench.tick()
    assert Reason.SECOND_PUBLISHER in bench.reasons()
    assert bench.until(State.ACTIVE) <= 100  # the source goes on with the new session


def test_the_successor_of_a_killed_source_is_no_second_publisher(bench):
    bench.active()
    bench.source_alive = False
    bench.until(State.STANDING)
    session = bench.core.authority[1]
    bench.core.second_publisher("vla/arm_target", Source.VLA, bench.now_ns)
    bench.tick()
    assert bench.core.authority == (Source.VLA, session)
    assert Reason.SECOND_PUBLISHER not in bench.reasons()


def test_a_second_locomotion_node_does_not_get_through(bench):
    bench.active()
    wild = np.full(len(bench.spec.lmo_joints), 1.0)
    for _ in range(40):
        bench.tick()
        assert not bench.lmo(sequence=3, position_rad=wild)
    assert Reason.SECOND_PUBLISHER in bench.reasons()
    legs = bench.spec.lmo_index
    assert np.abs(bench.command.position_rad[legs] - bench.spec.default_rad[legs]).max() < 1e-6


def test_targets_beyond_limits_are_clamped_and_told(bench):
    bench.active()
    bench.lmo_alive = False
    for _ in range(10):
        bench.lmo(position_rad=np.full(len(bench.spec.lmo_joints), 3.0))
        bench.tick()
    assert Reason.LIMITED in bench.reasons()
    command, spec = bench.command, bench.spec
    assert bench.core.state == State.ACTIVE
    assert np.all(command.position_rad <= spec.upper_rad) and np.all(command.position_rad >= spec.lower_rad)


def test_what_repeats_is_not_told_at_every_tick(bench):
    bench.active()
    for _ in range(200):
        bench.tick()
        bench.loco(session=99)
    told = [event for event in bench.events if event.reason == Reason.NO_AUTHORITY]
    assert 1 <= len(told) <= 2
    assert bench.core.status().dropped["NO_AUTHORITY"] == 200
