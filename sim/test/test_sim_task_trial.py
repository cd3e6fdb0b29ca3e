"""Trials in lock-step: the whole stack does the task, the bag is like the graph's, the account is right."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from rosbags.highlevel import AnyReader
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.operators.gamepad import GamepadHands
from wbvla_sim.operators.reach_table import ReachTableOperator
from wbvla_sim.tasks import cli
from wbvla_sim.tasks.base import Outcome, Verdict, find_task
from wbvla_sim.tasks.collect import INTERRUPTED, episode_folder
from wbvla_sim.tasks.lockstep_trial import AFTER_S, TrialResult, run_trial
from wbvla_sim.tasks.reach_table import TouchJudge
from wbvla_teleop.definitions import typestore
from wbvla_teleop.devices.base import Whereabouts
from wbvla_teleop.devices.layout import load_layout
from wbvla_teleop.devices.pad import PadMapper
from wbvla_teleop.devices.scripted import ObjectPose, View
from wbvla_teleop.frame import PELVIS, TORSO
from wbvla_teleop.ik import DualArmIk

SPEC = RobotSpec.load("x2_ultra")
NEAR = find_task("reach_table_near")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> TrialResult:
    folder = tmp_path_factory.mktemp("bags")
    return run_trial(SPEC, NEAR, 1, lmo=NEAR.lmo, bag=folder / "episode", operator_name="test", camera=False)


def test_the_scripted_operator_touches_the_ball_through_the_whole_stack(recorded):
    assert recorded.verdict.success, recorded.verdict
    assert 1.0 < recorded.verdict.time_s < 10.0 and recorded.verdict.subgoals == {"touch": True}


def test_the_bag_holds_what_the_contract_says_at_its_rates(recorded):
    contract = Contract.load("x2")
    episode = yaml.safe_load((recorded.bag / "episode.yaml").read_text())
    assert (episode["task"], episode["operator"]) == (recorded.sentence, "test")
    assert episode["outcome"]["task_succeeded"] == "true" and episode["dropped"] == 0
    stamps: dict[str, list[int]] = {}
    with AnyReader([recorded.bag], default_typestore=typestore()) as reader:
        for connection, time_ns, data in reader.messages():
            stamps.setdefault(connection.topic, []).append(time_ns)
            reader.deserialize(data, connection.msgtype)
    assert sum(map(len, stamps.values())) == recorded.messages
    for key in ("robot_state", "joint_states", "imu", "arm_target", "loco_command", "leg_waist_command",
                "teleop_arm_target", "teleop_loco_command", "sim_state", "head_camera"):  # fmt: skip
        topic = contract.topics[key]
        period_ms = np.median(np.diff(stamps[f"/wbvla/{topic.topic}"])) / 1e6
        assert period_ms == pytest.approx(1000.0 / topic.rate_hz, rel=0.05), key
    assert len(stamps["/wbvla/instruction"]) == 1 and len(stamps["/wbvla/authority"]) == 2


def test_a_correction_is_recorded_from_where_the_operator_takes_over(tmp_path):
    result = run_trial(
        SPEC, NEAR, 1, lmo=NEAR.lmo, policy="vla/hold", takeover_s=0.6, bag=tmp_path / "episode", camera=False
    )
    assert result.verdict.success and result.verdict.time_s > 1.6
    with AnyReader([result.bag], default_typestore=typestore()) as reader:
        topics = {connection.topic for connection, _, _ in reader.messages()}
        lasts_s = reader.duration / 1e9
    assert "/wbvla/teleop/arm_target" in topics and not any("/vla/" in topic for topic in topics)
    assert lasts_s < result.verdict.time_s + AFTER_S - 0.5


def test_nothing_is_recorded_when_the_policy_ends_the_trial_before_the_takeover(tmp_path):
    hopeless = replace(NEAR, judge=partial(TouchJudge, time_limit_s=0.2))
    result = run_trial(
        SPEC, hopeless, 1, lmo=NEAR.lmo, policy="vla/hold", takeover_s=5.0, bag=tmp_path / "episode", camera=False
    )
    assert result.verdict.over and result.bag is None and not (tmp_path / "episode").exists()


def test_the_same_seed_gives_the_same_commands_and_verdict(recorded, tmp_path):
    again = run_trial(SPEC, NEAR, 1, lmo=NEAR.lmo, bag=tmp_path / "again", operator_name="test", camera=False)
    assert again.verdict == recorded.verdict

    def commands(bag: Path) -> list[bytes]:
        with AnyReader([bag], default_typestore=typestore()) as reader:
            chosen = [c for c in reader.connections if c.topic in ("/wbvla/arm_target", "/wbvla/robot_state")]
            return [bytes(data) for _, _, data in reader.messages(connections=chosen)]

    assert commands(again.bag) == commands(recorded.bag)


def test_episodes_that_are_there_are_not_recorded_again_but_interrupted_ones_are(tmp_path):
    def leave(name: str, state: str, reason: str = "") -> None:
        (tmp_path / name).mkdir()
        outcome = {"discard_reason": reason} if reason else {}
        (tmp_path / name / "episode.yaml").write_text(yaml.safe_dump({"state": state, "outcome": outcome}))

    leave("t_00000", "finished")
    leave("t_00001", "discarded", "the robot fell")
    leave("t_00002", "discarded", INTERRUPTED)
    leave("t_00003", "recording")
    (tmp_path / "t_00004").mkdir()
    names = [getattr(episode_folder(tmp_path, "t", seed), "name", None) for seed in range(6)]
    assert names == [None, None, "t_00002_2", "t_00003_2", "t_00004_2", "t_00005"]


def test_the_account_counts_and_gives_an_interval(tmp_path, capsys):
    from rich.console import Console

    results = [
        TrialResult(seed, "s", Verdict(outcome, reason, 3.0), None, 10.0, 2.0)
        for seed, (outcome, reason) in enumerate(
            [(Outcome.SUCCESS, "touched")] * 8 + [(Outcome.FAILED, "the robot fell")] * 2
        )
    ]
    assert cli.account(NEAR, results, tmp_path / "a.json", Console()) == 0
    told = json.loads((tmp_path / "a.json").read_text())
    assert (told["trials"], told["successes"], told["falls"]) == (10, 8, 2)
    assert told["confidence_95"] == [pytest.approx(0.49, abs=0.01), pytest.approx(0.943, abs=0.01)]
    assert told["times_real_time"] == 5.0 and told["episodes"][9]["reason"] == "the robot fell"
    assert "8 of 10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["collect", "--task", "juggle", "--out", "x"], "choose one of reach_table"),
        (["collect", "--task", "reach_table", "--out", "x", "--lockstep", "--graph"], "exclude"),
        (["collect", "--task", "reach_table", "--out", "x", "--episodes", "0"], "expected 1 or more"),
        (["collect", "--task", "reach_table", "--out", "x", "--device", "whip"], "scripted or joy"),
        (["eval", "--task", "reach_table_near", "--trials", "1", "--lmo", "no/such"], "no/such"),
    ],
)
def test_wrong_calls_are_told_what_to_do(arguments, complaint, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    assert complaint in capsys.readouterr().err


def test_list_names_every_task(capsys):
    assert cli.main(["list"]) == 0
    assert "reach_table_near" in capsys.readouterr().out


def test_a_gamepad_in_the_operators_hands_moves_the_hand_to_the_ball():
    """Kinematic: sticks through the mapper and the inverse kinematics, no physics."""
    ik, layout, now_ns = DualArmIk(SPEC), load_layout("xbox"), 0
    hands = GamepadHands(ReachTableOperator(), layout, SPEC)
    mapper = PadMapper(layout, lambda: Whereabouts(ik.wrist(0, TORSO), ik.wrist(1, TORSO), 0.64))
    flat = np.array([1.0, 0.0, 0.0, 0.0])
    ball = np.array([0.40, 0.18, 0.69])
    objects = {"ball_red": ObjectPose(ball, flat), "table": ObjectPose(np.array([0.6, 0.0, 0.0]), flat)}
    pelvis = ObjectPose(np.array([0.0, 0.0, 0.64]), flat)
    position = SPEC.default_rad.copy()
    hands.begin("touch the red ball with your left hand")
    nearest = 1.0
    for _ in range(600):
        now_ns += 20_000_000
        state = _state(position)
        frame = mapper.map(*hands.read(View(now_ns, pelvis, objects), state, now_ns), now_ns)
        assert frame.flags == (0, 0, 0)
        if frame.deadman and frame.left is not None:
            joints = ik.solve(position, frame.left, frame.right, 0.02)
            position[SPEC.index(tuple(joints))] = list(joints.values())
        wrist = ik.wrist(0, PELVIS)
        nearest = min(nearest, float(np.linalg.norm(ball - pelvis.position_m - wrist.position_m)))
    assert nearest < 0.21, "the mount comes to where the fingers (18 cm) meet the ball"


def _state(position):
    from wbvla_core.types import RobotState

    zeros = np.zeros(SPEC.n)
    return RobotState(
        0, 0, position, zeros, zeros, np.zeros(2), np.array([1.0, 0, 0, 0]), np.zeros(3), np.zeros(3)
    )
