"""Standing postures over the stance height: joint angles, trunk lean and the torques that hold them.

The table is the reference of every locomotion policy: set-point = reference(height - swing lift) + action. It
is data in the bundle; ``posture_builder`` makes it by inverse kinematics.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import Array, constant, indices, namespace, whole

LEFT, RIGHT, MIDDLE = 0, 1, 2


@dataclass(frozen=True)
class PostureTable:
    """Postures with both soles flat on the ground and the weight on both feet.

    ``heights_m`` K evenly spaced pelvis heights above the soles, rising; ``joints_rad`` K rows of the m
    driven joints; ``swing_rad`` K rows with the trunk upright and the sole straight below where it stands, of
    which only differences count (what shortening a leg changes); ``gravity_nm`` K rows of torques;
    ``trunk_pitch_rad`` K forward leans of the trunk; ``side`` m entries: LEFT, RIGHT or MIDDLE. Where a
    height is too low to stand, joints, torques and lean repeat the lowest posture."""

    heights_m: tuple[float, ...]
    joints_rad: tuple[tuple[float, ...], ...]
    swing_rad: tuple[tuple[float, ...], ...]
    gravity_nm: tuple[tuple[float, ...], ...]
    trunk_pitch_rad: tuple[float, ...]
    side: tuple[int, ...]

    def __post_init__(self) -> None:
        count, width = len(self.heights_m), len(self.side)
        if count < 2:
            raise ValueError(f"posture.heights_m has {count} entries; at least 2 are needed")
        steps = np.diff(np.asarray(self.heights_m))
        if steps.min() <= 0.0 or steps.max() - steps.min() > 1e-6:
            raise ValueError("posture.heights_m must rise in even steps")
        for name in ("joints_rad", "swing_rad", "gravity_nm"):
            rows = getattr(self, name)
            if len(rows) != count or any(len(row) != width for row in rows):
                raise ValueError(f"posture.{name} must be {count} rows of {width} numbers")
        if len(self.trunk_pitch_rad) != count:
            raise ValueError(
                f"posture.trunk_pitch_rad has {len(self.trunk_pitch_rad)} entries instead of {count}"
            )


def reference(table: PostureTable, height_left_m: Array, height_right_m: Array) -> Array:
    """Joint angles [B, m] rad with the left leg as long as at ``height_left_m`` [B], the right one as at
    ``height_right_m`` [B].

    The longer leg stands: the posture is that of its height, and the other leg is changed by what shortening
    it from there takes. Heights beyond the table's ends are clipped."""
    xp = namespace(height_left_m)
    stance = xp.maximum(height_left_m, height_right_m)
    stand = interpolate(table, table.joints_rad, stance) - interpolate(table, table.swing_rad, stance)
    left = stand + interpolate(table, table.swing_rad, height_left_m)
    right = stand + interpolate(table, table.swing_rad, height_right_m)
    return xp.concatenate([_SIDE_PICK[side](left, right, columns) for side, columns in _runs(table.side)], -1)


def gravity_torque(table: PostureTable, height_m: Array) -> Array:
    """Torques [B, m] N m that hold the posture at ``height_m`` [B] with the weight on both feet."""
    return interpolate(table, table.gravity_nm, height_m)


def trunk_gravity(table: PostureTable, height_m: Array) -> Array:
    """Unit gravity [B, 3] in the base frame when the trunk leans as the table says at ``height_m`` [B]."""
    xp = namespace(height_m)
    rows = tuple((pitch,) for pitch in table.trunk_pitch_rad)
    pitch = interpolate(table, rows, height_m)
    return xp.concatenate([xp.sin(pitch), xp.zeros_like(pitch), -xp.cos(pitch)], -1)


def interpolate(table: PostureTable, rows: tuple[tuple[float, ...], ...], height_m: Array) -> Array:
    """Linear interpolation [B, w] of ``rows`` (K rows of w numbers over the table's heights) at ``height_m``
    [B]."""
    xp = namespace(height_m)
    first, last, count = table.heights_m[0], table.heights_m[-1], len(table.heights_m)
    place = xp.clip((height_m - first) * ((count - 1) / (last - first)), 0.0, float(count - 1))
    low = xp.clip(xp.floor(place), 0.0, float(count - 2))
    share = (place - low)[:, None]
    values = constant(rows, height_m)
    index = whole(low)
    return values[index] * (1.0 - share) + values[index + 1] * share


def _runs(side: tuple[int, ...]) -> list[tuple[int, tuple[int, ...]]]:
    """Neighbouring columns of one side, in order."""
    runs: list[tuple[int, tuple[int, ...]]] = []
    for column, kind in enumerate(side):
        if runs and runs[-1][0] == kind:
            runs[-1] = (kind, (*runs[-1][1], column))
        else:
            runs.append((kind, (column,)))
    return runs


_SIDE_PICK = {
    LEFT: lambda left, right, columns: left[:, indices(columns, left)],
    RIGHT: lambda left, right, columns: right[:, indices(columns, right)],
    MIDDLE: lambda left, right, columns: 0.5 * (left + right)[:, indices(columns, left)],
}
