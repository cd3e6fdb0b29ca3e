"""What raised arms weigh for the standing feedback."""

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.upper_balance import UpperBalance

SPEC = RobotSpec.load("x2_ultra")


def posed(**joints: float) -> np.ndarray:
    position = SPEC.default_rad.copy()
    for name, angle in joints.items():
        for side in ("left", "right"):
            position[SPEC.index(f"{side}_{name}_joint")[0]] = angle
    return position


def test_the_default_pose_and_small_motions_stay_as_they_are():
    balance = UpperBalance(SPEC)
    np.testing.assert_allclose(balance.equivalent(SPEC.default_rad), SPEC.default_rad, atol=1e-12)
    small = posed(shoulder_pitch=0.18, elbow=-0.33)
    assert np.abs(balance.equivalent(small) - small).max() < 0.01


def test_arms_out_before_the_chest_shift_what_they_really_shift():
    balance = UpperBalance(SPEC)
    carrying = posed(shoulder_pitch=-0.6, elbow=-1.6)
    real, linear = balance.shift_m(carrying)
    assert 0.02 < real[0] < 0.05 and linear[0] > 1.5 * real[0]
    changed = balance.equivalent(carrying)
    np.testing.assert_allclose(balance.shift_m(changed)[1], real, atol=1e-9)
    np.testing.assert_array_equal(changed[SPEC.lmo_index], carrying[SPEC.lmo_index])


def test_left_and_right_are_treated_alike():
    balance = UpperBalance(SPEC)
    one_arm = SPEC.default_rad.copy()
    one_arm[SPEC.index("left_shoulder_roll_joint")[0]] = 1.4
    other = SPEC.default_rad.copy()
    other[SPEC.index("right_shoulder_roll_joint")[0]] = -1.4
    left, right = balance.shift_m(one_arm)[0], balance.shift_m(other)[0]
    np.testing.assert_allclose(left, right * [1.0, -1.0], atol=2e-3)
