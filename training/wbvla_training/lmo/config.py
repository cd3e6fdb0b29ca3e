"""Typed configuration of environment, tasks and learner; every class checks its own ranges."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

Range = tuple[float, float]


class ConfigError(ValueError):
    """A configuration that cannot work; the message names the field, its value and what to do."""


def _check_ranges(config: object) -> None:
    """Raise ConfigError for a (low, high) field of ``config`` whose low end lies above its high end."""
    for item in dataclasses.fields(config):  # type: ignore[arg-type]
        value = getattr(config, item.name)
        pair = (
            isinstance(value, tuple) and len(value) == 2 and all(isinstance(v, (int, float)) for v in value)
        )
        if pair and value[0] > value[1]:
            owner = type(config).__name__
            raise ConfigError(
                f"{owner}.{item.name}: low end {value[0]} above high end {value[1]}; swap or widen it"
            )


def _check_unit(config: object, *names: str) -> None:
    """Raise ConfigError for a fraction field outside 0..1."""
    for name in names:
        value = getattr(config, name)
        if not 0.0 <= value <= 1.0:
            raise ConfigError(
                f"{type(config).__name__}.{name}: {value} is not a fraction; give a value in 0..1"
            )


@dataclass(frozen=True)
class PhysicsConfig:
    """How the batch is simulated: one control step is ``substeps`` engine steps of ``timestep_s``."""

    timestep_s: float = 0.005
    substeps: int = 4
    iterations: int = 5
    ls_iterations: int = 8
    threads: int = 0
    feet: str = "spheres"
    welded_groups: tuple[str, ...] = ()
    friction_groups: tuple[str, ...] = ("legs",)
    """Joints with Coulomb friction; each costs a constraint, and the arms' hardly matters to the legs."""

    def __post_init__(self) -> None:
        if abs(self.timestep_s * self.substeps - 0.02) > 1e-3:
            step = self.timestep_s * self.substeps
            raise ConfigError(
                f"PhysicsConfig: {self.substeps} x {self.timestep_s} s = {step} s; must make 0.02 s"
            )


@dataclass(frozen=True)
class CommandConfig:
    """What is asked of the policy. Speeds are (v_x, v_y [m/s], w_z [rad/s])."""

    cruise: tuple[float, float, float] = (0.3, 0.3, 0.3)
    goal_fraction: Range = (1.0, 1.0)
    max_speed: tuple[float, float, float] = (0.45, 0.45, 0.45)
    velocity_mode_fraction: float = 0.25
    stand_fraction: float = 0.2
    squat_fraction: float = 0.2
    axis_weights: tuple[float, float, float] = (0.4, 0.35, 0.25)
    combination_fraction: float = 0.15
    walk_height_m: Range = (0.58, 0.655)
    squat_height_m: Range = (0.46, 0.66)
    duration_s: Range = (2.0, 6.0)

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_unit(
            self, "velocity_mode_fraction", "stand_fraction", "squat_fraction", "combination_fraction"
        )
        if self.stand_fraction + self.squat_fraction > 1.0:
            raise ConfigError("CommandConfig: stand_fraction + squat_fraction exceed 1; lower one of them")
        low, high = self.squat_height_m
        if low < 0.40 or high > 0.675:
            raise ConfigError(f"CommandConfig.squat_height_m: {low}..{high} m; an X2 reaches 0.40..0.675 m")


@dataclass(frozen=True)
class UpperBodyConfig:
    """How waist pitch and roll, arms and head move while the legs learn."""

    amplitude: float = 0.3
    level_gain: float = 1.0
    """How much faster than the curriculum's level the amplitude grows."""
    clip_fraction: float = 0.0
    clip_rate: Range = (0.8, 1.5)
    clip_rate_jitter: float = 0.25
    clip_rate_limit: Range = (0.8, 2.5)
    noise_rad: float = 0.02
    pose_period_s: Range = (1.0, 3.0)
    speed_rad_s: float = 2.5

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_unit(self, "clip_fraction")
        if not 0.0 <= self.amplitude <= 2.0:
            raise ConfigError(f"UpperBodyConfig.amplitude: {self.amplitude}; give a value in 0..2")


@dataclass(frozen=True)
class RandomisationConfig:
    """Ranges sampled anew for each episode (pushes and forces anew within it), opened by the curriculum's level. Units as
    in the names."""

    friction: Range = (0.4, 1.2)
    link_mass_scale: Range = (0.9, 1.1)
    torso_payload_kg: Range = (-1.0, 2.0)
    torso_payload_fraction: float = 1.0
    hand_payload_kg: Range = (0.0, 0.0)
    hand_payload_fraction: float = 1.0
    com_shift_m: float = 0.015
    gain_scale: Range = (0.9, 1.1)
    torque_scale: Range = (0.95, 1.0)
    armature_scale: Range = (0.8, 1.2)
    inertia_scale: Range = (0.8, 1.5)
    joint_friction_scale: Range = (0.5, 1.5)
    action_delay_s: Range = (0.0, 0.0)
    joint_delay_s: Range = (0.0, 0.0)
    imu_delay_s: Range = (0.0, 0.0)
    joint_offset_rad: float = 0.01
    imu_tilt_rad: float = 0.01
    push_speed_m_s: Range = (0.0, 0.3)
    push_level_gain: float = 1.0
    push_period_s: Range = (3.0, 5.0)
    hand_force_n: Range = (0.0, 0.0)
    hand_force_fraction: float = 0.0
    hand_force_period_s: Range = (2.0, 6.0)
    pulse_force_n: Range = (0.0, 0.0)
    pulse_torque_nm: Range = (0.0, 0.0)
    pulse_period_s: Range = (2.0, 2.0)
    pulse_fraction: float = 0.0
    ground_height_m: float = 0.0
    ground_slope_rad: float = 0.0

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_unit(
            self, "hand_force_fraction", "pulse_fraction", "torso_payload_fraction", "hand_payload_fraction"
        )
        if self.friction[0] <= 0:
            raise ConfigError(f"RandomisationConfig.friction: {self.friction[0]}; friction must be above 0")
        if self.torso_payload_kg[0] < -8.0:
            low = self.torso_payload_kg[0]
            raise ConfigError(
                f"RandomisationConfig.torso_payload_kg: {low}; the torso weighs 10.1 kg, stay above -8"
            )
        if self.action_delay_s[1] > 0.04 or max(self.joint_delay_s[1], self.imu_delay_s[1]) > 0.02:
            raise ConfigError(
                "RandomisationConfig: action_delay_s above 0.04 s, joint_delay_s or imu_delay_s above 0.02 s are not "
                "simulated; lower them"
            )


