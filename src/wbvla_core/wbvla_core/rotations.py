"""Rotations as numpy arrays: quaternions are wxyz of unit length, rpy is fixed-axis roll, pitch, yaw as in
URDF."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def matrix_from_rpy(rpy_rad: Sequence[float] | np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] of roll, pitch, yaw about the fixed axes: Rz(yaw) Ry(pitch) Rx(roll)."""
    (cr, cp, cy), (sr, sp, sy) = np.cos(rpy_rad), np.sin(rpy_rad)
    return np.array(
        [
            [cy * cp, cy * sp * sr - sy * cr, cy * sp * cr + sy * sr],
            [sy * cp, sy * sp * sr + cy * cr, sy * sp * cr - cy * sr],
            [-sp, cp * sr, cp * cr],
        ]
    )


def rpy_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """Roll, pitch, yaw [3] of a rotation matrix [3, 3]; at pitch +-90 deg, where they are not unique, yaw is
    0."""
    m = np.asarray(matrix, dtype=np.float64)
    across = np.hypot(m[0, 0], m[1, 0])
    pitch = np.arctan2(-m[2, 0], across)
    if across < 1e-9:
        return np.array([np.arctan2(-m[1, 2], m[1, 1]), pitch, 0.0])
    return np.array([np.arctan2(m[2, 1], m[2, 2]), pitch, np.arctan2(m[1, 0], m[0, 0])])


def matrix_from_axis_angle(axis: Sequence[float] | np.ndarray, angle_rad: float) -> np.ndarray:
    """Rotation matrix [3, 3] about a unit axis (Rodrigues)."""
    x, y, z = axis
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    return np.eye(3) + np.sin(angle_rad) * cross + (1.0 - np.cos(angle_rad)) * (cross @ cross)


def quaternion_from_matrix(matrix: np.ndarray) -> np.ndarray:
    """Unit quaternion wxyz [4], w >= 0, of a rotation matrix [3, 3] (Shepperd's choice of the largest
    component)."""
    m = np.asarray(matrix, dtype=np.float64)
    trace = np.trace(m)
    squares = np.array([trace, m[0, 0], m[1, 1], m[2, 2]])
    best = int(np.argmax(squares))
    if best == 0:
        q = np.array([1.0 + trace, m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])
    else:
        i, j, k = ((0, 1, 2), (1, 2, 0), (2, 0, 1))[best - 1]
        q = np.empty(4)
        q[0] = m[k, j] - m[j, k]
        q[1 + i] = 1.0 + m[i, i] - m[j, j] - m[k, k]
        q[1 + j] = m[j, i] + m[i, j]
        q[1 + k] = m[k, i] + m[i, k]
    q /= np.linalg.norm(q)
    return -q if q[0] < 0.0 else q


def matrix_from_quaternion(quaternion_wxyz: np.ndarray) -> np.ndarray:
    """Rotation matrix [3, 3] of a quaternion wxyz [4] (normalised here)."""
    q = np.asarray(quaternion_wxyz, dtype=np.float64)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def projected_gravity(quaternion_wxyz: np.ndarray) -> np.ndarray:
    """Unit vector of gravity [3] in the frame whose attitude is ``quaternion_wxyz`` [4] (normalised here)."""
    w, x, y, z = quaternion_wxyz / np.linalg.norm(quaternion_wxyz)
    return np.array([2.0 * (w * y - x * z), -2.0 * (w * x + y * z), 2.0 * (x * x + y * y) - 1.0])
