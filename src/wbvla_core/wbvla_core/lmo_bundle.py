"""The section of a locomotion bundle, and its translation into the configurations of the controller."""

from __future__ import annotations

from dataclasses import dataclass

from . import odometry
from .action import ActionConfig
from .gait import GaitConfig
from .observation import ObservationConfig, Term
from .posture import PostureTable
from .ramp import RampConfig
from .robot_spec import RobotSpec

COMMAND_MODES = ("flags", "velocity")


@dataclass(frozen=True)
class ActionSection:
    """Offset per unit of action [m] rad, bound of the raw action, share of the table's gravity torque fed
    forward."""

    scale_rad: tuple[float, ...]
    clip: float
    gravity_share: float


@dataclass(frozen=True)
class LmoSection:
    """All that a locomotion policy needs besides its network.

    ``network`` file with input ``observation`` [B, O] and output ``action`` [B, m], float32; ``joints`` m
    driven joints, the order of ``kp``, ``kd``, actions and posture; ``default_rad`` pose [n] in wire order
    that observations are taken relative to; ``dt_s`` control step; ``command_modes`` those it follows
    ("flags", "velocity"; none for a policy that only stands)."""

    network: str
    joints: tuple[str, ...]
    default_rad: tuple[float, ...]
    kp: tuple[float, ...]
    kd: tuple[float, ...]
    dt_s: float
    command_modes: tuple[str, ...]
    action: ActionSection
    observation: tuple[Term, ...]
    ramp: RampConfig
    gait: GaitConfig
    posture: PostureTable

    def __post_init__(self) -> None:
        count = len(self.joints)
        for name, values in (
            ("kp", self.kp),
            ("kd", self.kd),
            ("action.scale_rad", self.action.scale_rad),
            ("posture.side", self.posture.side),
        ):
            if len(values) != count:
                raise ValueError(f"{name} has {len(values)} entries for {count} joints")
        if min(self.kp) < 0.0 or min(self.kd) < 0.0:
            raise ValueError("kp and kd must not be negative")
        unknown = [mode for mode in self.command_modes if mode not in COMMAND_MODES]
        if unknown:
            raise ValueError(f"command_modes has {unknown[0]!r}; known are {', '.join(COMMAND_MODES)}")
        if not self.dt_s == self.ramp.dt_s == self.gait.dt_s:
            raise ValueError(
                f"dt_s {self.dt_s}, ramp.dt_s {self.ramp.dt_s} and gait.dt_s {self.gait.dt_s} differ"
            )


def observation_config(section: LmoSection, spec: RobotSpec) -> ObservationConfig:
    """The observation of this bundle on this robot; raises RobotSpecError for joints that the robot lacks."""
    driven = tuple(int(i) for i in spec.index(section.joints))
    upper = tuple(i for i in range(spec.n) if i not in driven)
    return ObservationConfig(section.observation, driven, upper, section.default_rad, odometry.legs(spec))


def action_config(section: LmoSection, spec: RobotSpec) -> ActionConfig:
    """The action of this bundle within the joint limits of this robot."""
    index = spec.index(section.joints)
    return ActionConfig(
        section.action.scale_rad,
        tuple(spec.lower_rad[index].tolist()),
        tuple(spec.upper_rad[index].tolist()),
        section.action.clip,
        section.action.gravity_share,
    )
