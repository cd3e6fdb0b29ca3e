"""What training exports is what the robot runs: torch and ONNX agree, live input is dataset input, and what does not
fit is refused with its reason."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from safetensors.torch import load_file, save_file
from vla_training_samples import CONTRACT, ROWS, SIDE, SPEC, toy_config, toy_examples
from wbvla_core.bundle import BundleError
from wbvla_core.vla_input import InputError
from wbvla_training.vla.bench import measure
from wbvla_training.vla.configuration import CONFIG_FILE
from wbvla_training.vla.errors import VlaError
from wbvla_training.vla.export import TOLERANCE, export
from wbvla_training.vla.files import WEIGHTS_FILE, load_vla, new_vla, save_vla
from wbvla_training.vla.finetune import FinetuneOptions, with_statistics
from wbvla_vla_node.bundle_policy import BundlePolicy
from wbvla_vla_node.policy import Observation, PolicyError
from wbvla_vla_node.torch_policy import load_torch_policy

SENTENCE = "touch the red ball with your left hand"
AUTOREGRESSIVE = {
    "decoding": "autoregressive",
    "language": replace(toy_config().language, attention="causal"),
}


@pytest.fixture(scope="module")
def examples(tmp_path_factory):
    return toy_examples(tmp_path_factory.mktemp("toy") / "examples", episodes=2, each=10)


@pytest.fixture(scope="module", params=["parallel", "autoregressive"])
def exported(request, examples, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    config = toy_config(**(AUTOREGRESSIVE if request.param == "autoregressive" else {}))
    rows = np.arange(len(examples))
    vla = with_statistics(new_vla(config), [(examples, rows)], {"mani": "m1", "loco": "l1"})
    save_vla(folder / "model", vla)
    return folder / "model", export(load_vla(folder / "model"), folder / "bundle", "toy")


@pytest.fixture
def bundle(exported, tmp_path):
    return shutil.copytree(exported[1].bundle.path, tmp_path / "bundle")


def look(seed: int = 0) -> Observation:
    rng = np.random.default_rng(seed)
    return Observation(
        SENTENCE,
        rng.normal(0, 0.3, 36).astype(np.float32),
        image_rgb=rng.integers(0, 255, (120, 160, 3), dtype=np.uint8),
    )


def test_torch_and_onnx_give_the_same_chunk_and_codes(exported):
    assert exported[1].difference <= TOLERANCE
    onnx = BundlePolicy.load(exported[1].bundle.path, SPEC, CONTRACT.hash)
    torch_policy = load_torch_policy(exported[1].bundle.path, SPEC, CONTRACT.hash, "cpu")
    for seed in range(3):
        a, b = onnx.infer(look(seed), 5), torch_policy.infer(look(seed), 5)
        np.testing.assert_allclose(a.positions, b.positions, atol=TOLERANCE)
        np.testing.assert_array_equal(a.loco[:, :3], b.loco[:, :3])
        np.testing.assert_array_equal(a.latent.manipulation_codes, b.latent.manipulation_codes)
        assert a.positions.shape == (ROWS, 16) and a.latent.observation_stamp_ns == 5
        assert set(a.stages_ms) == {"decode", "prepare", "vision", "language", "decoder"}
        assert set(np.unique(a.loco[:, :3])) <= {-1.0, 0.0, 1.0} and 0.0 <= a.progress <= 1.0


def test_bench_reports_every_stage(exported):
    found = measure(BundlePolicy.load(exported[1].bundle.path, SPEC), 5, SENTENCE)
    assert {"decode", "vision", "language", "decoder"} <= set(found["stages"]) and found["tick"]["p99_ms"] > 0


def test_broken_state_shows_in_the_chunk_even_where_the_decoder_is_blind(exported):
    policy = BundlePolicy.load(exported[1].bundle.path, SPEC)
    state = np.zeros(36, np.float32)
    state[0] = np.nan
    chunk = policy.infer(Observation(SENTENCE, state, image_rgb=np.zeros((48, 64, 3), np.uint8)), 0)
    assert np.isnan(chunk.positions).all() and np.isnan(chunk.loco[:, :3]).all()


@pytest.mark.parametrize(
    ("sentence", "word"),
    [
        ("walk " * 2000, "at most 512"),
        ("please walk to the table and then touch the red ball with your left hand and go back", "tokens"),
        ("请用左手触摸红色的球", "tokens"),
        ("", "empty"),
    ],
)
def test_sentences_that_the_model_cannot_take_are_refused_with_one_clear_message(exported, sentence, word):
    policy = BundlePolicy.load(exported[1].bundle.path, SPEC)
    with pytest.raises(InputError, match=word):
        policy.check(sentence)


def test_short_sentence_outside_of_ascii_is_taken_byte_by_byte(exported):
    policy = BundlePolicy.load(exported[1].bundle.path, SPEC)
    assert policy.check(" 走 ") == "走"
    assert np.isfinite(policy.infer(replace(look(), instruction="走"), 0).positions).all()


def test_sentence_changes_the_chunk(exported):
    policy = BundlePolicy.load(exported[1].bundle.path, SPEC)
    a, b = policy.infer(look(), 0), policy.infer(replace(look(), instruction="touch the blue ball"), 0)
    assert np.abs(a.positions - b.positions).max() > 1e-6


def test_frame_that_is_no_picture_is_a_failed_inference(exported):
    with pytest.raises(PolicyError, match="not a whole JPEG"):
        BundlePolicy.load(exported[1].bundle.path, SPEC).infer(
            Observation(SENTENCE, np.zeros(36, np.float32), b"no"), 0
        )


def change(folder: Path, edit) -> None:
    file = folder / "bundle.json"
    data = json.loads(file.read_text())
    edit(data["vla"], data)
    file.write_text(json.dumps(data))


def test_bundle_with_another_tokenizer_is_refused(bundle):
    import hashlib

    text = (bundle / "tokenizer.json").read_text().replace('"▁touch"', '"▁hit"')
    (bundle / "tokenizer.json").write_text(text)
    with pytest.raises(BundleError, match=r"tokenizer\.json: SHA-256"):
        BundlePolicy.load(bundle, SPEC)
    digest = hashlib.sha256(text.encode()).hexdigest()
    change(bundle, lambda _vla, data: data["files"].update({"tokenizer.json": digest}))
    with pytest.raises(BundleError, match="not the one that the model was trained with"):
        BundlePolicy.load(bundle, SPEC)


def test_bundle_with_a_missing_network_is_refused(bundle):
    (bundle / "language.onnx").unlink()
    with pytest.raises(BundleError, match=r"language\.onnx: missing"):
        BundlePolicy.load(bundle, SPEC)


def test_bundle_for_pictures_of_another_size_is_refused(bundle):
    change(bundle, lambda vla, _data: vla["image"].update(width=112, height=112))
    with pytest.raises(BundleError, match=r"vision\.onnx.*export it again"):
        BundlePolicy.load(bundle, SPEC)
    with pytest.raises(BundleError, match="image or decoding differ"):
        load_torch_policy(bundle, SPEC, None, "cpu")


def test_torch_backend_refuses_codes_of_another_codebook_and_a_bundle_without_weights(bundle):
    change(bundle, lambda vla, _data: vla["codebooks"]["loco"].update(hash="other"))
    with pytest.raises(BundleError, match="codebook 'loco'"):
        load_torch_policy(bundle, SPEC, None, "cpu")
    change(bundle, lambda vla, _data: vla.update(weights="", model=""))
    with pytest.raises(BundleError, match="no weights for torch"):
        load_torch_policy(bundle, SPEC, None, "cpu")


def test_device_that_is_not_there_is_refused(bundle):
    with pytest.raises(BundleError, match="no device 'cuda'"):
        BundlePolicy.load(bundle, SPEC, None, "cuda")


def test_checkpoint_that_lacks_or_misses_weights_is_refused(exported, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "model")
    weights = load_file(folder / WEIGHTS_FILE)
    weights.pop("projector.0.weight")
    save_file(weights, folder / WEIGHTS_FILE)
    with pytest.raises(VlaError, match=r"lacks 1 weights.*projector\.0\.weight"):
        load_vla(folder)
    (folder / WEIGHTS_FILE).unlink()
    with pytest.raises(VlaError, match="weights are missing"):
        load_vla(folder)


def test_checkpoint_for_pictures_of_another_size_or_with_another_tokenizer_is_refused(exported, tmp_path):
    folder = shutil.copytree(exported[0], tmp_path / "model")
    text = (folder / CONFIG_FILE).read_text()
    larger = text.replace(f'"width": {SIDE}', '"width": 112').replace(f'"height": {SIDE}', '"height": 112')
    (folder / CONFIG_FILE).write_text(larger)
    with pytest.raises(VlaError, match="56 px"):
        load_vla(folder)
    (folder / CONFIG_FILE).write_text(text)
    (folder / "tokenizer.json").write_text(
        (folder / "tokenizer.json").read_text().replace('"▁touch"', '"▁hit"')
    )
    with pytest.raises(VlaError, match="not the one that the model was trained with"):
        load_vla(folder)


def test_model_that_never_saw_a_demonstration_is_not_exported(tmp_path):
    with pytest.raises(VlaError, match="fine-tune it"):
        export(new_vla(toy_config()), tmp_path / "bundle", "toy")


def test_export_leaves_the_rounded_weights_in_both_forms(exported):
    weights = load_file(exported[1].bundle.path / "model.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in weights.values())
    assert exported[1].size < 20e6


def test_training_goes_on_from_a_bundle_with_the_numbers_that_the_robot_runs(exported):
    begun, run = load_vla(exported[1].bundle.path), load_vla(exported[0])
    assert begun.config == run.config and begun.processor.about == run.processor.about
    for (name, a), b in zip(begun.model.named_parameters(), run.model.parameters(), strict=True):
        assert torch.equal(a, b.half().float()), name


def test_a_bundle_without_weights_is_no_start(bundle):
    change(bundle, lambda vla, _data: vla.update(weights="", model=""))
    with pytest.raises(VlaError, match="no weights to start from"):
        load_vla(bundle)
    (bundle / "bundle.json").write_text("{}")
    with pytest.raises(VlaError, match=r"bundle\.json"):
        load_vla(bundle)


def test_a_model_that_knows_demonstrations_keeps_the_scales_that_it_learned(exported, examples):
    learned = load_vla(exported[0])
    few = [(examples, np.arange(3))]
    assert with_statistics(learned, few, {}).processor.about == learned.processor.about
    assert with_statistics(new_vla(toy_config()), few, {}).processor.about.has_statistics


@pytest.mark.parametrize("shares", [(1.0,), (1.0, 0.0), (1.0, 2.0, 3.0)])
def test_shares_that_do_not_go_with_the_datasets_are_refused(tmp_path, shares):
    with pytest.raises(VlaError, match="--shares"):
        FinetuneOptions(datasets=(tmp_path / "a", tmp_path / "b"), out=tmp_path, shares=shares)
