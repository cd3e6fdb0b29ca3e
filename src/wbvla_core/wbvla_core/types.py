"""The values that cross process boundaries, as plain dataclasses.

Nodes translate them from and to ``wbvla_msgs``; the lock-step runner passes them on as they are. Times are integer
nanoseconds of the clock that the caller chose; no core reads a clock. Joint arrays follow the wire order of the RobotSpec.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

import numpy as np


class Source(enum.IntEnum):
    """Who commands; equals the constants of ``wbvla_msgs/Authority``."""

    NONE = 0
    VLA = 1
    TELEOP = 2


class State(enum.IntEnum):
    """State of a node or of the whole robot; equals the constants of ``wbvla_msgs/Status``."""

    UNCONFIGURED = 0
    INACTIVE = 1
    DAMPING = 2
    RELEASING = 3
    STANDING = 4
    ACTIVE = 5
    LAST_RESORT = 6
    HOLDING_LAST = 7


class Reason(enum.IntEnum):
    """Why a state was entered or a value refused; equals the constants of ``wbvla_msgs/Status``."""

    NONE = 0
    OPERATOR = 1
    VLA_LOST = 2
    TELEOP_LOST = 3
    CAMERA_LOST = 4
    LMO_LOST = 5
    LMO_NOT_FINITE = 6
    STATE_LOST = 7
    IMU_LOST = 8
    TILT = 9
    ESTOP = 10
    HEARTBEAT_LOST = 11
    MISMATCH = 12
    LIMITED = 13
    DRIVER_LOST = 14
    SECOND_PUBLISHER = 15
    BAD_MESSAGE = 16
    NO_AUTHORITY = 17
    INFERENCE_FAILED = 18
    DISK_FULL = 19


class LocoMode(enum.IntEnum):
    """Locomotion interface; equals the constants of ``wbvla_msgs/LocoCommand``."""

    FLAGS = 0
    VELOCITY = 1


class PlantState(enum.IntEnum):
    """What the actuators do; equals the constants of ``wbvla_msgs/RobotState``."""

    OFFLINE = 0
    DAMPING = 1
    ACTIVE = 2


@dataclass(frozen=True)
class ImuSample:
    """One IMU reading.

    ``quaternion_wxyz`` [4] of the sensor (after mounting, of the link it is mounted to) in an inertial frame with z up,
    ``angular_velocity_rad_s`` [3] and ``linear_acceleration_m_s2`` [3] (specific force) in the same link's frame.
    """

    stamp_ns: int
    quaternion_wxyz: np.ndarray
    angular_velocity_rad_s: np.ndarray
    linear_acceleration_m_s2: np.ndarray


@dataclass(frozen=True)
class RobotState:
    """Measured state of the robot at ``stamp_ns``: joint arrays [n], grippers [n_hands], base attitude and rates."""

    stamp_ns: int
    sequence: int
    position_rad: np.ndarray
    velocity_rad_s: np.ndarray
    effort_nm: np.ndarray
    gripper_opening: np.ndarray
    base_quaternion_wxyz: np.ndarray
    base_angular_velocity_rad_s: np.ndarray
    base_linear_acceleration_m_s2: np.ndarray
    plant_state: PlantState = PlantState.OFFLINE
    fault: np.ndarray | None = None
    temperature_c: np.ndarray | None = None


@dataclass(frozen=True)
class LocoCommand:
    """What the legs shall do. FLAGS uses ``flags`` (s_x, s_y, s_yaw in -1, 0, 1); VELOCITY uses ``velocity``
    (v_x, v_y [m/s], w_z [rad/s]); both use ``height_m`` (pelvis above the lowest sole)."""

    height_m: float
    flags: tuple[int, int, int] = (0, 0, 0)
    velocity: tuple[float, float, float] = (0.0, 0.0, 0.0)
    mode: LocoMode = LocoMode.FLAGS
    source: Source = Source.NONE
    session: int = 0
    sequence: int = 0
    stamp_ns: int = 0
    observation_stamp_ns: int = 0


@dataclass(frozen=True)
class ArmTarget:
    """Upper-body chunk: ``positions`` [T, J] of ``joint_names`` (rad; grippers 0..1), point i due at
    ``observation_stamp_ns + time_from_start_ns[i]``."""

    joint_names: tuple[str, ...]
    positions: np.ndarray
    time_from_start_ns: np.ndarray
    observation_stamp_ns: int
    source: Source = Source.NONE
    session: int = 0
    sequence: int = 0
    stamp_ns: int = 0


@dataclass(frozen=True)
class LatentAction:
    """Codes that the VLA decoded for one observation, with the probability of each chosen code."""

    manipulation_codes: np.ndarray
    manipulation_confidences: np.ndarray
    locomotion_codes: np.ndarray
    locomotion_confidences: np.ndarray
    observation_stamp_ns: int = 0


@dataclass(frozen=True)
class LegWaistCommand:
    """Set-points of the joints that the locomotion policy drives, arrays [m] in the order of ``joint_names``.

    The plant closes tau = kp (q* - q) + kd (qd* - qd) + tau_ff; ``effort_nm`` is what the law gives at this tick and
    is never added again."""

    joint_names: tuple[str, ...]
    position_rad: np.ndarray
    velocity_rad_s: np.ndarray
    effort_nm: np.ndarray
    effort_feedforward_nm: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    state_stamp_ns: int = 0
    sequence: int = 0
    stamp_ns: int = 0


@dataclass(frozen=True)
class PlantCommand:
    """What the driver writes into the mailbox each cycle: joint arrays [n], grippers [n_hands] (0..1).

    ``active`` False asks for damping with the damping gains of the spec; the plant interpolates set-points towards
    ``position_rad`` over ``interpolation_s``."""

    stamp_ns: int
    sequence: int
    active: bool
    position_rad: np.ndarray
    velocity_rad_s: np.ndarray
    stiffness: np.ndarray
    damping: np.ndarray
    effort_feedforward_nm: np.ndarray
    gripper_opening: np.ndarray
    interpolation_s: float = 0.005


@dataclass(frozen=True)
class PlantReading:
    """What the plant writes into the mailbox: raw joint arrays [n], grippers, each IMU by name, faults, counters."""

    stamp_ns: int
    sequence: int
    position_rad: np.ndarray
    velocity_rad_s: np.ndarray
    effort_nm: np.ndarray
    gripper_opening: np.ndarray
    imus: dict[str, ImuSample]
    plant_state: PlantState
    fault: np.ndarray
    temperature_c: np.ndarray
    watchdog_trips: int = 0
    set_points: int = 0
    last_command_sequence: int = 0


@dataclass(frozen=True)
class Event:
    """Something that the safety layer noticed or did; nodes turn it into diagnostics and logs."""

    stamp_ns: int
    reason: Reason
    state: State
    detail: str
    values: dict[str, float] = field(default_factory=dict)
