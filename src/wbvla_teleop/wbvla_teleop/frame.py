"""What an operator wants at one instant, whatever the device: the one value that every device produces."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

EPISODE_START = "episode_start"
EPISODE_STOP = "episode_stop"
EPISODE_FAIL = "episode_fail"
EPISODE_DISCARD = "episode_discard"
ESTOP = "estop"
AUTHORITY = "authority"
BUTTONS = (EPISODE_START, EPISODE_STOP, EPISODE_FAIL, EPISODE_DISCARD, ESTOP, AUTHORITY)
PELVIS, TORSO = "pelvis", "torso_link"
FRAMES = (PELVIS, TORSO)


class FrameError(ValueError):
    """A frame that no robot can follow; says which field is wrong."""


@dataclass(frozen=True)
class WristPose:
    """Where a hand's mount (the link that carries the gripper) shall be.

    ``position_m`` [3] and ``quaternion_wxyz`` [4] in ``frame``: the robot's ``pelvis`` or its
    ``torso_link``, as they are now. ``quaternion_wxyz`` None leaves the attitude to the inverse kinematics.
    """

    position_m: np.ndarray
    quaternion_wxyz: np.ndarray | None = None
    frame: str = PELVIS

    def __post_init__(self) -> None:
        if self.frame not in FRAMES:
            raise FrameError(f"wrist frame '{self.frame}': expected one of {', '.join(FRAMES)}")
        if np.shape(self.position_m) != (3,) or not np.isfinite(self.position_m).all():
            raise FrameError(f"wrist position {self.position_m}: expected three finite numbers")
        q = self.quaternion_wxyz
        if q is not None and (np.shape(q) != (4,) or not 0.5 < float(np.linalg.norm(q)) < 2.0):
            raise FrameError(f"wrist quaternion {q}: expected four numbers (wxyz) of about unit length")


@dataclass(frozen=True)
class TeleopFrame:
    """One reading of an operator.

    ``stamp_ns`` of the device event behind it; ``deadman`` True while the operator holds the deadman,
    without which nothing moves; ``left`` and ``right`` wrist targets (None: that arm holds still); ``head``
    (yaw, pitch) [rad]; ``grippers`` (left, right), 0 closed .. 1 open; ``flags`` (s_x, s_y, s_yaw) in -1,
    0, 1; ``height_m`` stance height; ``buttons`` those of :data:`BUTTONS` that are down; ``joints``
    positions [rad] of upper-body joints by name, for devices that measure joints (they win over wrist
    targets).
    """

    stamp_ns: int
    deadman: bool
    left: WristPose | None = None
    right: WristPose | None = None
    head: tuple[float, float] | None = None
    grippers: tuple[float, float] | None = None
    flags: tuple[int, int, int] = (0, 0, 0)
    height_m: float | None = None
    buttons: frozenset[str] = field(default_factory=frozenset)
    joints: dict[str, float] | None = None

    def __post_init__(self) -> None:
        if len(self.flags) != 3 or any(flag not in (-1, 0, 1) for flag in self.flags):
            raise FrameError(f"flags {self.flags}: expected three of -1, 0, 1")
        for name in ("head", "grippers"):
            pair = getattr(self, name)
            if pair is not None and (len(pair) != 2 or not all(math.isfinite(value) for value in pair)):
                raise FrameError(f"{name} {pair}: expected two finite numbers")
        if self.height_m is not None and not math.isfinite(self.height_m):
            raise FrameError(f"height_m {self.height_m}: expected a finite number")
        unknown = self.buttons - set(BUTTONS)
        if unknown:
            raise FrameError(f"buttons {', '.join(sorted(unknown))}: expected some of {', '.join(BUTTONS)}")
        bad = [name for name, value in (self.joints or {}).items() if not math.isfinite(value)]
        if bad:
            raise FrameError(f"joints {', '.join(bad)}: expected finite angles")
