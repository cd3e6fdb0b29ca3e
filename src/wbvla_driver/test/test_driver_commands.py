"""What passes the mux, what does not, and what reaches the joints."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wbvla_core.types import LocoMode, Reason, Source, State
from wbvla_driver.authority import AuthorityMux, Stream

MS = 1_000_000


def test_nobody_has_authority_at_the_start(bench):
    bench.standing()
    assert bench.core.authority == (Source.NONE, 1)
    assert not bench.loco(source=Source.VLA)
    assert not bench.arms(source=Source.TELEOP)
    assert bench.run(100).state == State.STANDING


def test_each_change_of_authority_makes_a_new_session(bench):
    first, _ = bench.core.set_authority(Source.VLA, 0)
    assert bench.core.set_authority(Source.VLA, 0)[0] == first
    second, _ = bench.core.set_authority(Source.TELEOP, 0)
    third, _ = bench.core.set_authority(Source.VLA, 0)
    assert (second, third) == (first + 1, first + 2)


def test_commands_of_an_old_session_are_void_even_from_the_same_source(bench):
    bench.active()
    old = bench.core.authority[1]
    bench.core.set_authority(Source.TELEOP, bench.now_ns)
    bench.core.set_authority(Source.VLA, bench.now_ns)
    assert not bench.loco(session=old)
    assert bench.loco()


def test_a_takeover_is_instant_and_its_arm_motion_slow(bench):
    bench.arm_value = -0.1
    bench.active()
    bench.core.set_authority(Source.TELEOP, bench.now_ns)
    bench.arm_value = -0.5
    start = len(bench.commands)
    assert bench.until(State.ACTIVE) <= 60
    bench.run(2000)
    arms = bench.spec.index("arms")
    path = np.array([c.position_rad[arms] for c in bench.commands[start:]])
    assert np.abs(np.diff(path, axis=0)).max() / 0.005 < 1.01
    inside = np.clip(-0.5, bench.spec.lower_rad[arms], bench.spec.upper_rad[arms])
    np.testing.assert_allclose(path[-1], inside, atol=1e-6)


def test_a_restarted_source_may_count_from_one_again(bench):
    bench.active()
    bench.source_alive = False
    bench.run(400)
    bench.sequence = 0
    assert bench.loco() and bench.arms()


def test_a_lower_sequence_within_a_living_stream_is_refused(bench):
    bench.active()
    assert bench.loco()
    bench.sequence -= 5
    assert not bench.loco()
    bench.tick()
    assert Reason.SECOND_PUBLISHER in bench.reasons()


@pytest.mark.parametrize(
    "changes",
    [
        {"height_m": float("nan")},
        {"height_m": 1e9},
        {"velocity": (0.0, float("inf"), 0.0)},
        {"flags": (2, 0, 0)},
        {"flags": (1, 0)},
        {"mode": 7},
        {"stamp_ns": 0},
        {"observation_stamp_ns": 0},
    ],
)
def test_a_bad_locomotion_command_is_dropped_and_told(bench, changes):
    bench.active()
    bench.run(2000)
    assert not bench.loco(**changes)
    bench.tick()
    assert Reason.BAD_MESSAGE in bench.reasons()
    assert bench.core.state == State.ACTIVE


def test_stamps_in_the_future_are_bad(bench):
    bench.active()
    assert bench.loco(stamp_ns=bench.now_ns + 40 * MS)
    assert not bench.loco(stamp_ns=bench.now_ns + 60 * MS)
    assert not bench.arms(observation_stamp_ns=bench.now_ns + 60 * MS)


def test_stamps_of_another_clock_are_understood(bench):
    bench.active()
    bench.core.clock_offset_ns = 10**18
    assert not bench.loco()
    assert bench.loco(stamp_ns=bench.now_ns + 10**18, observation_stamp_ns=bench.now_ns + 10**18)
    assert bench.tick().plant_command.stamp_ns == bench.now_ns + 10**18


@pytest.mark.parametrize(
    "changes",
    [
        {"joint_names": ("left_elbow_joint", "tail_joint"), "positions": np.zeros((4, 2))},
        {"joint_names": ("left_knee_joint",), "positions": np.zeros((4, 1))},
        {"joint_names": ("left_elbow_joint",) * 2, "positions": np.zeros((4, 2))},
        {"joint_names": (), "positions": np.zeros((4, 0))},
        {"positions": np.zeros((4, 3))},
        {"positions": np.full((4, 14), np.nan)},
        {"positions": np.full((4, 14), 1e12)},
        {"positions": np.zeros((65, 14)), "time_from_start_ns": np.arange(65) * MS},
        {"positions": np.zeros((0, 14)), "time_from_start_ns": np.zeros(0, np.int64)},
        {"time_from_start_ns": np.array([0, 2, 1, 3]) * MS},
        {"time_from_start_ns": np.array([-1, 0, 1, 2]) * MS},
        {"time_from_start_ns": np.array([0, 1, 2, 60_000]) * MS},
    ],
)
def test_a_bad_chunk_is_dropped_and_moves_nothing(bench, changes):
    bench.active()
    bench.run(1000)
    before = bench.command.position_rad
    assert not bench.arms(**changes)
    bench.run(30)
    assert Reason.BAD_MESSAGE in bench.reasons()
    np.testing.assert_allclose(bench.command.position_rad, before, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"joint_names": ("a",) * 13}, Reason.MISMATCH),
        ({"position_rad": np.zeros(12)}, Reason.BAD_MESSAGE),
        ({"stiffness": np.full(13, -1.0)}, Reason.BAD_MESSAGE),
        ({"effort_feedforward_nm": np.full(13, np.inf)}, Reason.LMO_NOT_FINITE),
        ({"state_stamp_ns": 0}, Reason.BAD_MESSAGE),
    ],
)
def test_a_bad_set_point_of_the_locomotion_policy_is_refused(bench, changes, reason):
    bench.active()
    assert not bench.lmo(**changes)
    bench.tick()
    assert reason in bench.reasons()


def test_set_points_in_another_order_reach_their_joints(bench):
    bench.active()
    bench.lmo_alive = False
    spec = bench.spec
    wanted = spec.default_rad[spec.lmo_index] + 0.01 * np.arange(13)
    order = np.arange(13)[::-1]
    names = tuple(np.array(spec.lmo_joints)[order])
    bench.lmo(joint_names=names, position_rad=wanted[order])
    bench.tick()
    np.testing.assert_allclose(bench.command.position_rad[spec.lmo_index], wanted, atol=1e-9)


def test_velocity_and_height_beyond_their_range_are_cut_and_told(bench):
    bench.active()
    bench.source_alive = False
    for _ in range(60):
        bench.run(50)
        bench.arms()
        assert bench.loco(mode=LocoMode.VELOCITY, velocity=(5.0, 0.0, 0.0), height_m=0.9)
    assert bench.locos[-1].velocity[0] == pytest.approx(0.8)
    assert bench.locos[-1].height_m == pytest.approx(0.66)
    assert Reason.LIMITED in bench.reasons()


def test_the_locomotion_command_keeps_the_stamps_of_its_source(bench):
    bench.active()
    loco = bench.locos[-1]
    assert (loco.source, loco.session) == bench.core.authority
    assert loco.flags == (1, 0, 0)
    assert 0 <= loco.stamp_ns - loco.observation_stamp_ns <= 60 * MS
    gaps = np.diff([item.stamp_ns for item in bench.locos])
    assert set(gaps) == {20 * MS}


def test_the_recorded_arm_action_is_what_passed_the_mux_before_clamps(bench):
    bench.active()
    bench.arm_value = -3.05
    recorded = [bench.tick().arm_target for _ in range(400)]
    recorded = [target for target in recorded if target is not None]
    names = recorded[-1].joint_names
    elbow = names.index("left_elbow_joint")
    assert recorded[-1].positions[0, elbow] == pytest.approx(-3.05)
    reached = bench.command.position_rad[bench.spec.index(("left_elbow_joint",))[0]]
    assert reached == pytest.approx(bench.spec.lower_rad[bench.spec.index(("left_elbow_joint",))[0]])
    assert recorded[-1].source == Source.VLA and names[-2:] == bench.spec.hand_names


def test_more_chunks_than_a_tick_can_hold_are_refused(bench):
    bench.active()
    kept = [bench.arms() for _ in range(20)]
    assert sum(kept) == 8


messages = st.lists(
    st.tuples(
        st.sampled_from(list(Stream)),
        st.sampled_from([Source.VLA, Source.TELEOP]),
        st.integers(0, 3),
        st.integers(0, 30),
        st.integers(0, 300),
        st.sampled_from([None, Source.NONE, Source.VLA, Source.TELEOP]),
    ),
    max_size=60,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages)
def test_whatever_races_only_the_present_source_and_session_in_order_pass(schedule):
    mux = AuthorityMux(stale_ms=200)
    now = 0
    last: dict[Stream, tuple[int, int]] = {}
    for stream, source, session_back, sequence, wait_ms, change in schedule:
        now += wait_ms * MS
        if change is not None:
            before = mux.session
            mux.grant(change)
            if mux.session != before:
                last.clear()
        session = mux.session - session_back
        reason, why = mux.check(stream, source, session, sequence, now)
        fits = source == mux.source and session == mux.session
        previous = last.get(stream)
        in_order = previous is None or sequence > previous[0] or now - previous[1] > 200 * MS
        assert (reason == Reason.NONE) == (fits and in_order), why
        if reason == Reason.NONE:
            mux.mark(stream, sequence, now)
            last[stream] = (sequence, now)
            assert mux.age_ns(now) is not None
