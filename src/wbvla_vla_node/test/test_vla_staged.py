"""A bundle of three networks on the robot, without torch: tokens reach the language stage, codes and flags come out."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from wbvla_core.bundle import BundleError, write_bundle
from wbvla_core.contract import Contract
from wbvla_core.tokenizer import PieceTokenizer
from wbvla_core.types import Source
from wbvla_core.vla_bundle import (
    FLAG_CLASSES,
    CodebookSection,
    ImageSection,
    StatisticsSection,
    TokenizerSection,
    VlaSection,
)
from wbvla_core.vla_input import InputError
from wbvla_vla_node.backend import InlineBackend
from wbvla_vla_node.bundle_policy import BundlePolicy
from wbvla_vla_node.core import VlaConfig, VlaCore
from wbvla_vla_node.policy import Observation

sys.path.insert(0, str(Path(__file__).parent))
from vla_samples import SPEC, T0, jpeg, state

CONTRACT = Contract.load("x2")
STATES = CONTRACT.features["observation.state"].names
ACTIONS = CONTRACT.features["action"].names
ROWS, PATCHES, WIDTH, LENGTH = 3, 2, 4, 6
TOKENIZER = PieceTokenizer(("▁go", "▁back"))
GO, BACK = TOKENIZER.pieces("go")[0], TOKENIZER.pieces("back")[0]


def network(nodes, inputs, outputs, constants) -> bytes:
    def info(name, shape):
        kind = TensorProto.INT64 if name == "tokens" else TensorProto.FLOAT
        return helper.make_tensor_value_info(name, kind, shape)

    graph = helper.make_graph(
        [helper.make_node(kind, given, [made], **more) for kind, given, made, more in nodes],
        "stage",
        [info(n, s) for n, s in inputs.items()],
        [info(n, s) for n, s in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8
    ).SerializeToString()


def staged(folder: Path, action: float = 0.1):
    """Codes are 1 where the second token is "go", else 0; the first flag is what the first code says; the sum of picture
    and state enters with weight zero."""
    f32 = np.float32
    vision = network(
        [("ReduceMean", ["image"], "mean", {"keepdims": 0}), ("Mul", ["mean", "ones"], "features", {})],
        {"image": [1, 3, 8, 8]}, {"features": [1, PATCHES, WIDTH]}, {"ones": np.ones((1, PATCHES, WIDTH), f32)},
    )  # fmt: skip
    logits = [1, 2, 2]
    language = network(
        [
            ("Gather", ["tokens", "second"], "word", {"axis": 1}),
            ("Equal", ["word", "go"], "is_go", {}),
            ("Cast", ["is_go"], "going", {"to": TensorProto.FLOAT}),
            ("Mul", ["going", "lean"], "both", {}),
            ("Identity", ["both"], "logits_mani", {}),
            ("Identity", ["both"], "logits_loco", {}),
            ("Mul", ["going", "wide"], "hidden", {}),
            ("Identity", ["features"], "visual", {}),
        ],
        {"features": [1, PATCHES, WIDTH], "tokens": [1, LENGTH]},
        {"hidden": [1, 4, WIDTH], "visual": [1, PATCHES, WIDTH], "logits_mani": logits, "logits_loco": logits},
        {"second": np.array([1]), "go": np.array([GO]), "lean": np.array([[[-2, 2], [-2, 2]]], f32),
         "wide": np.ones((1, 4, WIDTH), f32)},
    )  # fmt: skip
    flags = np.zeros((1, ROWS, 3, 3), f32)
    flags[..., 1] = 0.5
    forward = np.zeros((1, ROWS, 3, 3), f32)
    forward[:, :, 0, 2] = 1.0
    decoder = network(
        [
            ("ReduceMean", ["hidden"], "going", {"keepdims": 0}),
            ("ReduceMean", ["state"], "felt", {"keepdims": 0}),
            ("ReduceMean", ["visual"], "seen", {"keepdims": 0}),
            ("Add", ["felt", "seen"], "input", {}),
            ("Mul", ["input", "zero"], "nothing", {}),
            ("Add", ["chunk", "nothing"], "action", {}),
            ("Mul", ["going", "forward"], "push", {}),
            ("Add", ["stand", "push"], "calm", {}),
            ("Add", ["calm", "nothing"], "flags", {}),
            ("Add", ["half", "nothing"], "progress", {}),
        ],
        {"hidden": [1, 4, WIDTH], "visual": [1, PATCHES, WIDTH], "state": [1, len(STATES)]},
        {"action": [1, ROWS, len(ACTIONS)], "flags": [1, ROWS, 3, 3], "progress": [1, 1]},
        {"zero": f32(0), "chunk": np.full((1, ROWS, len(ACTIONS)), action, f32), "forward": forward, "stand": flags,
         "half": np.full((1, 1), 0.5, f32)},
    )  # fmt: skip
    section = VlaSection(
        networks={"vision": "vision.onnx", "language": "language.onnx", "decoder": "decoder.onnx"},
        weights="",
        model="",
        decoding="parallel",
        image=ImageSection((0.0, 0.0, 1.0, 1.0), 8, 8, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        tokenizer=TokenizerSection("pieces", "tokenizer.json", LENGTH, TOKENIZER.size, TOKENIZER.hash),
        codebooks={"mani": CodebookSection(2, 2, "m"), "loco": CodebookSection(2, 2, "l")},
        state_names=STATES,
        action_names=ACTIONS,
        flag_classes=FLAG_CLASSES,
        chunk_length=ROWS,
        chunk_step_s=0.1,
        state_statistics=StatisticsSection((0.0,) * len(STATES), (1.0,) * len(STATES)),
        action_statistics=StatisticsSection((0.0,) * len(ACTIONS), (1.0,) * len(ACTIONS)),
    )
    files = {
        "vision.onnx": vision,
        "language.onnx": language,
        "decoder.onnx": decoder,
        "tokenizer.json": TOKENIZER.to_json().encode(),
    }
    return write_bundle(folder, "vla", "staged", section, files, SPEC, "test", CONTRACT.hash)


@pytest.fixture
def core(tmp_path):
    policy = BundlePolicy(staged(tmp_path / "staged"), SPEC)
    core = VlaCore(InlineBackend(policy), VlaConfig(), check=policy.check)
    core.on_authority(Source.VLA, 1)
    return core


def tick(core, sentence):
    core.set_instruction(sentence, T0)
    core.on_state(T0 - 1_000_000, state(T0 - 1_000_000))
    core.on_image(T0, jpeg=jpeg(16, 16))
    (commands,) = core.tick(T0 + 20_000_000)
    return commands


def test_sentence_becomes_codes_flags_and_progress(core):
    go, back = tick(core, "go"), tick(core, "back")
    assert go.loco.flags == (1, 0, 0) and back.loco.flags == (0, 0, 0)
    assert go.latent.manipulation_codes.tolist() == [1, 1] and back.latent.locomotion_codes.tolist() == [0, 0]
    assert go.latent.locomotion_confidences[0] == pytest.approx(1 / (1 + np.exp(-4)))
    assert back.latent.locomotion_confidences[0] == pytest.approx(0.5)
    assert go.latent.observation_stamp_ns == T0 and go.arm.observation_stamp_ns == T0
    assert core.progress.share == 0.5 and core.progress.done is False
    stages = {"decode", "prepare", "vision", "language", "decoder"}
    assert set(go.result.chunk.stages_ms) == stages


def test_sentence_of_too_many_tokens_is_refused_before_it_takes_force(core):
    core.set_instruction("go", T0)
    with pytest.raises(InputError, match="at most 6"):
        core.set_instruction("go back go back go back", T0)
    assert core.progress.instruction == "go"


@pytest.mark.parametrize(("action", "opening"), [(1.1, 1.0), (-0.2, 0.0), (0.4, 0.4)])
def test_grippers_are_never_asked_to_open_beyond_their_range(tmp_path, action, opening):
    policy = BundlePolicy(staged(tmp_path / "staged", action), SPEC)
    seen = np.zeros(len(STATES), np.float32)
    chunk = policy.infer(Observation("go", seen, image_rgb=np.full((16, 16, 3), 128, np.uint8)), T0)
    gripper = [name in SPEC.hand_names for name in chunk.joint_names]
    np.testing.assert_allclose(chunk.positions[:, gripper], opening, atol=0.01)
    assert abs(chunk.positions[:, np.logical_not(gripper)] - opening).max() == pytest.approx(abs(action - opening), abs=0.01)


def test_broken_state_stops_the_chunk(core):
    policy = core.backend._policy
    broken = np.full(len(STATES), np.nan, np.float32)
    chunk = policy.infer(Observation("go", broken, jpeg(16, 16)), T0)
    assert np.isnan(chunk.loco[:, :3]).all() and np.isnan(chunk.positions).all()


def test_each_network_is_loaded_once(tmp_path, monkeypatch):
    loaded, session = [], onnxruntime.InferenceSession

    def load(path, *more, **options):
        loaded.append(Path(path).name)
        return session(path, *more, **options)

    monkeypatch.setattr("onnxruntime.InferenceSession", load)
    BundlePolicy(staged(tmp_path / "staged"), SPEC)
    assert loaded == ["vision.onnx", "language.onnx", "decoder.onnx"]


def test_bundle_whose_networks_do_not_fit_each_other_is_refused(tmp_path):
    bundle = staged(tmp_path / "staged")
    text = (bundle.path / "bundle.json").read_text()
    (bundle.path / "bundle.json").write_text(text.replace('"codes": 2', '"codes": 3'))
    with pytest.raises(BundleError, match=r"language\.onnx: outputs are"):
        BundlePolicy.load(bundle.path, SPEC)
    (bundle.path / "bundle.json").write_text(text.replace('"std": [1.0,', '"std": [NaN,'))
    with pytest.raises(BundleError, match=r"state_statistics\.std\[0\]: expected a finite number"):
        BundlePolicy.load(bundle.path, SPEC)
    (bundle.path / "bundle.json").write_text(text.replace('"decoding": "parallel"', '"decoding": "none"'))
    with pytest.raises(BundleError, match="decoding"):
        BundlePolicy.load(bundle.path, SPEC)
