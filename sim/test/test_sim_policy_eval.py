"""Trials of a policy: the other ball can be asked for, and black pictures be shown."""

from __future__ import annotations

import pytest
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.tasks import cli
from wbvla_sim.tasks.base import find_task
from wbvla_sim.tasks.lockstep_trial import TrialResult
from wbvla_sim.tasks.reach_table import balls_of, other_ball, parse_sentence
from wbvla_sim.world import build_world

SPEC = RobotSpec.load("x2_ultra")


def test_other_ball_of_the_scene_is_named_with_the_same_hand():
    task = find_task("reach_table")
    model = build_world(SPEC, task.scene, 1000).model
    asked = task.sentence(model, 1000)
    swapped = other_ball(model, asked)
    (colour, hand), (other, same) = parse_sentence(asked), parse_sentence(swapped)
    assert {colour, other} == set(balls_of(model)) and hand == same
    assert other_ball(model, swapped) == asked


def test_options_of_a_policys_trials_reach_them(monkeypatch, tmp_path, capsys):
    calls = []

    def run(_spec, task, seed, **options):
        from wbvla_sim.tasks.base import Outcome, Verdict

        calls.append((task.name, seed, options["policy"], options["blind"], options["swap"]))
        return TrialResult(
            seed, "s", Verdict(Outcome.SUCCESS, "touched", 1.0, {"touch": True}), None, 1.0, 1.0
        )

    monkeypatch.setattr(cli, "run_trial", run)
    arguments = [
        "eval",
        "--task",
        "reach_table",
        "--policy",
        "vla/hold",
        "--trials",
        "2",
        "--first-seed",
        "1005",
    ]
    file = tmp_path / "account.json"
    assert cli.main([*arguments, "--blind", "--json", str(file)]) == 0
    assert cli.main([*arguments, "--swap-sentence"]) == 0
    assert calls[0] == ("reach_table", 1005, "vla/hold", True, False)
    assert calls[3] == ("reach_table", 1006, "vla/hold", False, True)
    assert '"success_rate": 1.0' in file.read_text() and '"confidence_95"' in file.read_text()


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--blind"], "give --policy"),
        (["--swap-sentence"], "give --policy"),
        (["--policy", "vla/hold", "--swap-sentence", "--sentence", "stand still"], "exclude each other"),
        (["--policy", "vla/hold", "--graph", "--blind"], "need lock-step"),
    ],
)
def test_options_that_make_no_sense_are_refused(capsys, arguments, word):
    assert cli.main(["eval", "--task", "reach_table", "--trials", "1", *arguments]) == 1
    assert word in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--graph"], ["--takeover-s", "5", "2"]])
def test_corrections_that_cannot_be_collected_are_refused(capsys, tmp_path, more):
    out = tmp_path / "bags"
    call = ["collect", "--task", "reach_table", "--policy", "vla/hold", "--out", str(out), *more]
    assert cli.main(call) == 1
    assert "two times, 0 <= first <= second" in capsys.readouterr().err and not out.exists()
