"""Every row of the fault table: found in time, with its reason, in its end state."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wbvla_core.safety import SafetyConfig, SafetyInputs, SafetyMachine
from wbvla_core.types import Reason, Source, State

MS = 1_000_000
TICK = 5 * MS
GOOD = SafetyInputs(state_age_ns=0, imu_age_ns=0, tilt_rad=0.0, lmo_age_ns=0, feet_down=lambda: True)


class Run:
    """A machine at 200 Hz under inputs that the test changes."""

    def __init__(self, **config):
        self.machine = SafetyMachine(SafetyConfig(**config))
        self.now_ns = 0
        self.inputs = GOOD
        self.events = []

    def tick(self, **changes):
        self.now_ns += TICK
        self.inputs = replace(self.inputs, **changes)
        decision = self.machine.update(self.inputs, self.now_ns)
        self.events += decision.events
        return decision

    def ticks(self, ms, **changes):
        for _ in range(ms // 5):
            decision = self.tick(**changes)
        return decision

    def until(self, state, age_field, limit_ms=2000):
        """Let an age grow from now on; ms until ``state`` is reached."""
        for ms in range(5, limit_ms, 5):
            if self.tick(**{age_field: ms * MS}).state == state:
                return ms
        raise AssertionError(f"{state.name} not reached, state is {self.machine.state.name}")

    def standing(self):
        self.tick()
        assert self.machine.release(True, self.now_ns)[0]
        assert self.ticks(2200).state == State.STANDING
        return self

    def active(self, source=Source.VLA):
        self.standing()
        assert self.tick(source=source, source_age_ns=0).state == State.ACTIVE
        return self


def test_it_starts_damped_and_stays_so_without_release():
    run = Run()
    assert run.ticks(5000).state == State.DAMPING


@pytest.mark.parametrize(
    ("source", "reason"), [(Source.VLA, Reason.VLA_LOST), (Source.TELEOP, Reason.TELEOP_LOST)]
)
def test_a_lost_source_ends_in_standing_within_200_ms_and_resumes(source, reason):
    run = Run().active(source)
    assert run.until(State.STANDING, "source_age_ns") <= 205
    assert run.machine.reason == reason
    assert run.tick(source_age_ns=0).state == State.ACTIVE


def test_a_lost_camera_counts_as_the_vla_lost_within_300_ms():
    run = Run().active(Source.VLA)
    assert run.until(State.STANDING, "camera_age_ns") <= 305
    assert run.machine.reason == Reason.CAMERA_LOST


def test_a_lost_camera_does_not_concern_teleoperation():
    run = Run().active(Source.TELEOP)
    assert run.tick(camera_age_ns=10_000 * MS).state == State.ACTIVE


def test_a_lost_lmo_is_bridged_from_60_to_100_ms_and_then_the_last_resort_stands():
    run = Run().active()
    assert run.until(State.HOLDING_LAST, "lmo_age_ns") == 65
    assert run.machine.reason == Reason.LMO_LOST
    assert run.tick(lmo_age_ns=100 * MS).state == State.HOLDING_LAST
    assert run.tick(lmo_age_ns=105 * MS).state == State.LAST_RESORT


@pytest.mark.parametrize("change", [{"tilt_rad": 0.18}, {"feet_down": lambda: False}])
def test_a_lost_lmo_ends_in_damping_where_no_stand_is_possible(change):
    run = Run().standing()
    run.tick(**change)
    assert run.until(State.DAMPING, "lmo_age_ns") == 105
    assert run.machine.reason == Reason.LMO_LOST


def test_a_short_silence_of_the_lmo_is_forgiven():
    run = Run().active()
    run.tick(lmo_age_ns=80 * MS)
    assert run.machine.state == State.HOLDING_LAST
    assert run.tick(lmo_age_ns=0).state == State.ACTIVE


def test_bad_set_points_are_seen_at_once_and_end_the_bridge_after_three():
    run = Run().active()
    assert run.tick(lmo_bad_in_row=1, lmo_age_ns=20 * MS).state == State.HOLDING_LAST
    assert run.machine.reason == Reason.LMO_NOT_FINITE
    assert run.tick(lmo_bad_in_row=2, lmo_age_ns=40 * MS).state == State.HOLDING_LAST
    assert run.tick(lmo_bad_in_row=3, lmo_age_ns=60 * MS).state == State.LAST_RESORT


def test_the_last_resort_is_left_only_by_an_operator_after_a_second_of_good_set_points():
    run = Run().active()
    run.until(State.LAST_RESORT, "lmo_age_ns")
    assert not run.machine.release(True, run.now_ns)[0]
    assert run.ticks(500, lmo_age_ns=0).state == State.LAST_RESORT
    assert not run.machine.release(True, run.now_ns)[0]
    assert run.ticks(3000).state == State.LAST_RESORT
    assert run.machine.release(False, run.now_ns)[0]
    assert run.tick().state == State.ACTIVE


@pytest.mark.parametrize(
    ("field", "limit_ms", "reason"),
    [("state_age_ns", 20, Reason.STATE_LOST), ("imu_age_ns", 40, Reason.IMU_LOST)],
)
def test_lost_state_or_imu_damps_in_time_and_latches(field, limit_ms, reason):
    run = Run().active()
    assert run.until(State.DAMPING, field) <= limit_ms + 5
    assert run.machine.reason == reason
    assert run.ticks(2000, **{field: 0}).state == State.DAMPING


@pytest.mark.parametrize("tilt_rad", [1.06, float("nan")])
def test_too_much_tilt_damps_in_one_cycle_and_latches(tilt_rad):
    run = Run().active()
    decision = run.tick(tilt_rad=tilt_rad)
    assert (decision.state, decision.reason) == (State.DAMPING, Reason.TILT)
    assert run.ticks(1000, tilt_rad=0.0).state == State.DAMPING


def test_a_lost_heartbeat_damps_where_one_is_required():
    run = Run(heartbeat_timeout_ms=500)
    run.tick(heartbeat_age_ns=0)
    run.active()
    assert run.until(State.DAMPING, "heartbeat_age_ns") <= 505
    assert run.machine.reason == Reason.HEARTBEAT_LOST
    relaxed = Run().active()
    assert relaxed.tick(heartbeat_age_ns=None).state == State.ACTIVE


def test_a_loop_that_hung_damps():
    run = Run().active()
    run.now_ns += 150 * MS
    decision = run.tick()
    assert (decision.state, decision.reason) == (State.DAMPING, Reason.DRIVER_LOST)


def reach(state):
    run = Run(heartbeat_timeout_ms=0)
    if state == State.DAMPING:
        run.tick()
    elif state == State.RELEASING:
        run.tick()
        run.machine.release(True, run.now_ns)
    elif state in (State.HOLDING_LAST, State.LAST_RESORT):
        run.active()
        run.until(state, "lmo_age_ns")
    else:
        run = run.active() if state == State.ACTIVE else run.standing()
    assert run.machine.state == state
    return run


@pytest.mark.parametrize(
    "state",
    [State.DAMPING, State.RELEASING, State.STANDING, State.ACTIVE, State.HOLDING_LAST, State.LAST_RESORT],
)
def test_the_emergency_stop_reaches_damping_from_every_state(state):
    run = reach(state)
    run.machine.estop("red button", run.now_ns)
    decision = run.tick()
    assert (decision.state, decision.reason) == (State.DAMPING, Reason.ESTOP)
    assert run.machine.estop_reason == "red button"
    assert any(event.reason == Reason.ESTOP for event in decision.events)


def test_release_needs_the_hoist_a_state_and_no_fault():
    run = Run()
    assert not run.machine.release(True, 0)[0]
    run.tick()
    ok, sentence = run.machine.release(False, run.now_ns)
    assert not ok and "hoist" in sentence
    run.tick(imu_age_ns=90 * MS)
    ok, sentence = run.machine.release(True, run.now_ns)
    assert not ok and "IMU" in sentence
    run.tick(imu_age_ns=0)
    run.machine.estop("x", run.now_ns)
    assert run.machine.release(True, run.now_ns)[0]
    assert run.machine.estop_reason is None
    ok, sentence = run.machine.release(True, run.now_ns)
    assert not ok and "RELEASING" in sentence


def test_release_waits_for_the_lmo_and_gives_up_at_last():
    run = Run()
    run.tick(lmo_age_ns=None)
    run.machine.release(True, run.now_ns)
    assert run.ticks(11_000).state == State.RELEASING
    decision = run.ticks(1500)
    assert (decision.state, decision.reason) == (State.DAMPING, Reason.LMO_LOST)


def test_authority_withdrawn_ends_in_standing():
    run = Run().active()
    decision = run.tick(source=Source.NONE, source_age_ns=None)
    assert (decision.state, decision.reason) == (State.STANDING, Reason.OPERATOR)


def test_transitions_are_reported_once():
    run = Run().active()
    run.ticks(1000, source_age_ns=900 * MS)
    assert [e.reason for e in run.events] == [
        Reason.OPERATOR, Reason.OPERATOR, Reason.NONE, Reason.VLA_LOST,
    ]  # fmt: skip


@pytest.mark.parametrize(
    "config", [{"state_timeout_ms": 0}, {"lmo_hold_ms": 50.0}, {"tilt_limit_deg": float("nan")}]
)
def test_a_senseless_configuration_is_refused(config):
    with pytest.raises(ValueError, match="safety"):
        SafetyConfig(**config)


ages = st.one_of(st.none(), st.sampled_from([0, 10, 50, 90, 150, 250, 400]).map(lambda ms: ms * MS))


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(ages, ages, ages, ages, st.sampled_from([0.0, 0.3, 1.2]), st.sampled_from(list(Source)),
                  st.booleans(), st.booleans()),
        max_size=40,
    )
)  # fmt: skip
def test_no_sequence_of_faults_leaves_damping_without_release_nor_keeps_a_critical_fault(steps):
    run = Run()
    for state_age, imu_age, lmo_age, source_age, tilt, source, release, estop in steps:
        before = run.machine.state
        released = release and run.machine.release(True, run.now_ns)[0]
        if estop:
            run.machine.estop("test", run.now_ns)
        decision = run.ticks(
            500,
            state_age_ns=state_age,
            imu_age_ns=imu_age,
            lmo_age_ns=lmo_age,
            source_age_ns=source_age,
            tilt_rad=tilt,
            source=source,
        )
        if before == State.DAMPING and not released:
            assert decision.state == State.DAMPING
        fresh = state_age is not None and state_age <= 20 * MS and imu_age is not None and imu_age <= 40 * MS
        if estop or not fresh or tilt > 1.05:
            assert decision.state == State.DAMPING
