"""A minute of training must already pay; the three-minute version is ``wbvla lmo train --config x2_smoke``."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from wbvla_training.lmo.presets import preset
from wbvla_training.lmo.smoke import verdict
from wbvla_training.lmo.train import Trainer


def test_a_short_training_raises_the_reward_and_saves_falls(tmp_path):
    smoke = preset("x2_smoke")
    standing = replace(smoke.command, stand_fraction=1.0, squat_fraction=0.0)
    trainer = Trainer(replace(smoke, num_envs=256, command=standing), tmp_path, "cpu", None)
    rows = [trainer._iterate() for _ in range(26)]
    early, late = rows[3:9], rows[-6:]
    assert np.mean([r["reward"] for r in late]) > 1.25 * np.mean([r["reward"] for r in early])
    falls = [np.mean([r["falls_per_100_episodes"] for r in part]) for part in (early, late)]
    assert falls[1] < 0.95 * falls[0]
    assert all(np.isfinite(list(r.values())).all() for r in rows)


def test_the_policy_stays_blind_to_joints_that_training_holds_still(tmp_path):
    config = replace(preset("x2_stage2"), num_envs=32)
    trainer = Trainer(config, tmp_path, "cpu", None)
    upper = [trainer.env.spec.joint_names[j] for j in trainer.env.observation_config.upper]
    start = trainer.env.upper_slice().start
    still = {upper[column - start] for column in trainer.env.still_inputs()}
    assert "left_wrist_roll_joint" in still and "head_yaw_joint" in still
    assert "left_elbow_joint" not in still
    for _ in range(2):
        trainer._iterate()
    weights = trainer.algorithm.actor.mlp.layers[0].weight
    assert weights[:, trainer.env.still_inputs()].abs().max() == 0.0
    assert weights[:, start + upper.index("left_elbow_joint")].abs().max() > 0.0


@pytest.mark.parametrize(
    ("changes", "stopped", "code", "words"),
    [
        ({}, False, 0, "learning works here"),
        ({"reward/gait_phase": 1.9}, False, 1, "do not step in time"),
        ({"falls_per_100_episodes": 1500.0}, False, 1, "fall too often"),
        ({}, True, 1, "not judged"),
    ],
)
def test_the_smoke_rule_tells_walking_from_standing_from_falling_and_from_stopping(
    changes, stopped, code, words, capsys
):
    walking = {"falls_per_100_episodes": 80.0, "reward/gait_phase": 2.5}
    assert verdict(walking | changes, stopped) == code
    assert words in capsys.readouterr().out


def test_a_smoke_that_has_nothing_left_to_run_is_not_judged(capsys):
    assert verdict({}, False) == 1
    assert "not judged" in capsys.readouterr().out
