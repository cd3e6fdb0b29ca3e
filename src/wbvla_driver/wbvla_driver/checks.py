"""Is a message fit to be obeyed? Each check returns (Reason.NONE, "") or why not."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from wbvla_core.timing import NS_PER_MS, NS_PER_S
from wbvla_core.types import ArmTarget, LegWaistCommand, LocoCommand, LocoMode, Reason

from wbvla_driver.config import DriverConfig

Verdict = tuple[Reason, str]
GOOD: Verdict = (Reason.NONE, "")
MAX_POINTS = 64
# No joint angle, opening, gain-free speed or height of a robot is this large: such numbers are rubbish, not
# targets.
ABSURD = 100.0


def check_stamp(name: str, stamp_ns: int, now_ns: int, max_age_ms: float, max_future_ms: float) -> Verdict:
    """``stamp_ns`` and ``now_ns`` are of the same clock."""
    age_ms = (now_ns - stamp_ns) / NS_PER_MS
    if age_ms > max_age_ms:
        return Reason.BAD_MESSAGE, f"{name} is {age_ms:.0f} ms old, limit {max_age_ms:g}"
    if age_ms < -max_future_ms:
        return Reason.BAD_MESSAGE, f"{name} lies {-age_ms:.0f} ms in the future"
    return GOOD


def _check_stamps(command: ArmTarget | LocoCommand, now_ns: int, config: DriverConfig) -> Verdict:
    verdict = check_stamp("stamp", command.stamp_ns, now_ns, config.max_message_age_ms, config.max_future_ms)
    if verdict != GOOD:
        return verdict
    observed = command.observation_stamp_ns
    return check_stamp(
        "observation_stamp", observed, now_ns, config.max_observation_age_ms, config.max_future_ms
    )


def check_arm_target(target: ArmTarget, known: Collection[str], now_ns: int, config: DriverConfig) -> Verdict:
    """``known``: joints and grippers that a chunk may name; ``now_ns`` of the stamps' clock."""
    names = target.joint_names
    unknown = [name for name in names if name not in known]
    if unknown or not names or len(set(names)) != len(names):
        what = f"unknown joints {', '.join(unknown[:4])}" if unknown else "no joints, or one twice"
        return Reason.BAD_MESSAGE, f"{what}; allowed are arms, head and grippers"
    positions = np.asarray(target.positions)
    times = np.asarray(target.time_from_start_ns)
    if positions.ndim != 2 or positions.shape[1] != len(names) or times.shape != positions.shape[:1]:
        return (
            Reason.BAD_MESSAGE,
            f"positions {positions.shape} do not fit {len(names)} joints, {times.shape} times",
        )
    if not 1 <= len(positions) <= MAX_POINTS:
        return Reason.BAD_MESSAGE, f"{len(positions)} points, allowed are 1 to {MAX_POINTS}"
    if not np.isfinite(positions).all() or np.abs(positions).max() > ABSURD:
        return Reason.BAD_MESSAGE, "positions are not finite or absurd"
    if times[0] < 0 or times[-1] > config.max_chunk_s * NS_PER_S or np.any(np.diff(times) <= 0):
        return Reason.BAD_MESSAGE, f"time_from_start must rise strictly within 0..{config.max_chunk_s:g} s"
    return _check_stamps(target, now_ns, config)


def check_loco_command(command: LocoCommand, now_ns: int, config: DriverConfig) -> Verdict:
    """``now_ns`` of the stamps' clock."""
    numbers = np.array([command.height_m, *command.velocity], float)
    if not np.isfinite(numbers).all() or np.abs(numbers).max() > ABSURD:
        return Reason.BAD_MESSAGE, "height or velocity is not finite or absurd"
    if command.mode not in (LocoMode.FLAGS, LocoMode.VELOCITY):
        return Reason.BAD_MESSAGE, f"unknown mode {command.mode}"
    if len(command.flags) != 3 or any(flag not in (-1, 0, 1) for flag in command.flags):
        return Reason.BAD_MESSAGE, f"flags {command.flags} must each be -1, 0 or 1"
    return _check_stamps(command, now_ns, config)


def check_leg_waist(
    command: LegWaistCommand, wanted: frozenset[str], now_ns: int, config: DriverConfig
) -> Verdict:
    """``wanted``: exactly the joints that the locomotion policy drives; ``now_ns`` of the stamps' clock."""
    names = command.joint_names
    if len(names) != len(wanted) or set(names) != wanted:
        odd = sorted(set(names) ^ wanted)[:4]
        return (
            Reason.MISMATCH,
            f"joints differ from the robot's locomotion joints: {', '.join(odd) or 'one twice'}",
        )
    arrays = (
        command.position_rad,
        command.velocity_rad_s,
        command.effort_feedforward_nm,
        command.stiffness,
        command.damping,
    )
    if any(np.shape(array) != (len(names),) for array in arrays):
        return Reason.BAD_MESSAGE, f"an array's length is not {len(names)}"
    if not all(np.isfinite(array).all() for array in arrays):
        return Reason.LMO_NOT_FINITE, "a set-point is not finite"
    if np.min(command.stiffness) < 0 or np.min(command.damping) < 0:
        return Reason.BAD_MESSAGE, "a gain is negative"
    return check_stamp(
        "state_stamp", command.state_stamp_ns, now_ns, config.max_state_age_ms, config.max_future_ms
    )
