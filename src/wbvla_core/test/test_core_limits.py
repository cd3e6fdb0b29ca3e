"""Set-points are clamped to position, speed and torque, and the report names what was clamped."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from wbvla_core.limits import JointLimits, SetPoint, clamp, law_effort_nm

LIMITS = JointLimits(
    lower_rad=np.array([-1.0, -0.5, 0.0]),
    upper_rad=np.array([1.0, 0.5, 2.0]),
    velocity_rad_s=np.array([10.0, 5.0, 4.0]),
    effort_nm=np.array([120.0, 24.0, 4.8]),
)
NAMES = ("hip", "ankle", "wrist")


def set_point(position=(0.0, 0.0, 1.0), velocity=(0, 0, 0), kp=(100, 40, 20), kd=(4, 2, 0.5), ff=(0, 0, 0)):
    return SetPoint(*(np.array(v, float) for v in (position, velocity, kp, kd, ff)))


def test_what_is_within_limits_passes_unchanged():
    wanted = set_point()
    out, report = clamp(wanted, np.array([0.1, 0.0, 1.1]), np.zeros(3), LIMITS)
    assert not report.any and report.describe(NAMES) == ""
    np.testing.assert_array_equal(out.position_rad, wanted.position_rad)


def test_each_kind_of_excess_is_clamped_and_named():
    wanted = set_point(position=(3.0, 0.0, 1.0), velocity=(0, -50, 0), kd=(4, 0.1, 0.5), ff=(0, 0, 9.0))
    out, report = clamp(wanted, np.array([0.9, 0.0, 1.0]), np.zeros(3), LIMITS)
    assert out.position_rad[0] == 1.0
    assert out.velocity_rad_s[1] == -5.0
    assert law_effort_nm(out, np.array([0.9, 0.0, 1.0]), np.zeros(3))[2] == pytest.approx(4.8)
    assert report.describe(NAMES) == "position: hip; velocity: ankle; effort: wrist"


def test_torque_excess_moves_the_position_before_the_feedforward():
    out, report = clamp(set_point(position=(0, 0, 2.0)), np.array([0, 0, 0.5]), np.zeros(3), LIMITS)
    assert report.effort.tolist() == [False, False, True]
    assert out.position_rad[2] == pytest.approx(0.5 + 4.8 / 20)
    assert out.effort_feedforward_nm[2] == 0.0


def test_without_stiffness_the_feedforward_takes_the_cut():
    wanted = set_point(kp=(0, 0, 0), ff=(500, 0, 0))
    out, _ = clamp(wanted, np.zeros(3) + 0.5, np.zeros(3), LIMITS)
    assert out.effort_feedforward_nm[0] == pytest.approx(120.0)


finite = st.floats(-100, 100)
vector = arrays(float, 3, elements=finite)
gain = arrays(float, 3, elements=st.one_of(st.just(0.0), st.floats(0.01, 300)))


@settings(max_examples=200, deadline=None)
@given(vector, vector, gain, gain, vector, vector, vector)
def test_clamped_torque_never_exceeds_the_effort_and_position_stays_in_range(q, qd, kp, kd, ff, meas, rate):
    out, _ = clamp(SetPoint(q, qd, kp, kd, ff), meas, rate, LIMITS)
    torque = law_effort_nm(out, meas, rate)
    assert np.all(np.abs(torque) <= LIMITS.effort_nm * (1 + 1e-9) + 1e-6)
    assert np.all((out.position_rad >= LIMITS.lower_rad) & (out.position_rad <= LIMITS.upper_rad))
    assert np.all(np.abs(out.velocity_rad_s) <= LIMITS.velocity_rad_s)


@settings(max_examples=100, deadline=None)
@given(vector, vector, gain, gain, vector, vector, vector)
def test_clamping_twice_changes_nothing_more(q, qd, kp, kd, ff, meas, rate):
    once, _ = clamp(SetPoint(q, qd, kp, kd, ff), meas, rate, LIMITS)
    twice, _ = clamp(once, meas, rate, LIMITS)
    np.testing.assert_allclose(twice.position_rad, once.position_rad, atol=1e-6)
    np.testing.assert_allclose(
        law_effort_nm(twice, meas, rate), law_effort_nm(once, meas, rate), rtol=1e-6, atol=1e-5
    )


def test_nonsense_limits_are_refused():
    ones = np.ones(2)
    with pytest.raises(ValueError, match="below upper_rad"):
        JointLimits(ones, ones, ones, ones)
    with pytest.raises(ValueError, match="one length"):
        JointLimits(-np.ones(3), ones, ones, ones)
    with pytest.raises(ValueError, match="positive"):
        JointLimits(-ones, ones, 0 * ones, ones)
    with pytest.raises(ValueError, match="finite"):
        JointLimits(-ones, ones, np.full(2, np.nan), ones)
