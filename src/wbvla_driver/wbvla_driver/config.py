"""Settings of the driver core; every time-out carries its unit in its name."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from wbvla_core.chunk import ChunkConfig
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.safety import SafetyConfig
from wbvla_core.types import Reason, Source, State


class DriverConfigError(ValueError):
    """A setting of the driver cannot be used with this robot; names the setting and what to do."""


@dataclass(frozen=True)
class DriverConfig:
    """What can be set.

    ``base_imu``: name of the IMU in the robot spec whose attitude the controllers get; ``base_imu_link``: the
    link it really sits on, where that differs from the spec ("" takes the spec's).
    ``max_*_age_ms``/``max_future_ms``: stamps outside are bad. ``upper_speed_rad_s``: speed limit of arms and
    head, below the joints' own. ``velocity_limit``: v_x, v_y [m/s], w_z [rad/s] magnitudes for the continuous
    interface. ``stand_ramp_s``: in which locomotion comes to a stand. ``*_blend_s``: fades between the
    sources of leg set-points.
    """

    safety: SafetyConfig = field(default_factory=SafetyConfig)
    chunk: ChunkConfig = field(default_factory=ChunkConfig)
    base_imu: str = "pelvis"
    base_imu_link: str = ""
    imu_disagreement_deg: float = 10.0
    max_future_ms: float = 50.0
    max_message_age_ms: float = 200.0
    max_observation_age_ms: float = 1000.0
    max_state_age_ms: float = 60.0
    max_chunk_s: float = 10.0
    upper_speed_rad_s: float = 4.0
    gravity_share: float = 1.0
    velocity_limit: tuple[float, float, float] = (0.8, 0.5, 1.0)
    stand_ramp_s: float = 0.5
    height_slew_m_s: float = 0.2
    command_period_ms: float = 20.0
    interpolation_ms: float = 5.0
    release_blend_s: float = 0.5
    last_resort_blend_s: float = 0.1
    feet_load_share: float = 0.3
    plant_obeys_ms: float = 100.0
    hot_c: float = 90.0
    cooled_c: float = 85.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if isinstance(value, float) and (not math.isfinite(value) or value < 0):
                raise DriverConfigError(f"{name} must be finite and not negative, got {value}")
        if any(not limit > 0 for limit in self.velocity_limit):
            raise DriverConfigError(f"velocity_limit must be positive, got {self.velocity_limit}")

    def check_robot(self, spec: RobotSpec) -> None:
        """Refuse settings that do not fit ``spec``; raises DriverConfigError."""
        names = [imu.name for imu in spec.imus]
        if self.base_imu not in names:
            raise DriverConfigError(
                f"base_imu '{self.base_imu}' is not an IMU of {spec.name}: {', '.join(names)}"
            )
        if self.base_imu_link and self.base_imu_link not in (spec.base_link, torso_link(spec)):
            raise DriverConfigError(
                f"base_imu_link '{self.base_imu_link}' must be {spec.base_link} or {torso_link(spec)}"
            )


def torso_link(spec: RobotSpec) -> str:
    """The link that the arms hang on."""
    return spec.joints[int(spec.index("arms")[0])].parent


@dataclass(frozen=True)
class DriverStatus:
    """What the driver says about itself; ``dropped`` counts refused messages by reason name, ``since_ns`` is
    when the state was entered, in the clock of the stamps."""

    state: State
    reason: Reason
    detail: str
    since_ns: int
    authority: Source
    session: int
    estop_reason: str | None
    dropped: dict[str, int]
    limited_ticks: int
    tilt_deg: float
    imu_disagreement_deg: float
    joints: dict[str, str]
