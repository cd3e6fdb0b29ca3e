"""Backbones give patch features only, are read back as written, and learn without collapsing."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import Dinov2Config, Dinov2Model, Dinov2WithRegistersConfig, Dinov2WithRegistersModel
from wbvla_core.vla_bundle import ImageSection
from wbvla_core.vla_input import prepare_image
from wbvla_sim.video.clip import write_video
from wbvla_training.video.cache import ClipEntry, open_cache
from wbvla_training.vision.backbone import Dinov2Backbone, tiny_config
from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.feature_cache import CachedFeatures, statistics
from wbvla_training.vision.image import model_input, small_pictures, whole_picture
from wbvla_training.vision.train_backbone import BackboneTraining, train_backbone


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors are slower on many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 14,
}


def test_the_tiny_backbone_has_64_tokens_and_is_read_back(tmp_path):
    torch.manual_seed(0)
    backbone = Dinov2Backbone(Dinov2Model(tiny_config()), whole_picture(112))
    assert (backbone.tokens, backbone.width, backbone.grid) == (64, 128, (8, 8))
    backbone.save(tmp_path)
    again = Dinov2Backbone.load(tmp_path)
    assert again.hash == backbone.hash and again.image == backbone.image
    picture = np.random.default_rng(0).integers(0, 255, (2, 90, 120, 3), dtype=np.uint8)
    torch.testing.assert_close(again.of_pictures(picture), backbone.of_pictures(picture))
    assert not any(p.requires_grad for p in again.parameters())


def test_registers_and_class_token_are_dropped(tmp_path):
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=4, **_SMALL))
    model.save_pretrained(tmp_path)
    backbone = Dinov2Backbone.load(tmp_path, whole_picture(56))
    images = torch.randn(3, 3, 56, 56)
    features = backbone.features(images)
    assert features.shape == (3, 16, 32)
    torch.testing.assert_close(features, model.eval()(images).last_hidden_state[:, 5:])


def test_what_is_no_backbone_is_refused(tmp_path):
    with pytest.raises(VisionError, match="wbvla lam backbone"):
        Dinov2Backbone.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(VisionError, match="'vit'; give a DINOv2"):
        Dinov2Backbone.load(tmp_path)
    with pytest.raises(VisionError, match="do not divide into patches of 14"):
        Dinov2Backbone(Dinov2Model(Dinov2Config(**_SMALL)), whole_picture(60))


def test_cached_pictures_give_the_robots_model_input():
    section = ImageSection((0.1, 0.0, 0.9, 1.0), 112, 112, (0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    rgb = np.random.default_rng(1).integers(0, 256, (3, 120, 160, 3), dtype=np.uint8)
    expected = np.concatenate([prepare_image(picture, section) for picture in rgb])
    np.testing.assert_allclose(
        model_input(small_pictures(rgb, section), section).numpy(), expected, atol=1e-6
    )


def test_features_in_use_stay_as_they_are_and_each_way_to_prepare_frames_has_its_own(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (2, 6, 60, 80, 3), dtype=np.uint8)
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "a.mp4", frames[0])
    backbone = Dinov2Backbone(Dinov2Model(Dinov2Config(**_SMALL)), whole_picture(56))
    first = CachedFeatures.open(open_cache(tmp_path / "videos", whole_picture(56)), backbone)
    before = np.array(first.array)
    other = CachedFeatures.open(open_cache(tmp_path / "videos", whole_picture(112)), backbone)
    assert other.array.filename != first.array.filename
    write_video(tmp_path / "videos" / "a.mp4", frames[1])
    anew = CachedFeatures.open(open_cache(tmp_path / "videos", whole_picture(56)), backbone)
    assert not np.array_equal(anew.array, before)
    np.testing.assert_array_equal(first.array, before)


def test_training_lowers_the_error_and_resumes_exactly(tmp_path):
    generator = np.random.default_rng(0)
    for i in range(12):
        blocks = np.kron(generator.integers(0, 255, (8, 6, 8, 3)), np.ones((1, 16, 16, 1))).astype(np.uint8)
        (tmp_path / "videos").mkdir(exist_ok=True)
        write_video(tmp_path / "videos" / f"{i}.mp4", blocks)
    cache = open_cache(tmp_path / "videos", whole_picture(112))
    plan = BackboneTraining(steps=8, batch=4, learning_rate=3e-3, warmup=2, checkpoint_every=4)
    figures = train_backbone([cache], tmp_path / "whole", tmp_path / "model", plan)
    assert np.isfinite(figures["error_share"]) and figures["feature_variance"] > 1e-3
    saved = load_file(tmp_path / "whole" / "checkpoint.safetensors")
    # The run is taken back to its checkpoint at step 4 by stopping there.
    _stop_after(tmp_path, cache, plan, 4)
    train_backbone([cache], tmp_path / "stopped", tmp_path / "model", plan, resume=True)
    resumed = load_file(tmp_path / "stopped" / "checkpoint.safetensors")
    assert resumed.keys() == saved.keys() and all(torch.equal(resumed[name], saved[name]) for name in saved)


def test_without_held_out_clips_there_are_no_figures_and_without_others_no_training(tmp_path):
    (tmp_path / "videos").mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (6, 112, 112, 3), dtype=np.uint8)
    write_video(tmp_path / "videos" / "a.mp4", frames)
    cache = open_cache(tmp_path / "videos", whole_picture(112))
    plan = BackboneTraining(steps=1, batch=2)
    # A clip's name alone decides.
    learned, kept = (replace(cache, clips=(ClipEntry(name, 0, 6),)) for name in ("clip_3.mp4", "clip_1.mp4"))
    assert list(train_backbone([learned], tmp_path / "run", tmp_path / "model", plan)) == ["seconds"]
    with pytest.raises(VisionError, match="every clip is held out"):
        train_backbone([kept], tmp_path / "other", tmp_path / "model", plan)


def test_statistics_of_a_short_and_a_long_folder_are_of_frames_from_everywhere():
    class Numbers:
        def rows(self, frames):
            return torch.from_numpy(np.asarray(frames, np.float32))[:, None, None]

    mean, _ = statistics([(Numbers(), np.arange(1000)), (Numbers(), np.arange(100))])
    assert 0.5 * (400 + 49.5) < float(mean) < 0.5 * (600 + 49.5)


def _stop_after(tmp_path, cache, plan, step):
    """Train, but end as a kill would right after the checkpoint of ``step``."""
    from wbvla_training.vision import train_backbone as module

    class Killed(BaseException):
        pass

    original = module.save_checkpoint

    def save_and_die(folder, model, optimizer, at, settings):
        original(folder, model, optimizer, at, settings)
        if at == step:
            raise Killed

    module.save_checkpoint = save_and_die
    try:
        with pytest.raises(Killed):
            train_backbone([cache], tmp_path / "stopped", tmp_path / "model", plan)
    finally:
        module.save_checkpoint = original
