"""Rewards, commands, terminations, curriculum and randomisation are pure functions that do what they say."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
import torch
from wbvla_training.lmo import commands, curriculum, randomisation, rewards, sensing, terminations, tracking
from wbvla_training.lmo.config import (
    CommandConfig,
    ConfigError,
    CurriculumConfig,
    PhysicsConfig,
    RandomisationConfig,
    RewardConfig,
    TerminationConfig,
    TrainConfig,
    UpperBodyConfig,
)
from wbvla_training.lmo.presets import PRESETS, preset


def _record(n: int = 2, **changes) -> rewards.StepRecord:
    """A robot standing perfectly still in its reference pose."""
    z, legs = torch.zeros, 13
    down = torch.tensor([[0.0, 0.0, -1.0]]).repeat(n, 1)
    rows, pairs, joints = z(n), z(n, 2), z(n, legs)
    no = torch.zeros(n, dtype=torch.bool)
    values = dict.fromkeys(("yaw_rate_error", "yaw_drift", "stance_offset"), rows)
    values |= {name: z(n, 3) for name in ("velocity", "angular_velocity", "reference")}
    values |= dict.fromkeys(("velocity_error", "slow_error", "foot_height", "foot_lift", "foot_tilt"), pairs)
    values |= dict.fromkeys(("position", "speed", "torque", "reference_pose"), joints)
    values |= dict.fromkeys(("action", "last_action", "older_action"), joints)
    values |= {"balance": torch.tensor([[0.035, 0.0]]).repeat(n, 1)}
    values |= {"gravity": down, "gravity_reference": down, "walking": no, "fell": no, "asked_to_stand": ~no}
    values |= {"height": rows + 0.64, "height_command": rows + 0.64, "foot_spacing": rows + 0.27}
    values |= {"foot_velocity": z(n, 2, 3), "torque_limit": z(legs) + 100.0, "lower": z(legs) - 1.0}
    values |= {"upper": z(legs) + 1.0, "place": z(n, 2)}
    return rewards.StepRecord(**(values | changes))


def test_every_reward_weight_has_a_term_and_every_term_a_weight():
    weights = {f.name for f in fields(RewardConfig)}
    assert set(rewards.TERMS) <= weights
    assert weights - set(rewards.TERMS) == {n for n in weights if n.endswith("_width")} | {
        "scale",
        "termination",
    }


def test_standing_perfectly_earns_every_positive_term_and_no_penalty():
    config = RewardConfig()
    total, means = rewards.total(_record(), config)
    expected = sum(w for n in rewards.TERMS if (w := getattr(config, n)) > 0)
    torch.testing.assert_close(total, torch.full((2,), expected * 0.02 * config.scale))
    assert all(value.item() == 0.0 for name, value in means.items() if getattr(config, name) < 0)


@pytest.mark.parametrize(
    ("term", "changes"),
    [
        ("velocity", {"velocity": torch.tensor([[0.2, 0.0, 0.0]])}),
        ("yaw_rate", {"angular_velocity": torch.tensor([[0.0, 0.0, 0.3]])}),
        ("filtered_velocity", {"velocity_error": torch.tensor([[0.1, 0.0]])}),
        ("gait_phase", {"foot_lift": torch.tensor([[0.08, 0.0]])}),
        ("height", {"height": torch.tensor([0.60])}),
    ],
)
def test_tracking_terms_fall_with_the_error(term, changes):
    config = RewardConfig()
    assert rewards.TERMS[term](_record(1, **changes), config) < rewards.TERMS[term](_record(1), config) == 1.0


@pytest.mark.parametrize(
    ("term", "changes", "value"),
    [
        (
            "swing_shortfall",
            {"foot_lift": torch.tensor([[0.08, 0.0]]), "foot_height": torch.tensor([[0.02, 0.0]])},
            0.75,
        ),
        ("drift", {"slow_error": torch.tensor([[0.1, -0.2]])}, 0.3),
        ("yaw_drift", {"yaw_drift": torch.tensor([-0.4])}, 0.4),
        ("height_error", {"height": torch.tensor([0.60])}, 0.04),
        ("foot_slip", {"foot_velocity": torch.tensor([[[0.3, 0.4, 0.0], [0.0, 0.0, 0.0]]])}, 0.25),
        ("landing", {"foot_velocity": torch.tensor([[[0.0, 0.0, -0.5], [0.0, 0.0, 0.5]]])}, 0.25),
        ("balance", {"balance": torch.tensor([[0.065, -0.04]])}, 0.05),
        ("place", {"place": torch.tensor([[0.3, -0.4]])}, 0.5),
        ("foot_spacing", {"foot_spacing": torch.tensor([0.12])}, 0.10),
        ("torque_limit", {"torque": torch.tensor([[90.0] + [0.0] * 12])}, 0.1),
        ("joint_limit", {"position": torch.tensor([[1.02] + [0.0] * 12])}, 0.05),
        ("action_rate", {"action": torch.tensor([[0.5] + [0.0] * 12])}, 0.25),
        ("stand_action", {"action": torch.tensor([[0.5] + [0.0] * 12])}, 0.25),
    ],
)
def test_penalties_measure_what_they_name(term, changes, value):
    found = rewards.TERMS[term](_record(1, **changes), RewardConfig())
    torch.testing.assert_close(found, torch.tensor([value]))


def test_the_way_back_to_the_place_of_rest_ends_slowly_and_is_never_fast():
    velocity = tracking.return_velocity(torch.tensor([[0.1, 0.0], [-3.0, 4.0], [0.0, 0.0]]))
    torch.testing.assert_close(velocity, torch.tensor([[-0.1, 0.0], [0.15, -0.2], [0.0, 0.0]]))


def test_stand_terms_are_silent_while_the_gait_clock_runs():
    walking = torch.ones(1, dtype=torch.bool)
    record = _record(
        1, speed=torch.ones(1, 13), action=torch.ones(1, 13), velocity=torch.ones(1, 3), walking=walking
    )
    for term in ("stand_still", "stand_action", "stand_sway"):
        assert rewards.TERMS[term](record, RewardConfig()) == 0.0


def test_a_fall_costs_the_termination_weight_once():
    config = RewardConfig()
    stood, _ = rewards.total(_record(1), config)
    fell, _ = rewards.total(_record(1, fell=torch.ones(1, dtype=torch.bool)), config)
    torch.testing.assert_close(fell - stood, torch.tensor([config.termination * config.scale]))


def test_termination_sees_tilt_sinking_and_crossed_feet():
    up, lying = torch.tensor([[0.0, 0.0, -1.0]]), torch.tensor([[0.8, 0.0, -0.6]])
    height, command, spacing = torch.tensor([0.64]), torch.tensor([0.64]), torch.tensor([0.27])
    cfg = TerminationConfig()
    assert not terminations.fell(up, height, command, spacing, cfg)
    assert terminations.fell(lying, height, command, spacing, cfg)
    assert terminations.fell(up, torch.tensor([0.34]), torch.tensor([0.45]), spacing, cfg)
    assert terminations.fell(up, torch.tensor([0.48]), command, spacing, cfg)
    assert terminations.fell(up, height, command, torch.tensor([0.05]), cfg)


def test_commands_follow_the_configured_mixture():
    cfg = CommandConfig(velocity_mode_fraction=0.0, combination_fraction=0.0)
    sample = commands.sample(4000, cfg, torch.Generator().manual_seed(0))
    still = (sample.request == 0).all(-1)
    assert abs(still.float().mean().item() - cfg.stand_fraction - cfg.squat_fraction) < 0.03
    assert set(sample.request.unique().tolist()) == {-1.0, 0.0, 1.0}
    assert ((sample.request != 0).sum(-1) <= 1).all()
    walking = sample.height_m[~still]
    assert walking.min() >= cfg.walk_height_m[0] and walking.max() <= cfg.walk_height_m[1]
    assert sample.height_m[still].min() < 0.50


def test_continuous_commands_stay_within_the_largest_speed():
    cfg = CommandConfig(velocity_mode_fraction=1.0, stand_fraction=0.0, squat_fraction=0.0)
    sample = commands.sample(1000, cfg, torch.Generator().manual_seed(0))
    speed = sample.request * torch.tensor(cfg.cruise)
    assert (speed.abs() <= torch.tensor(cfg.max_speed) + 1e-6).all()
    assert speed.abs().max() > 0.4


def test_random_draws_stay_within_their_ranges_and_differ_between_robots():
    cfg = RandomisationConfig(
        hand_payload_kg=(0.0, 1.5), torso_payload_kg=(-5.0, 10.0), action_delay_s=(0.0, 0.02)
    )
    draw = randomisation.sample(500, 32, 31, cfg, 1.0, torch.Generator().manual_seed(0))
    assert cfg.friction[0] <= draw.friction.min() and draw.friction.max() <= cfg.friction[1]
    assert draw.torso_payload_kg.min() < -4.0 and draw.torso_payload_kg.max() > 9.0
    assert draw.hand_payload_kg.max() <= 1.5 and draw.kp_scale.std() > 0.01
    again = randomisation.sample(500, 32, 31, cfg, 1.0, torch.Generator().manual_seed(0))
    assert torch.equal(draw.friction, again.friction)


def test_hand_forces_add_up_to_the_asked_size():
    cfg = replace(RandomisationConfig(), hand_force_n=(30.0, 30.0))
    force = randomisation.hand_forces(300, cfg, 1.0, torch.Generator().manual_seed(0))
    torch.testing.assert_close(force.sum(1).norm(dim=-1), torch.full((300,), 30.0))


def test_curriculum_rises_when_robots_stay_up_and_never_sinks_below_its_start():
    cfg = CurriculumConfig(start=0.2, step=0.1)
    assert curriculum.next_level(0.5, 0, 10_000, cfg) == pytest.approx(0.6)
    assert curriculum.next_level(0.5, 100, 10_000, cfg) == pytest.approx(0.4)
    assert curriculum.next_level(0.2, 100, 10_000, cfg) == pytest.approx(0.2)
    assert curriculum.next_level(1.0, 0, 10_000, cfg) == 1.0


def test_heading_frame_and_gravity_agree_with_a_turned_and_pitched_base():
    yaw = torch.tensor([torch.pi / 2])
    quat = torch.tensor([[torch.cos(yaw / 2), 0.0, 0.0, torch.sin(yaw / 2)]])
    torch.testing.assert_close(sensing.heading(quat), yaw)
    world = torch.tensor([[0.0, 1.0, 0.0]])
    torch.testing.assert_close(
        sensing.to_heading(world, yaw), torch.tensor([[1.0, 0.0, 0.0]]), atol=1e-6, rtol=0
    )
    pitched = torch.tensor([[0.9950042, 0.0, 0.0998334, 0.0]])
    torch.testing.assert_close(
        sensing.gravity_in_base(pitched), torch.tensor([[0.1986693, 0.0, -0.9800666]]), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RandomisationConfig(friction=(1.2, 0.4)), ("friction", "1.2", "0.4")),
        (lambda: RandomisationConfig(friction=(0.0, 0.4)), ("friction", "above 0")),
        (lambda: RandomisationConfig(torso_payload_kg=(-12.0, 3.0)), ("torso_payload_kg", "-12")),
        (lambda: RandomisationConfig(imu_delay_s=(0.0, 0.2)), ("imu_delay_s", "0.02")),
        (lambda: CommandConfig(squat_height_m=(0.2, 0.6)), ("squat_height_m", "0.2")),
        (lambda: CommandConfig(stand_fraction=0.7, squat_fraction=0.6), ("stand_fraction", "exceed 1")),
        (lambda: UpperBodyConfig(clip_fraction=1.5), ("clip_fraction", "0..1")),
        (lambda: CurriculumConfig(raise_above=0.3, lower_below=0.6), ("lower_below", "raise_above")),
        (lambda: PhysicsConfig(substeps=7), ("7 x 0.005", "0.02")),
        (lambda: TrainConfig(name="x", num_envs=0), ("num_envs", "0")),
        (lambda: preset("x3"), ("x3", "x2_stage1")),
    ],
)  # fmt: skip
def test_impossible_configurations_are_refused_by_name(make, words):
    with pytest.raises(ConfigError) as error:
        make()
    assert all(word in str(error.value) for word in words)


def test_presets_name_themselves():
    assert all(name == config.name for name, config in PRESETS.items())
