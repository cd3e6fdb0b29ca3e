"""The designed stander and the walker take turns by the walker's clock, blended, and only where a bundle can walk."""

from dataclasses import replace

import numpy as np
import pytest
from wbvla_core.bundle import load_bundle
from wbvla_core.lmo import LmoController
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.stand_and_walk import StandAndWalk, with_stander
from wbvla_core.types import LegWaistCommand, LocoCommand, RobotState

SPEC = RobotSpec.load("x2_ultra")


class Constant:
    """A controller that always asks for ``value``."""

    joint_names, dt_s, height_m = SPEC.lmo_joints, 0.02, 0.64
    lean = np.zeros((1, 3))

    def __init__(self, value, stepping=False, names=SPEC.lmo_joints):
        self.name, self.value, self.stepping, self.joint_names = str(value), value, stepping, names
        self.resets = 0

    def reset(self, state, height_m):
        self.resets += 1

    def step(self, state, command):
        full = np.full(len(self.joint_names), float(self.value))
        return LegWaistCommand(self.joint_names, full, 0 * full, full, full, full, full)


def test_the_walker_takes_over_gradually_and_hands_back():
    stander, walker = Constant(0), Constant(1)
    both = StandAndWalk(stander, walker, fade_s=0.1)
    both.reset(None, 0.64)
    assert stander.resets == walker.resets == 1
    assert both.step(None, LocoCommand(0.64)).position_rad[0] == 0.0
    walker.stepping = True
    shares = [both.step(None, LocoCommand(0.64)).stiffness[0] for _ in range(7)]
    np.testing.assert_allclose(shares, [0.2, 0.4, 0.6, 0.8, 1.0, 1.0, 1.0])
    walker.stepping = False
    assert both.step(None, LocoCommand(0.64)).damping[0] == pytest.approx(0.8)


def test_controllers_of_different_joints_are_refused():
    with pytest.raises(ValueError, match="different joints"):
        StandAndWalk(Constant(0), Constant(1, names=SPEC.lmo_joints[:3]))


def test_only_a_bundle_that_can_walk_gets_a_stander():
    stand = load_bundle(bundle_path("lmo/stand"), "lmo", SPEC)
    assert isinstance(with_stander(stand, SPEC), LmoController)
    walking = replace(stand, section=replace(stand.section, command_modes=("flags",)))
    assert isinstance(with_stander(walking, SPEC), StandAndWalk)


def leaning(pitch_rad, rate_rad_s=0.0):
    n, rates = SPEC.n, np.array([0.0, rate_rad_s, 0.0])
    quaternion = np.array([np.cos(0.5 * pitch_rad), 0.0, np.sin(0.5 * pitch_rad), 0.0])
    return RobotState(0, 0, SPEC.default_rad, *np.zeros((2, n)), np.zeros(2), quaternion, rates, np.zeros(3))


def test_the_lean_of_a_squat_is_no_fall_and_the_same_lean_upright_is():
    both = with_stander(load_bundle(bundle_path("lmo/x2"), "lmo", SPEC), SPEC)
    squat, stance = LocoCommand(0.52), LocoCommand(0.64)
    both.reset(leaning(0.0), 0.64)
    for pitch in np.linspace(0.0, 0.23, 60):
        both.step(leaning(pitch), squat)
    assert both.height_m == pytest.approx(0.52) and not both.stepping
    both.step(leaning(0.23, rate_rad_s=0.6), squat)
    assert not both.stepping, "a jerk while lifting"
    both.step(leaning(0.23, rate_rad_s=1.6), squat)
    assert both.stepping
    for lean, rate in ((0.23, 0.0), (0.0, 0.8)):
        both.reset(leaning(0.0), 0.64)
        both.step(leaning(lean, rate), stance)
        assert both.stepping
