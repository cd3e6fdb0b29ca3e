"""The scene of box loading and cart pushing: a box on a low platform ahead to the left, a cart ahead to the right.

A robot that goes 0.8 m to the left has the box before it; when it then turns right by 90 degrees it looks along the cart,
0.9 m away. Going 1.0 m ahead from the start and turning right brings it behind the cart's grips. Nothing but the sentence
says which of them is meant."""

from __future__ import annotations

import mujoco
import numpy as np
from wbvla_core.rotations import matrix_from_rpy

from wbvla_sim import cart
from wbvla_sim import scene_parts as parts

BOX, PLATFORM, CART = "box", "platform", "cart"
START_M = 1.0
"""From the nominal start to the near edge of the platform, and to where one stands to grab the cart."""
BOX_BEARING_RAD = np.radians(25.0)
"""Where the platform is seen from the nominal start, facing the robot."""
TURN_RAD = np.radians(-90.0)
"""Heading of the cart against that of the platform."""
PLATFORM_GAP_M, CART_GAP_M = 0.20, 0.90
"""From the pelvis of a robot before the platform to its edge; and, once it has turned, to the edge of the deck."""
ALONG_M, ACROSS_M, HEADING_RAD = 0.10, 0.10, np.radians(10.0)
"""Ranges (+-) of the start."""
PLATFORM_HEIGHT_M = (0.50, 0.54)
PLACE_NOISE_M, YAW_NOISE_RAD = 0.015, np.radians(3.0)
"""Ranges (+-) of box, platform and cart about their places."""


def furnish_box_cart(scene: mujoco.MjSpec, rng: np.random.Generator) -> tuple[str, ...]:
    """Nominal start +-10 cm along and across, +-10 degrees."""
    start = np.array([rng.uniform(-ALONG_M, ALONG_M), rng.uniform(-ACROSS_M, ACROSS_M), 0.0])
    return furnish_from(scene, rng, start, float(rng.uniform(-1.0, 1.0) * HEADING_RAD))


def furnish_from(
    scene: mujoco.MjSpec, rng: np.random.Generator, start_m: np.ndarray, heading_rad: float
) -> tuple[str, ...]:
    """The scene as seen from ``start_m`` [3] and ``heading_rad`` in the frame of the nominal start. The robot of the
    scene is at the origin and faces +x: it is the things that are put where it sees them."""
    turn = matrix_from_rpy((0.0, 0.0, -heading_rad))
    stand = _ahead(BOX_BEARING_RAD, START_M - PLATFORM_GAP_M)

    def place(direction_rad: float, ahead_m: float, aside_m: float) -> tuple[float, float]:
        """Seen by a robot before the platform that looks in a direction: ahead and to the left of it."""
        spot = stand + _ahead(direction_rad, ahead_m) + _ahead(direction_rad + 0.5 * np.pi, aside_m)
        x, y = (turn @ (spot - start_m))[:2]
        return float(x), float(y)

    def noise(scale: float = PLACE_NOISE_M) -> float:
        return float(rng.uniform(-scale, scale))

    height = float(rng.uniform(*PLATFORM_HEIGHT_M))
    facing, yaw = BOX_BEARING_RAD - heading_rad, noise(YAW_NOISE_RAD)
    edge = PLATFORM_GAP_M + noise()
    middle = place(BOX_BEARING_RAD, edge + parts.PLATFORM_HALF_M[0], noise())
    parts.add_platform(scene, rng, PLATFORM, middle, facing + yaw, height)
    # Its long side across, its near face at the platform's edge or up to 2 cm behind it.
    box = edge + 0.5 * parts.BOX_SIZE_M[1] + rng.uniform(0.0, 0.02)
    where = (*place(BOX_BEARING_RAD, box, noise(0.02)), height)
    parts.add_box(scene, rng, BOX, where, facing + yaw + noise(YAW_NOISE_RAD) - 0.5 * np.pi)
    middle = place(BOX_BEARING_RAD + TURN_RAD, CART_GAP_M + noise() + cart.DECK_HALF_M[0], noise())
    cart.add_cart(scene, rng, CART, middle, facing + TURN_RAD + noise(YAW_NOISE_RAD))
    x, y = (turn @ (np.array([3.2, rng.uniform(-0.3, 0.9), 0.0]) - start_m))[:2]
    parts.add_shelf(scene, rng, "shelf", (float(x), float(y)), (0.35, 0.7, 1.05))
    return (BOX, CART, PLATFORM)


def _ahead(direction_rad: float, distance_m: float) -> np.ndarray:
    return np.array([distance_m * np.cos(direction_rad), distance_m * np.sin(direction_rad), 0.0])
