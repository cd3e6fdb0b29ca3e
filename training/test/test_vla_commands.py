"""The commands from a dataset to a bundle, at toy size; refusals end with one sentence and exit code 2."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from vla_training_samples import CONTRACT, SPEC, toy_config
from wbvla_sim.gl import NoOpenGLError
from wbvla_training.data.bench_dataset import Quiet
from wbvla_training.data.convert import ConvertOptions, convert
from wbvla_training.data.samples import SampleEpisode, write_sample
from wbvla_training.processes import Processes
from wbvla_training.vla import cli, finetune
from wbvla_training.vla.files import load_vla
from wbvla_vla_node.bundle_policy import BundlePolicy

FAST = ["--steps", "3", "--batch", "8", "--no-amp"]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("commands")
    for number in range(3):
        write_sample(root / "bags" / f"episode_{number}", SampleEpisode(seconds=1.5, pictures=8))
    convert([root / "bags"], ConvertOptions(out=root / "data", jobs=1), Quiet())
    (root / "toy").mkdir()
    toy_config().save(root / "toy")
    return root


def tune(root, out, *more) -> int:
    config = str(root / "toy" / "config.json")
    return cli.main(
        ["finetune", "--data", str(root / "data"), "--config", config, "--out", str(out), *FAST, *more]
    )


def test_dataset_becomes_a_bundle_that_the_robot_takes(root, tmp_path, capsys):
    out = tmp_path / "run"
    assert tune(root, out, "--held-out", "0.3") == 0
    # The same command again has nothing left to do and leaves the same model.
    assert tune(root, out, "--held-out", "0.3") == 0
    assert cli.main(["eval", "--model", str(out), "--data", str(root / "data"), "--held-out", "0.3",
                     "--json", str(tmp_path / "eval.json")]) == 0  # fmt: skip
    figures = json.loads((tmp_path / "eval.json").read_text())
    assert (
        figures["episodes"] == 1 and 0.0 <= figures["flag_accuracy"] <= 1.0 and figures["arm_error_rad"] > 0.0
    )
    # Held out now, learned then, by this model or the one it started from: left out.
    later = tmp_path / "later"
    assert tune(root, later, "--held-out", "0.3", "--start", str(out)) == 0
    (later / "state.json").write_text(
        (later / "state.json").read_text().replace(str(root / "data"), "elsewhere")
    )
    assert cli.main(["eval", "--model", str(later), "--data", str(root / "data"), "--held-out", "0.7",
                     "--json", str(tmp_path / "later.json")]) == 0  # fmt: skip
    assert json.loads((tmp_path / "later.json").read_text())["episodes"] == 1
    assert cli.main(["export", "--model", str(out), "--out", str(tmp_path / "bundle")]) == 0
    assert "ONNX and torch differ" in capsys.readouterr().out
    policy = BundlePolicy.load(tmp_path / "bundle", SPEC, CONTRACT.hash)
    assert policy.name == "bundle bundle" and policy.section.chunk_length == 4
    # And the bundle is where others begin, with what they add drawn more often.
    more = ["--start", str(tmp_path / "bundle"), "--data", str(root / "data"), str(root / "data"), "--shares", "3", "1"]
    assert tune(root, tmp_path / "more", *more) == 0
    noted = json.loads((tmp_path / "more" / "state.json").read_text())["run"]
    assert noted["start"] == str(tmp_path / "bundle") and noted["shares"] == [0.75, 0.25]


def test_stopped_run_keeps_its_model_and_goes_on(root, tmp_path, monkeypatch):
    class Stopped(finetune.Trainer):
        def _advance(self, module):
            found = super()._advance(module)
            self._interrupt()
            return found

    with monkeypatch.context() as patched:
        patched.setattr(finetune, "Trainer", Stopped)
        assert tune(root, tmp_path / "run") == 130
    load_vla(tmp_path / "run")
    assert json.loads((tmp_path / "run" / "state.json").read_text())["step"] == 1
    assert tune(root, tmp_path / "run") == 0
    assert json.loads((tmp_path / "run" / "state.json").read_text())["step"] == 3


def test_only_the_first_process_writes_the_model(root, tmp_path, monkeypatch):
    class Second(finetune.Trainer):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.processes = Processes(rank=1)

    monkeypatch.setattr(finetune, "Trainer", Second)
    assert tune(root, tmp_path / "run") == 0
    assert not list((tmp_path / "run").glob("*.safetensors")) and (tmp_path / "run" / "cache").is_dir()


def test_adapters_of_another_rank_are_another_run(root, tmp_path, capsys):
    assert tune(root, tmp_path / "run", "--mode", "lora", "--rank", "2") == 0
    assert tune(root, tmp_path / "run", "--mode", "lora", "--rank", "4") == 2
    assert "lora differ" in capsys.readouterr().err


def test_flags_are_not_learned_as_velocities(root, tmp_path, capsys):
    config = toy_config(decoder=replace(toy_config().decoder, flags=False))
    config.save(tmp_path)
    assert tune(root, tmp_path / "run", "--config", str(tmp_path / "config.json")) == 2
    assert "action has no v_x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--start", "nowhere"], "nowhere"),
        (["--episodes", "50"], "only"),
        (["--config", "huge"], "no configuration 'huge'"),
        (["--lam-loco", "nowhere"], "nowhere"),
        (["--pictures-share", "1.5"], "--pictures-share 1.5: must be within 0..1"),
    ],
)
def test_wrong_call_ends_with_one_sentence(root, tmp_path, capsys, arguments, word):
    assert tune(root, tmp_path / "run", *arguments) == 2
    assert word in capsys.readouterr().err


def test_a_machine_that_cannot_draw_is_told_what_to_install(tmp_path, monkeypatch, capsys):
    def none(*_arguments, **_options):
        raise NoOpenGLError("no OpenGL for off-screen rendering")

    monkeypatch.setattr("wbvla_training.vla.grounding.grounding_examples", none)
    assert cli.main(["pictures", "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: no OpenGL for off-screen rendering\n"


def test_pretraining_needs_something_to_learn_from(tmp_path, capsys):
    assert cli.main(["pretrain", "--out", str(tmp_path / "run")]) == 2
    assert "give --videos, or --pictures" in capsys.readouterr().err
