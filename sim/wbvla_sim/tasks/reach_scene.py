"""Scenes of ``reach_table``: a table with two coloured balls, seen from a start that varies."""

from __future__ import annotations

import mujoco
import numpy as np
from wbvla_core.rotations import matrix_from_rpy

from wbvla_sim import scene_parts as parts

TABLE = "table"
FAR_M, NEAR_M = 1.0, 0.27
"""From the pelvis to the near edge of the table at the start: to be walked, or within reach at once."""
ALONG_M, ACROSS_M, HEADING_RAD = 0.10, 0.10, np.radians(10.0)
TOP_HEIGHT_M = (0.62, 0.70)
_BALL_DEPTH_M = (0.07, 0.13)


def furnish_far(scene: mujoco.MjSpec, rng: np.random.Generator) -> tuple[str, ...]:
    """The table 1.0 m ahead, +-10 cm along and across, +-10 degrees heading."""
    start = (FAR_M + rng.uniform(-ALONG_M, ALONG_M), rng.uniform(-ACROSS_M, ACROSS_M))
    return _furnish(scene, rng, start, rng.uniform(-HEADING_RAD, HEADING_RAD), (0.10, 0.28))


def furnish_near(scene: mujoco.MjSpec, rng: np.random.Generator) -> tuple[str, ...]:
    """The table within reach, for trials without walking: +-2 cm, +-3 degrees."""
    start = (NEAR_M + rng.uniform(-0.02, 0.02), rng.uniform(-0.02, 0.02))
    return _furnish(scene, rng, start, rng.uniform(-1.0, 1.0) * np.radians(3.0), (0.12, 0.24))


def _furnish(
    scene: mujoco.MjSpec,
    rng: np.random.Generator,
    start: tuple[float, float],
    heading_rad: float,
    ball_side_m: tuple[float, float],
) -> tuple[str, ...]:
    """The robot is at the origin and faces +x: it is the table that is put where the robot sees it from ``start``
    (distance to the near edge, offset to the left of its middle) with ``heading_rad``."""
    turn = matrix_from_rpy((0.0, 0.0, -heading_rad))
    # In the table's frame (origin in the middle of its near edge, x away from the robot) the robot is here.
    robot = np.array([-start[0], start[1], 0.0])

    def place(x: float, y: float) -> np.ndarray:
        return (turn @ (np.array([x, y, 0.0]) - robot))[:2]

    height = float(rng.uniform(*TOP_HEIGHT_M))
    parts.add_table(scene, rng, TABLE, tuple(place(parts.TABLE_HALF_M[0], 0.0)), height)
    half = 0.5 * -heading_rad
    scene.body(TABLE).quat = [np.cos(half), 0.0, 0.0, np.sin(half)]
    parts.add_shelf(scene, rng, "shelf", (3.2, float(rng.uniform(-1.5, 1.5))), (0.35, 0.7, 1.05))
    colours = rng.permutation(list(parts.BALL_COLOURS))[:2]
    names = []
    for colour, side in zip(colours, (1.0, -1.0), strict=True):
        x, y = rng.uniform(*_BALL_DEPTH_M), side * rng.uniform(*ball_side_m)
        names.append(parts.add_ball(scene, rng, str(colour), (*place(x, y), height)))
    return (*names, TABLE)
