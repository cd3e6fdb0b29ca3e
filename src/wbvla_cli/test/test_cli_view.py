"""What the browser page is told about a scene and its pictures."""

import io

import numpy as np
from PIL import Image
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.tasks.sentences import BOX_LOADING, CART_PUSHING
from wbvla_sim.view.panel import PICTURE_SHAPE
from wbvla_sim.world import build_world

from wbvla_cli import view


def sentences(scene):
    return view.sentences_of(scene, 5, build_world(RobotSpec.load("x2_ultra"), scene, 5).model)


def test_every_sentence_of_a_scene_is_offered_once():
    assert set(sentences("box_cart")) == {BOX_LOADING, CART_PUSHING}
    assert len(sentences("box_cart")) == 2
    balls = sentences("reach_table")
    assert len(balls) == len(set(balls)) == 2
    assert sentences("empty") == ()


def test_a_picture_is_made_small_and_keeps_its_colours():
    large = np.zeros((480, 640, 3), np.uint8)
    large[:, :320] = (200, 20, 20)
    file = io.BytesIO()
    Image.fromarray(large).save(file, format="JPEG")
    small = view.small_picture(file.getvalue())
    assert small.shape == PICTURE_SHAPE
    assert np.abs(small[120, 40].astype(int) - (200, 20, 20)).max() < 12 and small[120, 280].max() < 12
