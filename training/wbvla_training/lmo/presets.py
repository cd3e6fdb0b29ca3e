"""The named trainings: x2_smoke (does learning work?), x2_stage1 (a gait), x2_stage2 (precision and robustness)."""

from __future__ import annotations

from dataclasses import replace

from .config import (
    CommandConfig,
    ConfigError,
    CurriculumConfig,
    PhysicsConfig,
    PpoConfig,
    RandomisationConfig,
    RewardConfig,
    TrainConfig,
    UpperBodyConfig,
)

_WRISTS = tuple(
    f"{side}_wrist_{axis}_joint" for side in ("left", "right") for axis in ("yaw", "pitch", "roll")
)

_STAGE1 = TrainConfig(
    name="x2_stage1",
    num_envs=1024,
    total_steps=4e6,
    # Legs and waist yaw only, three long substeps: twice as fast, and enough to find a gait.
    physics=PhysicsConfig(
        timestep_s=0.02 / 3.0,
        substeps=3,
        iterations=4,
        ls_iterations=6,
        welded_groups=("waist_pitch_joint", "waist_roll_joint", "arms", "head"),
        friction_groups=(),
    ),
    command=CommandConfig(goal_fraction=(0.4, 1.5), velocity_mode_fraction=0.2, squat_height_m=(0.48, 0.66)),
    curriculum=CurriculumConfig(start=0.1),
)

_STAGE2 = TrainConfig(
    name="x2_stage2",
    num_envs=1024,
    total_steps=85e6,
    seed=2,
    # Head and wrists are welded: they weigh little, and a step costs a third less.
    physics=PhysicsConfig(
        timestep_s=0.02 / 3.0,
        substeps=3,
        iterations=4,
        ls_iterations=6,
        welded_groups=("head", *_WRISTS),
        friction_groups=(),
    ),
    command=CommandConfig(walk_height_m=(0.56, 0.655)),
    upper_body=UpperBodyConfig(amplitude=1.5, clip_fraction=0.6, level_gain=1.5),
    randomisation=RandomisationConfig(
        friction=(0.2, 1.2),
        link_mass_scale=(0.8, 1.2),
        torso_payload_kg=(-5.0, 10.0),
        torso_payload_fraction=0.6,
        hand_payload_kg=(0.0, 1.5),
        hand_payload_fraction=0.6,
        inertia_scale=(0.8, 2.0),
        com_shift_m=0.02,
        gain_scale=(0.85, 1.15),
        torque_scale=(0.9, 1.0),
        action_delay_s=(0.0, 0.025),
        joint_delay_s=(0.0, 0.015),
        imu_delay_s=(0.0, 0.02),
        joint_offset_rad=0.02,
        imu_tilt_rad=0.02,
        push_speed_m_s=(0.0, 0.55),
        push_period_s=(1.5, 5.0),
        push_level_gain=1.6,
        hand_force_n=(10.0, 36.0),
        hand_force_fraction=0.65,
        pulse_force_n=(0.0, 150.0),
        pulse_torque_nm=(0.0, 30.0),
        pulse_period_s=(1.0, 3.0),
        pulse_fraction=0.2,
        ground_height_m=0.02,
        ground_slope_rad=0.04,
    ),
    reward=RewardConfig(
        gait_phase=3.5,
        swing_shortfall=-3.0,
        velocity=2.5,
        yaw_rate=2.0,
        filtered_velocity=2.5,
        filtered_yaw_rate=2.0,
        drift=-4.0,
        yaw_drift=-1.0,
        height_error=-30.0,
        tilt=-12.0,
        tilt_absolute=-1.5,
        action_rate=-0.06,
        action_curvature=-0.01,
        landing=-0.5,
        torque_limit=-0.5,
        stand_still=-2.0,
        stand_action=-0.02,
        stand_sway=-0.5,
        balance=-5.0,
        place=-3.0,
    ),
    curriculum=CurriculumConfig(start=0.1, step=0.015, raise_above=0.42, lower_below=0.3),
    ppo=PpoConfig(desired_kl=0.016, entropy=(0.0005, 0.001), learning_rate=3e-4, init_std=0.2, min_std=0.1),
)

_SMOKE = replace(_STAGE1, name="x2_smoke", num_envs=512, total_steps=2.0e6)

PRESETS: dict[str, TrainConfig] = {config.name: config for config in (_SMOKE, _STAGE1, _STAGE2)}


def preset(name: str) -> TrainConfig:
    """The training of that name; raises ConfigError with the known names."""
    if name not in PRESETS:
        raise ConfigError(f"no training is called {name!r}; known are {', '.join(PRESETS)}")
    return PRESETS[name]
