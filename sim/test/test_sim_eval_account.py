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


class FakeNode:
    """Keeps the callbacks of what somebody subscribes to."""

    def __init__(self) -> None:
        self.hear: dict[str, object] = {}

    def create_subscription(self, _kind, topic, callback, _qos) -> None:
        self.hear[topic] = callback


def test_on_the_graph_a_trial_counts_from_the_first_command_that_is_followed():
    from wbvla_core.types import Reason, Source, State
    from wbvla_sim.tasks.graph_watch import GraphWatch

    from wbvla_msgs import msg

    node = FakeNode()
    watch = GraphWatch(node)  # type: ignore[arg-type]

    def status(state: State, reason: Reason, dropped: int, name: str = "driver") -> None:
        node.hear["status"](msg.Status(node=name, state=int(state), reason=int(reason), dropped=dropped))

    def loco(source: Source, stamp_ms: int, seen_ms: int) -> None:
        command = msg.LocoCommand(source=int(source))
        command.header.stamp.nanosec, command.observation_stamp.nanosec = stamp_ms * 10**6, seen_ms * 10**6
        node.hear["loco_command"](command)

    status(State.DAMPING, Reason.ESTOP, 3)
    loco(Source.NONE, 100, 0)
    assert watch.notes().safety == {} and watch.notes().command_age == {}
    loco(Source.VLA, 200, 150)
    target = msg.ArmTarget()
    target.observation_stamp.nanosec = 170 * 10**6
    node.hear["vla/arm_target"](target)
    loco(Source.VLA, 220, 150)
    status(State.ACTIVE, Reason.NONE, 5)
    status(State.STANDING, Reason.VLA_LOST, 9)
    status(State.STANDING, Reason.VLA_LOST, 9)
    status(State.DAMPING, Reason.TILT, 50, "lmo_node")
    notes = watch.notes()
    assert notes.safety == {"VLA_LOST": 1} and notes.refused == 4 and notes.limited_ticks is None
    assert notes.command_age["loco"].max_ms == 70.0 and notes.command_age["arm"].max_ms == 50.0
    watch.begin()
    assert watch.notes().safety == {} and watch.notes().refused == 0
