"""Chunks merge without jumps, past steps are not replayed, the end is held, speed never exceeds its limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wbvla_core.chunk import ChunkConfig, ChunkMerger
from wbvla_core.types import ArmTarget

MS = 1_000_000
NAMES = ("a", "b", "grip")
TICK = 5 * MS


def merger(speed=(10.0, 10.0, 5.0), config=None):
    return ChunkMerger(NAMES, np.array([-2.0, -2, 0]), np.array([2.0, 2, 1]), np.array(speed), config)


def chunk(rows, stamp_ms=0, step_ms=100, first_ms=0, names=NAMES):
    rows = np.atleast_2d(np.asarray(rows, float))
    times = (first_ms + step_ms * np.arange(len(rows))) * MS
    return ArmTarget(names, rows, times, stamp_ms * MS)


def run(m, start_ms, end_ms):
    """Sample every 5 ms; positions [T, J]."""
    return np.array([m.sample(t * MS)[0] for t in range(start_ms, end_ms + 1, 5)])


def test_it_follows_a_ramp_and_holds_its_end():
    m = merger()
    m.reset(np.zeros(3), 0)
    ramp = np.linspace(0, 1, 11)[:, None] * np.array([1.0, -1.0, 0.5])
    merged = m.merge(chunk(ramp), 0)
    assert (merged.used, merged.skipped) == (10, 1)
    path = run(m, 0, 1500)
    np.testing.assert_allclose(path[120], [0.6, -0.6, 0.3], atol=1e-6)
    np.testing.assert_allclose(path[-1], [1.0, -1.0, 0.5], atol=1e-9)
    _, velocity = m.sample(1505 * MS)
    np.testing.assert_array_equal(velocity, 0)


def test_steps_already_past_are_skipped_and_not_replayed():
    m = merger()
    m.reset(np.array([0.5, 0, 0]), 450 * MS)
    ramp = np.linspace(0, 1, 11)[:, None] * np.array([1.0, 0, 0])
    merged = m.merge(chunk(ramp), 450 * MS)
    assert merged.skipped == 5
    path = run(m, 450, 1000)
    assert path[:, 0].min() >= 0.49  # a replay would begin at 0


def test_a_new_chunk_is_blended_and_not_jumped_to():
    m = merger()
    m.reset(np.zeros(3), 0)
    m.merge(chunk(np.zeros((2, 3)), step_ms=1000), 0)
    run(m, 0, 100)
    m.merge(chunk(np.full((10, 3), 0.5), stamp_ms=100), 100 * MS)
    path = run(m, 100, 400)
    assert np.abs(np.diff(path, axis=0)).max() < 0.02  # the jump would be 0.5
    np.testing.assert_allclose(path[-1], 0.5)
    assert path[20, 0] == pytest.approx(0.25, abs=1e-6)


def test_joints_that_a_chunk_does_not_name_go_on_as_planned():
    m = merger()
    m.reset(np.zeros(3), 0)
    m.merge(chunk(np.linspace(0, 1, 11)[:, None] * np.ones(3)), 0)
    run(m, 0, 200)
    m.merge(chunk([[-0.5], [-0.5]], stamp_ms=200, first_ms=100, names=("b",)), 200 * MS)
    path = run(m, 200, 1200)
    np.testing.assert_allclose(path[-1], [1.0, -0.5, 1.0], atol=1e-9)
    np.testing.assert_allclose(path[80, [0, 2]], [0.6, 0.6], atol=1e-6)


def test_names_in_another_order_reach_their_joints():
    m = merger()
    m.reset(np.zeros(3), 0)
    m.merge(chunk([[0.9, 0.1, 0.2]], first_ms=50, names=("grip", "a", "b")), 0)
    np.testing.assert_allclose(run(m, 0, 600)[-1], [0.1, 0.2, 0.9])


def test_a_chunk_that_ended_long_ago_changes_nothing():
    m = merger()
    m.reset(np.zeros(3), 0)
    merged = m.merge(chunk(np.ones((3, 3))), 900 * MS)
    assert merged.used == 0 and merged.skipped == 3
    assert run(m, 900, 1500).max() == 0.0


def test_a_chunk_that_just_ended_is_still_reached():
    m = merger()
    m.reset(np.zeros(3), 0)
    m.merge(chunk([[0.3, 0.3, 0.3]], stamp_ms=0), 100 * MS)
    np.testing.assert_allclose(run(m, 100, 600)[-1], 0.3)


def test_targets_outside_the_range_are_cut_to_it():
    m = merger()
    m.reset(np.zeros(3), 0)
    m.merge(chunk([[9.0, -9.0, 7.0]], first_ms=100), 0)
    np.testing.assert_allclose(run(m, 0, 2000)[-1], [2, -2, 1])


def test_a_takeover_is_slow_however_far_the_target():
    m = merger(config=ChunkConfig(takeover_speed=1.0))
    m.reset(np.zeros(3), 0)
    m.merge(chunk(np.full((20, 3), 1.0), step_ms=50), 0, takeover=True)
    path = run(m, 0, 2000)
    assert np.abs(np.diff(path, axis=0)).max() / 0.005 < 1.001
    np.testing.assert_allclose(path[-1], 1.0)


def test_a_takeover_stays_slow_while_further_chunks_arrive():
    m = merger(config=ChunkConfig(takeover_speed=1.0))
    m.reset(np.zeros(3), 0)
    path = [np.zeros((1, 3))]
    for k in range(20):
        m.merge(chunk(np.full((10, 3), 1.0), stamp_ms=100 * k), 100 * k * MS, takeover=k == 0)
        path.append(run(m, 100 * k + 5, 100 * k + 100))
    speed = np.abs(np.diff(np.concatenate(path), axis=0)).max() / 0.005
    assert speed < 1.001
    np.testing.assert_allclose(path[-1][-1], 1.0, atol=1e-6)


def test_after_a_takeover_the_motion_is_as_fast_as_before():
    m = merger(config=ChunkConfig(takeover_speed=1.0))
    m.reset(np.zeros(3), 0)
    m.merge(chunk(np.full((2, 3), 0.2), step_ms=500), 0, takeover=True)
    run(m, 0, 500)
    m.merge(chunk(np.array([[0.2] * 3, [1.0] * 3]), stamp_ms=500, step_ms=200), 500 * MS)
    path = run(m, 500, 900)
    assert np.abs(np.diff(path, axis=0)).max() / 0.005 > 3.0


def test_a_fast_stream_lags_by_little_more_than_its_interval():
    m = merger()
    m.reset(np.zeros(3), 0)
    for ms in range(0, 2000, 20):  # a hand that moves at 0.3 unit/s, one step ahead by 40 ms
        m.merge(chunk(np.full((1, 3), 0.0003 * (ms + 40)), stamp_ms=ms, first_ms=40), ms * MS)
        m.sample((ms + 10) * MS)
        position, _ = m.sample((ms + 20) * MS)
    assert position[0] == pytest.approx(0.6, abs=0.3 * 0.06)


def test_hold_comes_to_rest_within_the_fade():
    m = merger()
    m.reset(np.zeros(3), 0)
    m.merge(chunk(np.linspace(0, 1, 11)[:, None] * np.ones(3)), 0)
    run(m, 0, 500)
    m.hold(500 * MS)
    path = run(m, 500, 1000)
    np.testing.assert_allclose(path[-1], 0.6, atol=0.02)
    np.testing.assert_allclose(path[41:], path[-1:].repeat(len(path) - 41, 0), atol=1e-9)


def test_stamps_of_another_clock_are_shifted():
    m = merger()
    m.reset(np.zeros(3), 0)
    m.merge(chunk(np.ones((11, 3)) * 0.4, stamp_ms=5_000_000), 0, clock_offset_ns=5_000_000 * MS)
    np.testing.assert_allclose(run(m, 0, 500)[-1], 0.4)


def test_a_measured_start_outside_the_range_does_not_jump():
    m = merger()
    m.reset(np.array([2.3, 0, 0]), 0)
    position, _ = m.sample(TICK)
    assert position[0] == pytest.approx(2.3 - 10.0 * 0.005)
    assert m.limited.tolist() == [True, False, False]


def test_memory_stays_bounded_under_overlapping_partial_chunks():
    m = merger()
    m.reset(np.zeros(3), 0)
    for k in range(300):
        names = ("a",) if k % 2 else ("b",)
        m.merge(chunk(np.full((64, 1), 0.1), stamp_ms=20 * k, step_ms=97, names=names), 20 * k * MS)
        m.sample(20 * k * MS)
    assert len(m._plan.times_ns) <= m.config.max_knots
    np.testing.assert_allclose(run(m, 6000, 8000)[-1], [0.1, 0.1, 0.0], atol=1e-6)


rows = st.lists(st.tuples(*[st.floats(-5, 5)] * 3), min_size=1, max_size=12)
events = st.lists(
    st.tuples(st.integers(5, 400), rows, st.integers(-300, 300), st.integers(5, 200), st.booleans()),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(events)
def test_whatever_arrives_the_speed_limit_and_the_range_hold(schedule):
    m = merger(speed=(3.0, 6.0, 2.0))
    m.reset(np.zeros(3), 0)
    now = 0
    previous = np.zeros(3)
    for gap, values, stamp_shift, step, takeover in schedule:
        for _ in range(gap // 5):
            now += 5
            position, velocity = m.sample(now * MS)
            assert np.all(np.abs(position - previous) <= np.array([3.0, 6.0, 2.0]) * 0.005 + 1e-12)
            assert np.all(np.abs(velocity) <= np.array([3.0, 6.0, 2.0]) + 1e-9)
            assert np.all(position >= [-2, -2, 0]) and np.all(position <= [2, 2, 1])
            previous = position
        m.merge(chunk(values, stamp_ms=now + stamp_shift, step_ms=step), now * MS, takeover=takeover)
