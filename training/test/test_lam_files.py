"""A trained model is read back as written and labels frames; what does not belong together is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Dinov2Config, Dinov2Model
from wbvla_training.lam import files
from wbvla_training.lam.configuration import LamConfig
from wbvla_training.lam.labels import LatentLabeller
from wbvla_training.lam.modeling import LatentActionModel
from wbvla_training.lam.processing import LamProcessor
from wbvla_training.vision.backbone import Dinov2Backbone
from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.image import whole_picture


@pytest.fixture(autouse=True)
def _one_thread():
    """Small tensors are slower on many threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _backbone(seed):
    torch.manual_seed(seed)
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=56, patch_size=14
    )
    return Dinov2Backbone(Dinov2Model(config), whole_picture(56))


@pytest.fixture
def folder(tmp_path):
    """A model folder and, beside it, its backbone."""
    backbone = _backbone(0)
    backbone.save(tmp_path / "backbone")
    config = LamConfig(tokens=4, codes=16, dim=8, width=32, encoder_depth=1, decoder_depth=1, heads=2, patches=16,
                       feature_width=32, gap_s=0.5)  # fmt: skip
    model = LatentActionModel(config).eval()
    lam = files.Lam("loco", model, LamProcessor(backbone, torch.zeros(32), torch.ones(32)))
    files.save(lam, tmp_path / "loco", "../backbone")
    return tmp_path / "loco"


def _pictures(seed, count=6):
    return np.random.default_rng(seed).integers(0, 255, (count, 60, 80, 3), dtype=np.uint8)


def test_labels_are_codes_of_pairs(folder):
    labeller = LatentLabeller.load(folder)
    codes = labeller.label(_pictures(0), _pictures(1), batch=4)
    assert codes.shape == (6, 4) and codes.dtype == np.int64 and codes.min() >= 0 and codes.max() < 16
    assert (labeller.tokens, labeller.codes, labeller.gap_s, labeller.variant) == (4, 16, 0.5, "loco")
    assert labeller.codebook.shape == (16, 8)
    np.testing.assert_array_equal(codes, LatentLabeller.load(folder).label(_pictures(0), _pictures(1)))
    assert labeller.label(_pictures(0)[:0], _pictures(1)[:0]).shape == (0, 4)


def test_a_sequence_is_labelled_as_its_pairs(folder):
    labeller = LatentLabeller.load(folder)
    clip = _pictures(2, 12)
    codes = labeller.label_sequence(clip, rate_hz=10.0, batch=5)
    later = np.minimum(np.arange(12) + 5, 11)
    np.testing.assert_array_equal(codes, labeller.label(clip, clip[later]))


def test_the_codebook_of_another_model_is_refused(folder):
    known = LatentLabeller.load(folder).codebook_hash
    assert LatentLabeller.load(folder, codebook_hash=known).codebook_hash == known
    with pytest.raises(VisionError, match="codes of another latent action model"):
        LatentLabeller.load(folder, codebook_hash="0" * 16)


def test_weights_of_another_training_are_refused(folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["model.quantizer.codebook"] = tensors["model.quantizer.codebook"] + 1.0
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(VisionError, match="the two files come from different trainings"):
        LatentLabeller.load(folder)


def test_another_backbone_is_refused(folder):
    _backbone(1).save(folder.parent / "backbone")
    with pytest.raises(VisionError, match="restore that backbone or train this model again"):
        LatentLabeller.load(folder)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "config.json").unlink(), "wbvla lam train"),
        (lambda f: (f / "config.json").write_text("{"), "no latent action model"),
        (lambda f: (f / "config.json").write_text('{"format": 99}'), "format 1"),
        (lambda f: (f / "model.safetensors").write_bytes(b"nothing"), "weights cannot be used"),
        (lambda f: _change(f, model={"tokens": 4}), "weights cannot be used"),
        (lambda f: _change(f, image={"width": 56}), "not an image section"),
        (lambda f: _change(f, variant="legs"), "variant is missing or wrong"),
    ],
)
def test_damage_is_named(folder, damage, message):
    damage(folder)
    with pytest.raises(VisionError, match=message):
        LatentLabeller.load(folder)


def _change(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))


def test_pictures_that_are_no_pairs_are_refused(folder):
    with pytest.raises(VisionError, match="give pairs"):
        LatentLabeller.load(folder).label(_pictures(0, 3), _pictures(0, 4))
