"""Backends and policies: the hold bundle, the script player, and inference in a thread."""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from wbvla_core.bundle import BundleError
from wbvla_core.contract import Contract
from wbvla_core.paths import models_dir
from wbvla_core.types import LocoMode
from wbvla_core.vla_bundle import ImageSection
from wbvla_core.vla_input import InputError, decode_jpeg, prepare_image, state_names, state_vector
from wbvla_vla_node.backend import ThreadBackend
from wbvla_vla_node.bundle_policy import BundlePolicy
from wbvla_vla_node.make_hold import make_hold
from wbvla_vla_node.policy import Chunk, Observation, PolicyError
from wbvla_vla_node.script import ScriptError, load_scripts
from wbvla_vla_node.scripted_policy import ScriptedPolicy

sys.path.insert(0, str(Path(__file__).parent))
from vla_samples import NS, SPEC, T0, jpeg, state

HOLD = models_dir() / "vla" / "hold"
CONTRACT = Contract.load("x2")
OBSERVATION = Observation("stand", state_vector(state(T0)).astype(np.float32), jpeg())


def test_shipped_hold_bundle_fits_robot_and_contract_and_holds_the_stand_pose():
    policy = BundlePolicy.load(HOLD, SPEC, CONTRACT.hash)
    chunk = policy.infer(OBSERVATION, T0)
    expected = dict(zip(SPEC.joint_names, SPEC.default_rad, strict=True))
    for column, name in enumerate(chunk.joint_names):
        np.testing.assert_allclose(chunk.positions[:, column], expected.get(name, 0.0), atol=1e-6)
    assert chunk.loco[0].tolist() == pytest.approx([0, 0, 0, SPEC.nominal_height_m])
    assert chunk.mode == LocoMode.FLAGS and set(chunk.stages_ms) == {"decode", "prepare", "policy"}


def test_hold_bundle_is_what_its_maker_makes(tmp_path):
    made = make_hold(tmp_path / "hold", SPEC, CONTRACT, "test")
    shipped = json.loads((HOLD / "bundle.json").read_text())
    assert made.files == shipped["files"]


def test_names_of_the_state_vector_are_the_contracts():
    assert CONTRACT.features["observation.state"].names == state_names(SPEC.joint_names, SPEC.hand_names)
    assert state_vector(state(T0)).shape == CONTRACT.features["observation.state"].shape


@pytest.mark.parametrize(
    ("key", "value", "word"),
    [
        ("chunk_length", 0, "chunk_length"),
        ("action_names", ["left_elbow_joint", "x", "y", "z", "q"], "must end with"),
        (
            "image",
            {"crop": [0, 0, 1, 1], "width": 8, "height": 8, "mean": [0, 0, 0], "std": [1, 0, 1]},
            "std",
        ),
        ("tokenizer", {"kind": "sentencepiece", "file": "", "length": 0, "size": 0, "hash": ""}, "sentencepiece"),
        ("state_names", ["a"], "state_statistics"),
        ("codebooks", None, "codebooks"),
    ],
)
def test_bundle_with_a_wrong_or_missing_key_is_refused_naming_it(tmp_path, key, value, word):
    folder = tmp_path / "hold"
    shutil.copytree(HOLD, folder)
    content = json.loads((folder / "bundle.json").read_text())
    if value is None:
        del content["vla"][key]
    else:
        content["vla"][key] = value
    (folder / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match=word):
        BundlePolicy.load(folder, SPEC)


def test_bundle_of_another_contract_is_refused():
    with pytest.raises(BundleError, match="contract"):
        BundlePolicy.load(HOLD, SPEC, "0" * 16)


def test_frame_that_is_no_picture_fails_with_a_reason_and_another_size_is_fine():
    policy = BundlePolicy.load(HOLD, SPEC)
    with pytest.raises(PolicyError, match="not a whole JPEG"):
        policy.infer(Observation("s", OBSERVATION.state, jpeg()[:200]), T0)
    with pytest.raises(PolicyError, match="expected uint8"):
        policy.infer(Observation("s", OBSERVATION.state, image_rgb=np.zeros((4, 4, 3), np.uint8)), T0)
    assert policy.infer(Observation("s", OBSERVATION.state, jpeg(1280, 720)), T0).positions.shape == (8, 16)


def test_not_finite_state_is_seen_in_the_output():
    broken = OBSERVATION.state.copy()
    broken[0] = np.nan
    assert np.isnan(BundlePolicy.load(HOLD, SPEC).infer(Observation("s", broken, jpeg()), T0).positions).all()


