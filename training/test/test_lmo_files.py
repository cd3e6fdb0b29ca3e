"""Files that cannot be used get one clear message; files that can are read back as written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from wbvla_core.robot_spec import RobotSpec
from wbvla_training.lmo import checkpoint, clips
from wbvla_training.lmo.cli import PACKAGED_CLIPS, main
from wbvla_training.lmo.config import ConfigError
from wbvla_training.lmo.presets import preset
from wbvla_training.lmo.train import LATEST, Trainer

SPEC = RobotSpec.load("x2_ultra")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A trainer of 8 robots after two iterations, with its checkpoint."""
    folder = tmp_path_factory.mktemp("run")
    small = preset("x2_stage1")
    cfg = replace(small, num_envs=8, total_steps=300.0, ppo=replace(small.ppo, steps_per_env=20))
    trainer = Trainer(cfg, folder, "cpu", None)
    trainer.run()
    return trainer


def test_packaged_clips_reach_in_front_of_the_robot_within_its_limits():
    loaded = clips.load(PACKAGED_CLIPS, SPEC)
    arms = SPEC.index("arms")
    assert loaded.shape[1:] == (400, 14) and loaded.shape[0] >= 16
    assert (loaded >= SPEC.lower_rad[arms] - 2e-3).all() and (loaded <= SPEC.upper_rad[arms] + 2e-3).all()
    assert np.abs(np.diff(loaded, axis=1)).max() / 0.02 < 6.0, "arms move slower than 6 rad/s"
    assert loaded.std(axis=(0, 1))[[0, 3, 7, 10]].min() > 0.15, "shoulders and elbows really move"


def test_generated_clips_are_repeatable_and_read_back(tmp_path):
    made = clips.generate(SPEC, 2, 1.0, seed=5)
    np.testing.assert_array_equal(made, clips.generate(SPEC, 2, 1.0, seed=5))
    clips.save(tmp_path / "two.npz", made, SPEC)
    np.testing.assert_allclose(clips.load(tmp_path / "two.npz", SPEC), made, atol=2e-3)


def test_clips_of_a_wrong_joint_count_are_refused(tmp_path):
    np.savez(tmp_path / "seven.npz", clips=np.zeros((2, 10, 7), np.float16), joint_names=np.array(["a"] * 7))
    with pytest.raises(ConfigError, match=r"seven\.npz.*14 arm joints"):
        clips.load(tmp_path / "seven.npz", SPEC)


def test_a_file_that_is_no_clip_file_is_refused(tmp_path):
    (tmp_path / "bad.npz").write_text("nothing")
    with pytest.raises(ConfigError, match="not a clip file"):
        clips.load(tmp_path / "bad.npz", SPEC)


def test_resuming_restores_weights_optimiser_level_and_progress(trained):
    again = Trainer(trained.cfg, trained.folder, "cpu", None)
    trained.env.level = 0.37
    trained._save()
    again.load(trained.folder / LATEST, resume=True)
    assert (again.iteration, again.steps, again.env.level) == (trained.iteration, trained.steps, 0.37)
    for name, value in trained.algorithm.actor.state_dict().items():
        assert torch.equal(value, again.algorithm.actor.state_dict()[name])
    moments = [s["exp_avg"] for s in again.algorithm.optimizer.state.values()]
    assert moments and any(m.abs().max() > 0 for m in moments)
    again._iterate()
    assert again.iteration == trained.iteration + 1


def test_starting_from_a_checkpoint_takes_the_weights_only(trained):
    again = Trainer(trained.cfg, trained.folder, "cpu", None)
    again.load(trained.folder / LATEST, resume=False)
    assert again.steps == 0 and not again.algorithm.optimizer.state
    name = "mlp.layers.0.weight"
    assert torch.equal(again.algorithm.actor.state_dict()[name], trained.algorithm.actor.state_dict()[name])


def test_a_checkpoint_of_another_robot_is_refused(trained, tmp_path):
    state = torch.load(trained.folder / LATEST, weights_only=True)
    state["robot_spec_hash"] = "0123456789abcdef"
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(ConfigError, match=r"other\.pt.*0123456789abcdef.*another robot"):
        checkpoint.read(tmp_path / "other.pt", trained.env)


def test_a_checkpoint_of_another_observation_is_refused(trained, tmp_path):
    state = torch.load(trained.folder / LATEST, weights_only=True)
    state["observation_size"] = 67
    torch.save(state, tmp_path / "old.pt")
    with pytest.raises(ConfigError, match="67"):
        checkpoint.read(tmp_path / "old.pt", trained.env)


def test_exporting_a_checkpoint_gives_a_bundle_that_evaluates(trained, tmp_path, capsys):
    out = tmp_path / "bundle"
    code = main(
        ["export", "--checkpoint", str(trained.folder / LATEST), "--out", str(out), "--config", "x2_stage1"]
    )
    assert code == 0 and (out / "bundle.json").is_file()
    assert "ONNX = torch within" in capsys.readouterr().out


def test_the_robot_is_the_bundles(trained, tmp_path, capsys):
    out = tmp_path / "bundle"
    main(["export", "--checkpoint", str(trained.folder / LATEST), "--out", str(out), "--config", "x2_stage1"])
    text = (out / "bundle.json").read_text()
    (out / "bundle.json").write_text(text.replace('"robot": "x2_ultra"', '"robot": "somebody_else"', 1))
    for command in ("eval", "play"):
        assert main([command, "--policy", str(out)]) == 2
        assert "somebody_else" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "--checkpoint", "missing.pt", "--out", "x"], ("missing.pt", "checkpoint")),
        (["eval", "--policy", "no_such_bundle"], ("no_such_bundle", "not found")),
        (["train", "--config", "x2_smoke", "--resume", "--start", "a.pt"], ("--resume", "--start")),
    ],
)
def test_the_command_says_what_is_wrong_and_exits_with_2(arguments, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    text = capsys.readouterr().err
    assert all(word in text for word in words) and text.count("\n") == 1
