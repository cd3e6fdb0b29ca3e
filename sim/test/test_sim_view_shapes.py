"""What the browser is given to draw: closed surfaces of the right size, in the right place and colour."""

import mujoco
import numpy as np
import pytest
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.view import shapes
from wbvla_sim.world import build_world

MODEL = """
<mujoco>
  <asset>
    <texture name="grey" type="2d" builtin="flat" rgb1="0.5 0.25 0" width="8" height="8"/>
    <material name="paint" texture="grey" rgba="1 1 0.5 1"/>
    <mesh name="wedge" vertex="0 0 0  1 0 0  0 1 0  0 0 1"/>
  </asset>
  <worldbody>
    <geom type="plane" size="0 3 0.1" rgba="0 1 0 1"/>
    <body pos="1 0 0">
      <geom type="box" size="0.1 0.2 0.3" pos="0 0 1" euler="0 0 90" material="paint"/>
      <geom type="sphere" size="0.5" material="paint"/>
      <geom type="sphere" size="0.5" rgba="1 0 0 0"/>
      <geom type="capsule" size="0.1 0.4" group="3"/>
      <geom type="mesh" mesh="wedge" rgba="0 0 1 1"/>
    </body>
  </worldbody>
</mujoco>"""


def volume(triangles):
    a, b, c = (triangles.vertices[triangles.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6.0)


@pytest.mark.parametrize(
    ("solid", "expected"),
    [
        (shapes.box(np.array([0.1, 0.2, 0.3])), 0.048),
        (shapes.cylinder(0.5, 1.0), np.pi * 0.25 * 2.0),
        (shapes.capsule(0.5, 0.0), 4.0 / 3.0 * np.pi * 0.125),
        (shapes.capsule(0.5, 1.0), 4.0 / 3.0 * np.pi * 0.125 + np.pi * 0.25 * 2.0),
    ],
)
def test_solids_are_closed_and_turn_their_outside_out(solid, expected):
    assert volume(solid) == pytest.approx(expected, rel=0.04)
    edges = np.sort(
        np.concatenate([solid.faces[:, [0, 1]], solid.faces[:, [1, 2]], solid.faces[:, [2, 0]]]), axis=1
    )
    places = np.round(solid.vertices[edges].reshape(-1, 6), 9)
    _, seen = np.unique(np.sort(places.reshape(-1, 2, 3), axis=1).reshape(-1, 6), axis=0, return_counts=True)
    assert (seen % 2 == 0).all()


def test_parts_are_gathered_by_body_and_colour_without_what_is_not_to_be_seen():
    parts = shapes.parts_of(mujoco.MjModel.from_xml_string(MODEL))
    assert [(part.body, part.rgba) for part in parts] == [
        (0, (0.0, 1.0, 0.0, 1.0)),
        (1, (0.498, 0.247, 0.0, 1.0)),
        (1, (0.0, 0.0, 1.0, 1.0)),
    ]
    floor, painted, wedge = (part.triangles for part in parts)
    assert np.abs(floor.vertices).max(axis=0).tolist() == [shapes.ENDLESS_M, 3.0, 0.0]
    assert painted.vertices.min(axis=0) == pytest.approx([-0.5, -0.5, -0.5], abs=0.01)
    assert painted.vertices.max(axis=0) == pytest.approx([0.5, 0.5, 1.3], abs=0.01)
    tall = painted.vertices[painted.vertices[:, 2] > 0.6]
    assert np.abs(tall).max(axis=0)[:2] == pytest.approx([0.2, 0.1])
    assert volume(wedge) == pytest.approx(1.0 / 6.0)


def test_every_look_of_robot_and_scene_is_drawn():
    model = build_world(RobotSpec.load("x2_ultra"), "box_cart", 1).model
    parts = shapes.parts_of(model)
    drawn = {model.body(part.body).name for part in parts}
    looks = {
        model.body(model.geom_bodyid[g]).name for g in range(model.ngeom) if model.geom_group[g] in (0, 2)
    }
    assert drawn == looks and {"pelvis", "cart", "box", "platform", "world"} <= drawn
    assert sum(len(part.triangles.faces) for part in parts) < 60_000


def test_ropes_are_drawn_while_the_robot_hangs_only():
    model = build_world(RobotSpec.load("x2_ultra"), "empty", 1).model
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    model.tendon_rgba[:, 3] = 0.0
    assert shapes.rope_points(model, data).shape == (0, 2, 3)
    model.tendon_rgba[:, 3] = 1.0
    ropes = shapes.rope_points(model, data)
    assert ropes.shape == (2, 2, 3)
    assert ropes[0, 0] == pytest.approx(data.site("gantry_bar_left").xpos)
