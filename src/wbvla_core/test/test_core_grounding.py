"""In the air the legs hold the stance; on the ground the controller's feedback fades in."""

from dataclasses import replace

import numpy as np
import pytest
from wbvla_core.bundle import load_bundle
from wbvla_core.grounding import GroundedController, GroundingConfig
from wbvla_core.lmo import LmoController
from wbvla_core.paths import bundle_path
from wbvla_core.posture import reference
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import LocoCommand, RobotState

SPEC = RobotSpec.load("x2_ultra")
WEIGHT_N = 9.81 * sum(link.mass_kg for link in SPEC.links)


class Loads:
    def __init__(self):
        self.share = 0.0

    def foot_forces_n(self, position_rad, effort_nm, base_quaternion_wxyz):
        return np.full(2, 0.5 * self.share * WEIGHT_N)


@pytest.fixture
def loads():
    return Loads()


@pytest.fixture
def grounded(loads):
    bundle = load_bundle(bundle_path("lmo/stand"), "lmo", SPEC)
    controller = GroundedController(LmoController(bundle, SPEC), SPEC, loads, GroundingConfig())
    controller.reset(tilted(), 0.64)
    return controller


def tilted(angle_rad=0.1):
    half = 0.5 * angle_rad
    return RobotState(
        0, 0, SPEC.default_rad.copy(), np.zeros(SPEC.n), np.zeros(SPEC.n), np.zeros(2),
        np.array([np.cos(half), 0.0, np.sin(half), 0.0]), np.zeros(3), np.array([0.0, 0.0, 9.81]),
    )  # fmt: skip


def stance(controller):
    height = np.array([controller.height_m])
    return reference(controller._controller.posture_table, height, height)[0]


def test_in_the_air_the_legs_hold_the_stance_without_feedback_or_gravity(grounded):
    for _ in range(50):
        answer = grounded.step(tilted(), LocoCommand(height_m=0.60))
    np.testing.assert_allclose(answer.position_rad, stance(grounded), atol=1e-12)
    assert grounded.height_m == pytest.approx(0.60, abs=1e-6)
    assert not np.any(answer.effort_feedforward_nm) and not grounded.grounded


def test_after_touch_down_the_feedback_fades_in_and_starts_anew(grounded, loads):
    for _ in range(20):
        grounded.step(tilted(), LocoCommand(height_m=0.64))
    loads.share = 0.9
    sizes = []
    for _ in range(15):
        answer = grounded.step(tilted(), LocoCommand(height_m=0.64))
        sizes.append(np.abs(answer.position_rad - stance(grounded)).max())
    assert grounded.grounded
    assert sizes[0] < 0.2 * sizes[-1] and sizes[-1] > 0.01
    assert np.abs(answer.effort_feedforward_nm).max() > 1.0
    law = answer.stiffness * (answer.position_rad - tilted().position_rad[SPEC.lmo_index])
    np.testing.assert_allclose(answer.effort_nm, law + answer.effort_feedforward_nm, atol=1e-9)


def test_a_moment_without_load_is_a_stumble_and_a_longer_one_a_hoist(grounded, loads):
    loads.share = 1.0
    for _ in range(20):
        grounded.step(tilted(0.0), LocoCommand(height_m=0.64))
    loads.share = 0.0
    for _ in range(10):
        grounded.step(tilted(0.0), LocoCommand(height_m=0.64))
    assert grounded.grounded
    for _ in range(6):
        grounded.step(tilted(0.0), LocoCommand(height_m=0.64))
    assert not grounded.grounded


def test_what_is_not_finite_is_refused_as_by_the_controller(grounded):
    broken = tilted()
    with pytest.raises(ArithmeticError):
        grounded.step(replace(broken, position_rad=broken.position_rad * np.nan), LocoCommand(height_m=0.64))