def test_picture_is_cropped_and_scaled():
    rgb = np.zeros((40, 80, 3), np.uint8)
    rgb[:, 40:] = 255
    section = ImageSection((0.5, 0.0, 1.0, 1.0), 16, 8, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    image = prepare_image(rgb, section)
    assert image.shape == (1, 3, 8, 16) and image.dtype == np.float32
    np.testing.assert_allclose(image, 2.0)
    assert decode_jpeg(jpeg(20, 10)).shape == (10, 20, 3)
    with pytest.raises(InputError):
        decode_jpeg(b"")


def write_scripts(tmp_path, content) -> Path:
    path = tmp_path / "scripts.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def test_script_moves_smoothly_in_time_and_says_when_it_is_done(tmp_path):
    steps = [
        {"at_s": 0.0, "over_s": 1.0, "joints": {"head_yaw_joint": 0.3}, "height_m": 0.52},
        {"at_s": 2.0, "over_s": 1.0, "joints": {"left_claw_joint": 1.0}, "flags": [1, 0, 0]},
    ]
    path = write_scripts(tmp_path, {"sentences": {"Look  There": {"steps": steps}}})
    policy = ScriptedPolicy(load_scripts(path, SPEC), "test")
    policy.reset("look there")
    names = policy.infer(OBSERVATION, T0).joint_names
    head, claw = names.index("head_yaw_joint"), names.index("left_claw_joint")
    middle = policy.infer(OBSERVATION, T0 + NS // 2)
    assert middle.positions[0, head] == pytest.approx(0.15)
    assert middle.positions[5, head] == pytest.approx(0.3)
    assert middle.loco[0].tolist() == [0, 0, 0, 0.52] and middle.done is False
    late = policy.infer(OBSERVATION, T0 + int(2.5 * NS))
    assert late.positions[0, [head, claw]].tolist() == pytest.approx([0.3, 0.5])
    assert late.loco[0, :3].tolist() == [1, 0, 0]
    assert policy.infer(OBSERVATION, T0 + 3 * NS).done is True
    policy.reset("something else")
    rest = policy.infer(OBSERVATION, T0 + 9 * NS)
    assert rest.done is False and rest.positions[0, head] == pytest.approx(0.3)
    assert policy.infer(OBSERVATION, T0 + 12 * NS).positions[0, head] == 0.0


def test_packaged_scripts_stay_within_the_robots_limits_and_speeds():
    book = load_scripts("demo", SPEC)
    assert {"look around", "squat and rise", "move your arms"} <= set(book.scripts)
    index = [SPEC.joint_names.index(name) for name in book.joint_names[:-2]]
    for script in book.scripts.values():
        poses = np.stack(
            [script.sample(t, book.rest.steps[0].position)[0] for t in np.arange(0.0, script.end_s, 0.02)]
        )
        speed = np.abs(np.diff(poses[:, :-2], axis=0)).max(axis=0) / 0.02
        assert (speed <= 0.6 * SPEC.velocity_rad_s[index]).all()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ([], "sentences"),
        ({"sentences": {"a": {}}}, "steps"),
        ({"sentences": {"a": {"steps": [{"over_s": 1}]}}}, "at_s"),
        (
            {"sentences": {"a": {"steps": [{"at_s": 0, "joints": {"left_knee_joint": 0.1}}]}}},
            "left_knee_joint",
        ),
        ({"sentences": {"a": {"steps": [{"at_s": 0, "joints": {"head_yaw_joint": 2.0}}]}}}, "outside"),
        ({"sentences": {"a": {"steps": [{"at_s": 0, "height_m": 0.2}]}}}, "height_m"),
        ({"sentences": {"a": {"steps": [{"at_s": 0, "flags": [2, 0, 0]}]}}}, "flags"),
        ({"sentences": {"a": {"steps": [{"at_s": 1}, {"at_s": 0}]}}}, "before the step above"),
        ({"sentences": {"a": {"steps": [{"at_s": "soon"}]}}}, "must be a number"),
    ],
)
def test_malformed_scripts_are_refused_naming_the_place(tmp_path, content, word):
    with pytest.raises(ScriptError, match=word):
        load_scripts(write_scripts(tmp_path, content), SPEC)


class Slow:
    """A policy that waits until it is let go."""

    name = "slow"

    def __init__(self):
        self.gate, self.sentences = threading.Event(), []

    def reset(self, instruction):
        self.sentences.append(instruction)

    def infer(self, observation, capture_stamp_ns):
        self.gate.wait(5.0)
        return Chunk(("left_elbow_joint",), np.zeros((1, 1)), 0.1, np.zeros((1, 4)))


def test_thread_backend_never_blocks_and_refuses_more_than_it_can_hold():
    policy = Slow()
    backend = ThreadBackend(policy)
    try:
        begin = time.monotonic()
        assert backend.submit(OBSERVATION, 0, T0)
        assert not backend.submit(OBSERVATION, 1, T0)
        assert backend.poll() == [] and not backend.wait(0.05)
        assert time.monotonic() - begin < 1.0
        policy.gate.set()
        assert backend.wait(5.0)
        (result,) = backend.poll()
        assert (result.id, result.capture_stamp_ns, result.error) == (0, T0, "") and result.elapsed_ms > 0
    finally:
        backend.close()


def test_reset_during_inference_voids_its_answer_and_reaches_the_policy_first():
    policy = Slow()
    backend = ThreadBackend(policy)
    try:
        backend.submit(OBSERVATION, 0, T0)
        backend.reset("new")
        policy.gate.set()
        deadline = time.monotonic() + 5.0
        while not backend.submit(OBSERVATION, 1, T0) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert backend.wait(5.0)
        assert [result.id for result in backend.poll()] == [1]
        assert policy.sentences == ["new"]
    finally:
        backend.close()


def test_a_policy_that_fails_on_a_new_sentence_gives_a_reason_and_works_on_afterwards():
    class Deaf(Slow):
        def reset(self, instruction):
            raise RuntimeError("does not listen")

    policy = Deaf()
    policy.gate.set()
    backend = ThreadBackend(policy)
    try:
        backend.reset("new")
        for id, error in ((0, "RuntimeError: does not listen"), (1, "")):
            deadline = time.monotonic() + 5.0
            while not backend.submit(OBSERVATION, id, T0) and time.monotonic() < deadline:
                time.sleep(0.005)
            assert backend.wait(5.0)
            (result,) = backend.poll()
            assert (result.id, result.error) == (id, error)
    finally:
        backend.close()
