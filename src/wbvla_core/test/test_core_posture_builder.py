"""The X2's posture table: every row stands as it says, and a swinging foot rises straight up."""

import mujoco
import numpy as np
import pytest
from wbvla_core.model import build_mjspec, joint_addresses
from wbvla_core.posture_builder import PostureBuilder
from wbvla_core.robot_spec import RobotSpec

from wbvla_core import posture


@pytest.fixture(scope="module")
def spec():
    return RobotSpec.load("x2_ultra")


@pytest.fixture(scope="module")
def builder(spec):
    return PostureBuilder(spec)


@pytest.fixture(scope="module")
def table(builder):
    return builder.table()


def place(spec, driven_rad, lean):
    model = build_mjspec(spec, hands=False, visuals=False, bodies_collide=False).compile()
    data = mujoco.MjData(model)
    pose = spec.default_rad.copy()
    pose[spec.lmo_index] = driven_rad
    data.qpos[3:7] = (np.cos(lean / 2), 0, np.sin(lean / 2), 0)
    data.qpos[joint_addresses(model, spec)[0]] = pose
    mujoco.mj_forward(model, data)
    return model, data


@pytest.mark.parametrize("height_m", [0.45, 0.50, 0.56, 0.64, 0.66])
def test_row_stands_flat_at_its_height_with_the_mass_over_the_feet(spec, table, height_m):
    at = np.array([height_m])
    lean = float(np.arcsin(posture.trunk_gravity(table, at)[0, 0]))
    _, data = place(spec, posture.reference(table, at, at)[0], lean)
    for foot in spec.feet:
        body = data.body(foot.link)
        assert data.xpos[1, 2] - body.xpos[2] + 0.073 == pytest.approx(height_m, abs=5e-4)
        np.testing.assert_allclose(body.xmat.reshape(3, 3), np.eye(3), atol=2e-3)
        assert data.subtree_com[1, 0] - body.xpos[0] == pytest.approx(0.035, abs=5e-4)


def test_trunk_is_upright_where_the_robot_walks_and_ankles_keep_off_their_stop(spec, table):
    lean = dict(zip(table.heights_m, table.trunk_pitch_rad, strict=True))
    assert max(pitch for h, pitch in lean.items() if h >= 0.54) == 0.0
    assert 0.1 < lean[0.5] < 0.2
    ankle = spec.lmo_joints.index("left_ankle_pitch_joint")
    lowest = min(row[ankle] for row in table.joints_rad)
    assert lowest >= spec.lower_rad[spec.index("left_ankle_pitch_joint")[0]] + 0.05


def test_swinging_foot_rises_straight_up_and_level(spec, table):
    heights = np.array([0.62])
    before = place(spec, posture.reference(table, heights, heights)[0], 0.0)[1].body("left_ankle_roll_link")
    start, level = before.xpos.copy(), before.xmat.copy()
    lifted = place(spec, posture.reference(table, heights - 0.08, heights)[0], 0.0)[1].body(
        "left_ankle_roll_link"
    )
    np.testing.assert_allclose(lifted.xpos - start, [0, 0, 0.08], atol=6e-3)
    np.testing.assert_allclose(lifted.xmat, level, atol=2e-3)


def test_gravity_torques_carry_half_the_weight_on_each_foot_symmetrically(spec, table):
    """The engine's own static balance: with these torques and half the weight per foot no joint
    accelerates."""
    at = np.array([0.6])
    torque = posture.gravity_torque(table, at)[0]
    names = spec.lmo_joints
    knee, ankle = torque[names.index("left_knee_joint")], torque[names.index("left_ankle_pitch_joint")]
    # half the weight 35 mm ahead of the ankle, less the foot's own share of it
    assert ankle == pytest.approx(0.5 * 41.97 * 9.81 * 0.035, rel=0.2)
    assert knee < -15.0
    mirrored = [names.index(n.replace("left_", "right_")) for n in names if n.startswith("left_")]
    np.testing.assert_allclose(torque[:6], torque[mirrored] * [1, -1, -1, 1, 1, -1], atol=0.2)


def test_height_out_of_reach_is_refused(spec, builder):
    with pytest.raises(ValueError, match="x2_ultra"):
        builder.solve(0.75, spec.default_rad)