@dataclass(frozen=True)
class NoiseConfig:
    """Standard deviation of the sensor noise of one reading."""

    gyro_rad_s: float = 0.06
    gravity: float = 0.015
    position_rad: float = 0.008
    velocity_rad_s: float = 0.25


@dataclass(frozen=True)
class TerminationConfig:
    """When an episode ends early. ``height_drop_m`` is below the commanded height."""

    tilt_rad: float = 0.6
    height_m: float = 0.35
    height_drop_m: float = 0.14
    foot_spacing_m: float = 0.08
    episode_s: float = 20.0


@dataclass(frozen=True)
class RewardConfig:
    """Weights (names equal the functions of ``rewards.py``; sums are per second) and widths of the terms."""

    velocity: float = 2.0
    yaw_rate: float = 1.5
    filtered_velocity: float = 2.0
    filtered_yaw_rate: float = 1.5
    drift: float = 0.0
    yaw_drift: float = 0.0
    gait_phase: float = 3.0
    swing_shortfall: float = -2.0
    height: float = 1.0
    height_error: float = -4.0
    alive: float = 1.0
    tilt: float = -8.0
    tilt_absolute: float = -0.8
    roll_pitch_rate: float = -0.1
    vertical_velocity: float = -0.5
    action_rate: float = -0.03
    action_curvature: float = 0.0
    pose: float = -0.3
    foot_tilt: float = -3.0
    foot_slip: float = -0.3
    foot_spacing: float = -10.0
    landing: float = 0.0
    torque: float = -2e-5
    torque_limit: float = 0.0
    joint_speed: float = -2e-4
    joint_limit: float = -2.0
    waist: float = -0.3
    stand_still: float = -1.0
    stand_action: float = 0.0
    stand_sway: float = 0.0
    balance: float = 0.0
    place: float = 0.0
    termination: float = -1.0
    velocity_width: float = 0.04
    yaw_rate_width: float = 0.06
    filtered_velocity_width: float = 0.01
    filtered_yaw_rate_width: float = 0.01
    phase_width: float = 0.0015
    scale: float = 0.2


@dataclass(frozen=True)
class CurriculumConfig:
    """A level that grows from ``start`` to 1 with the share of an episode survived; see ``curriculum.py``."""

    start: float = 1.0
    raise_above: float = 0.8
    lower_below: float = 0.5
    step: float = 0.02

    def __post_init__(self) -> None:
        _check_unit(self, "start", "raise_above", "lower_below", "step")
        if self.lower_below > self.raise_above:
            raise ConfigError("CurriculumConfig: lower_below exceeds raise_above; the scale would oscillate")


@dataclass(frozen=True)
class PpoConfig:
    """Learner: rsl-rl's PPO with an exactly symmetric actor."""

    hidden: tuple[int, ...] = (256, 128, 64)
    critic_hidden: tuple[int, ...] = (256, 128, 64)
    steps_per_env: int = 24
    epochs: int = 5
    minibatches: int = 4
    gamma: float = 0.99
    lam: float = 0.95
    clip: float = 0.2
    learning_rate: float = 5e-4
    desired_kl: float = 0.012
    entropy: Range = (0.0005, 0.005)
    entropy_steps: float = 6e6
    init_std: float = 0.6
    min_std: float = 0.12
    mixed_precision: bool = True


@dataclass(frozen=True)
class TrainConfig:
    """One named training."""

    name: str
    robot: str = "x2_ultra"
    num_envs: int = 1024
    total_steps: float = 10e6
    seed: int = 1
    physics: PhysicsConfig = field(default_factory=PhysicsConfig)
    command: CommandConfig = field(default_factory=CommandConfig)
    upper_body: UpperBodyConfig = field(default_factory=UpperBodyConfig)
    randomisation: RandomisationConfig = field(default_factory=RandomisationConfig)
    noise: NoiseConfig = field(default_factory=NoiseConfig)
    termination: TerminationConfig = field(default_factory=TerminationConfig)
    reward: RewardConfig = field(default_factory=RewardConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    ppo: PpoConfig = field(default_factory=PpoConfig)

    def __post_init__(self) -> None:
        if self.num_envs < 1 or self.total_steps <= 0:
            raise ConfigError(
                f"TrainConfig: num_envs {self.num_envs}, total_steps {self.total_steps}; both above 0"
            )
