"""The dataset's video codec changes a chunk a little; how much is measured on the pictures of a bag."""

from __future__ import annotations

import numpy as np
import pytest
from wbvla_core.vla_input import decode_jpeg
from wbvla_training.data.samples import SampleEpisode, write_sample
from wbvla_training.vla.codec import codec_difference
from wbvla_training.vla.errors import VlaError
from wbvla_vla_node.policy import Chunk


class PictureMean:
    """A policy whose only joint is the brightness of one corner of the picture."""

    name = "mean"

    def infer(self, observation, capture_stamp_ns):
        rgb = observation.image_rgb
        if rgb is None:
            rgb = decode_jpeg(observation.image_jpeg)
        return Chunk(("joint",), np.full((2, 1), rgb[:40, :40].mean() / 255.0), 0.1, np.zeros((2, 4)))


def test_difference_through_the_codec_is_small_but_not_nothing(tmp_path):
    write_sample(tmp_path / "bag", SampleEpisode(seconds=1.0, pictures=8))
    found = codec_difference(PictureMean(), "touch", np.zeros(36), [tmp_path / "bag"], 5)
    assert found["pictures"] == 5 and found["flags_equal"] == 1.0
    assert 0.0 < found["mean"] <= found["p99"] <= found["largest"] < 0.02


def test_no_bag_is_refused():
    with pytest.raises(VlaError, match="--bags"):
        codec_difference(PictureMean(), "touch", np.zeros(36), [], 5)
