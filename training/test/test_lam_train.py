"""The training command: killed and resumed it goes on to the same losses; its model can be probed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model
from wbvla_sim.video.clip import write_video
from wbvla_training.data.bench_dataset import Quiet
from wbvla_training.data.convert import ConvertOptions, convert
from wbvla_training.data.samples import SampleEpisode, write_sample
from wbvla_training.lam import files
from wbvla_training.lam.action_probe import action_probe
from wbvla_training.lam.cli import main
from wbvla_training.lam.train import Trainer
from wbvla_training.vision.backbone import Dinov2Backbone
from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.feature_cache import LiveFeatures
from wbvla_training.vision.image import whole_picture

STEPS, EVERY = 24, 8


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Twenty clips in which a textured ground slides left or right, their labels beside them, and a backbone."""
    folder = tmp_path_factory.mktemp("lam")
    generator = np.random.default_rng(0)
    rows = []
    (folder / "videos").mkdir()
    for i in range(20):
        side = 1 if i % 2 else -1
        wide = np.kron(generator.integers(0, 255, (6, 40, 3)), np.ones((10, 10, 1))).astype(np.uint8)
        frames = np.stack([wide[:, 160 + 5 * side * t :][:, :80] for t in range(16)])
        write_video(folder / "videos" / f"clip_{i:05d}.mp4", frames)
        spans = [{"begin": 0, "end": 16, "primitive": "turn", "side": "left" if side > 0 else "right"}]
        rows.append({"clip": f"clip_{i:05d}.mp4", "domain": "robot", "rate_hz": 10, "spans": spans})
    (folder / "videos_labels").mkdir()
    (folder / "videos_labels" / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "videos_labels" / "settings.json").write_text(json.dumps({"kind": "loco"}))
    torch.manual_seed(0)
    config = Dinov2Config(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=56, patch_size=14
    )
    Dinov2Backbone(Dinov2Model(config), whole_picture(56)).save(folder / "backbone")
    return folder


def _arguments(world, out, *more):
    return ["train", "--variant", "loco", "--videos", str(world / "videos"), "--backbone", str(world / "backbone"),
            "--out", str(out), "--steps", str(STEPS), "--batch", "8", "--gap-s", "0.4", "--threads", "1",
            "--checkpoint-every", str(EVERY), *more]  # fmt: skip


