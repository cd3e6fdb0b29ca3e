"""The account of an evaluation: what the safety layer did, ages of commands, and going on after a stop."""

from __future__ import annotations

import json

import pytest
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.tasks import cli
from wbvla_sim.tasks.base import Outcome, Verdict, find_task
from wbvla_sim.tasks.lockstep_trial import TrialResult, run_trial
from wbvla_sim.tasks.trial_watch import Ages, TrialNotes

SPEC = RobotSpec.load("x2_ultra")
NEAR = find_task("reach_table_near")


class Trials:
    """In place of run_trial: every other seed succeeds; can be stopped at a seed."""

    def __init__(self, monkeypatch, stop_at: int | None = None) -> None:
        self.seeds: list[int] = []
        self.stop_at = stop_at
        monkeypatch.setattr(cli, "run_trial", self)

    def __call__(self, _spec, _task, seed, **_options) -> TrialResult:
        if seed == self.stop_at:
            raise KeyboardInterrupt
        self.seeds.append(seed)
        good = seed % 2 == 0
        verdict = Verdict(
            Outcome.SUCCESS if good else Outcome.FAILED,
            "touched" if good else "the robot fell",
            3.0,
            {"touch": good},
        )
        notes = TrialNotes({"VLA_LOST": 1}, 4, 2, {"loco": Ages(10.0 + seed, 50.0, 60.0)})
        return TrialResult(seed, "touch it", verdict, None, 9.0, 3.0, 0, notes)


def call(*arguments: str) -> int:
    return cli.main(["eval", "--task", "reach_table_near", "--trials", "4", *arguments])


def test_account_sums_reactions_and_ages_of_all_trials(monkeypatch, tmp_path):
    Trials(monkeypatch)
    file = tmp_path / "a.json"
    assert call("--json", str(file)) == 0
    told = json.loads(file.read_text())
    assert told["safety"] == {"VLA_LOST": 4} and (told["limited_ticks"], told["refused"]) == (16, 8)
    assert told["command_age"]["loco"] == {"p50_ms": 1011.5, "p99_ms": 50.0, "max_ms": 60.0}
    assert told["complete"] and told["options"]["policy"] == "operator" and told["falls"] == 2
    assert told["command"].startswith("wbvla task eval --task reach_table_near")


def test_stopped_evaluation_keeps_its_trials_and_goes_on(monkeypatch, tmp_path):
    file = tmp_path / "a.json"
    Trials(monkeypatch, stop_at=1002)
    assert call("--json", str(file)) == cli.STOPPED
    assert json.loads(file.read_text())["complete"] is False
    later = Trials(monkeypatch)
    assert call("--json", str(file), "--resume") == 0
    told = json.loads(file.read_text())
    assert later.seeds == [1002, 1003] and [e["seed"] for e in told["episodes"]] == [1000, 1001, 1002, 1003]
    assert told["complete"] and told["safety"] == {"VLA_LOST": 4}


def test_resuming_refuses_trials_of_another_policy(monkeypatch, tmp_path, capsys):
    file = tmp_path / "a.json"
    Trials(monkeypatch)
    assert call("--json", str(file)) == 0
    assert call("--json", str(file), "--resume", "--policy", "vla/hold") == 1
    assert "another task, policy or options" in capsys.readouterr().err
    file.write_text("[]")
    assert call("--json", str(file), "--resume") == 1
    assert "is not an account" in capsys.readouterr().err


def test_a_policy_that_never_succeeds_is_a_result_and_an_operator_that_never_does_is_not(monkeypatch):
    trials = Trials(monkeypatch)
    bad = ["eval", "--task", "reach_table_near", "--trials", "1", "--first-seed", "1001"]
    assert cli.main([*bad, "--policy", "vla/hold"]) == 0
    assert cli.main(bad) == 1
    assert trials.seeds == [1001, 1001]


def test_collecting_that_is_stopped_says_so(monkeypatch, tmp_path):
    Trials(monkeypatch, stop_at=1)
    assert (
        cli.main(["collect", "--task", "reach_table_near", "--episodes", "3", "--out", str(tmp_path)])
        == cli.STOPPED
    )


@pytest.mark.parametrize("extra", [[], ["--graph", "--json", "a.json"]])
def test_resume_without_a_file_is_refused(extra, capsys):
    assert call("--resume", *extra) == 1
    assert "--resume needs --json" in capsys.readouterr().err


def test_a_real_trial_notes_ages_of_the_operators_commands():
    notes = run_trial(SPEC, NEAR, 1, lmo=NEAR.lmo).notes
    assert notes is not None and notes.safety == {} and notes.refused == 0
    for name in ("loco", "arm"):
        ages = notes.command_age[name]
        assert 0.0 <= ages.p50_ms <= ages.p99_ms <= ages.max_ms < 200.0, name