def _losses(out):
    return [json.loads(line) for line in (out / "losses.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def trained(world):
    """An uninterrupted run."""
    assert main(_arguments(world, world / "whole")) == 0
    return world / "whole"


def test_a_killed_run_resumes_to_the_same_losses(world, trained):
    out = world / "killed"
    command = [sys.executable, "-m", "wbvla_training.lam.cli", *_arguments(world, out)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120.0
    while time.monotonic() < deadline and not (out / "checkpoint.safetensors").exists():
        assert process.poll() is None, "the training ended before it was killed"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert 0 < len(_losses(out)) <= STEPS
    assert not (out / "model").exists()
    assert main(_arguments(world, out, "--resume")) == 0
    assert _losses(out) == _losses(trained)
    assert (out / "model" / "model.safetensors").read_bytes() == (
        trained / "model" / "model.safetensors"
    ).read_bytes()


def test_an_interrupted_run_is_saved_where_it_is_and_resumes_to_the_same_losses(
    world, trained, monkeypatch, capsys
):
    out, update = world / "interrupted", Trainer._update

    def interrupted(trainer, model):
        if trainer.step == EVERY + 1:
            signal.raise_signal(signal.SIGINT)
        return update(trainer, model)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_update", interrupted)
        assert main(_arguments(world, out)) == 130
    assert f"stopped and saved at step {EVERY + 2}" in capsys.readouterr().err
    assert main(_arguments(world, out, "--resume")) == 0
    assert _losses(out) == _losses(trained)


def test_an_error_between_two_steps_leaves_a_checkpoint(world, monkeypatch):
    def broken(trainer, *_arguments):
        raise VisionError("nothing changes")

    out = world / "broken"
    monkeypatch.setattr(Trainer, "_check", broken)
    assert main(_arguments(world, out)) == 2
    assert (out / "checkpoint.safetensors").exists() and len(_losses(out)) == STEPS


def test_a_gradient_that_is_not_finite_ends_the_training(world, tmp_path, capsys):
    assert main(_arguments(world, tmp_path / "wild", "--learning-rate", "inf")) == 2
    assert "step 2: the gradient is not finite" in capsys.readouterr().err
    assert not (tmp_path / "wild" / "checkpoint.safetensors").exists()


def test_a_batch_that_does_not_divide_is_refused(world, tmp_path, capsys):
    assert main(_arguments(world, tmp_path / "odd", "--accumulate", "3")) == 2
    assert "8 does not divide into 1 processes x 3 parts" in capsys.readouterr().err


def test_live_features_come_from_the_device_of_the_backbone():
    class OnDevice:
        def of_pictures(self, pictures):
            return SimpleNamespace(cpu=lambda: f"{len(pictures)} on the CPU")

    features = LiveFeatures(SimpleNamespace(frames=np.zeros((5, 8, 8, 3), np.uint8)), OnDevice())
    assert features.rows(np.array([0, 3])) == "2 on the CPU"


def test_resuming_something_else_is_refused(world, trained, tmp_path, capsys):
    assert main(_arguments(world, tmp_path / "nothing", "--resume")) == 2
    assert "no checkpoint to go on from" in capsys.readouterr().err
    shutil.copytree(trained, tmp_path / "copy")
    assert main([*_arguments(world, tmp_path / "copy", "--resume"), "--seed", "5"]) == 2
    assert "made with another seed" in capsys.readouterr().err


def test_accumulated_parts_are_one_batch_of_the_same_size(world, tmp_path):
    assert main(_arguments(world, tmp_path / "parts", "--accumulate", "2", "--amp", "bfloat16")) == 0
    assert len(_losses(tmp_path / "parts")) == STEPS


def test_shared_batches_take_the_same_number_from_each_folder(world, tmp_path):
    from wbvla_training.lam.pairs import Sampler, fit_processor, open_source
    from wbvla_training.video.cache import open_cache

    shutil.copytree(world / "videos", tmp_path / "other")
    for path in sorted((tmp_path / "other").iterdir())[:12]:
        path.unlink()
    backbone = Dinov2Backbone.load(world / "backbone")
    sources = [
        open_source(open_cache(folder, backbone.image), backbone, 0.4)
        for folder in (world / "videos", tmp_path / "other")
    ]
    sampler = Sampler(sources, fit_processor(backbone, sources), seed=0)
    first, later = sampler.batch(3, 0, 0, 8)
    again, _ = sampler.batch(3, 0, 0, 8)
    assert first.shape == later.shape == (8, 16, 32)
    torch.testing.assert_close(first, again)
    known = sampler.processor.standardise(sources[0].features.rows(np.unique(sources[0].training)))
    distance = [float((known - row).abs().amax((1, 2)).min()) for row in first[:4]]
    assert max(distance) < 1e-3, "the first half comes from the first folder"


def test_the_probe_writes_every_figure(world, trained, tmp_path, capsys):
    out = tmp_path / "figures" / "probe.json"
    code = main(["probe", "--lam", str(trained / "model"), "--videos", str(world / "videos"), "--json", str(out),
                 "--variants", f"shared={trained / 'model'}", "--picture", str(tmp_path / "codes.png")])  # fmt: skip
    assert code == 0
    found = json.loads(out.read_text())
    for key in ("codebook_use", "rrg", "rrg_shuffled", "feature_variance", "primitive_accuracy", "primitive_accuracy_o_t",
                "perplexity", "direction_accuracy"):  # fmt: skip
        assert np.isfinite(found[key]).all(), key
    assert len(found["perplexity"]) == 4 and found["primitive_accuracy"] == 1.0, "all of these clips turn"
    assert found["variants"]["shared"]["rrg"] == found["rrg"]
    assert "shared on loco" in capsys.readouterr().out
    assert (tmp_path / "codes.png").stat().st_size > 100


def test_the_probe_says_what_is_missing(world, trained, tmp_path, capsys):
    shutil.copytree(world / "videos", tmp_path / "bare")
    arguments = ["probe", "--lam", str(trained / "model"), "--videos", str(tmp_path / "bare")]
    assert main(arguments) == 2
    assert "no motion labels" in capsys.readouterr().err
    assert main([*arguments, "--variants", "shared"]) == 2
    assert "give NAME=FOLDER" in capsys.readouterr().err


def test_the_action_probe_reads_a_dataset_made_from_bags(world, trained, tmp_path):
    sample = SampleEpisode(seconds=1.2, camera_hz=15.0, state_hz=200.0, pictures=8)
    for i in range(4):
        write_sample(tmp_path / f"bags/{i}", replace(sample, start_ns=sample.start_ns + i * 10**11))
    convert([tmp_path / "bags"], ConvertOptions(tmp_path / "data", jobs=1), Quiet())
    found = action_probe(files.load(trained / "model"), tmp_path / "data")
    assert found["episodes"] == {"fitted": 3, "tested": 1} and found["pairs"] >= 3
    for part in ("arms_r2", "locomotion_r2"):
        assert all(np.isfinite(value) for value in found[part].values()), part
    with pytest.raises(VisionError, match="nowhere"):
        action_probe(files.load(trained / "model"), tmp_path / "nowhere")
