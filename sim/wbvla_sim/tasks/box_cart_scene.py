"""The scene of box loading and cart pushing: a box on a low platform ahead to the left, a cart ahead to the right.

Both face one place, the hub, 0.8 m ahead of the start: there the robot turns left by 45 degrees and has the box before it,
or right by 45 degrees and has the cart before it. Nothing but the sentence says which of them is meant."""

from __future__ import annotations

import mujoco
import numpy as np
from wbvla_core.rotations import matrix_from_rpy

from wbvla_sim import cart
from wbvla_sim import scene_parts as parts

BOX, PLATFORM, CART = "box", "platform", "cart"
TURN_RAD = np.radians(45.0)
"""Heading of platform (to the left) and cart (to the right) against the middle of the scene."""
PLATFORM_GAP_M, CART_GAP_M = 0.16, 0.45
"""From the hub to the near edge of the platform, and of the cart's deck. The cart is further off, so that its left grip
is out of the way of the right arm at the box."""
START_M = 1.0
"""From the start to the near edge of the platform; to that of the cart it is 1.2 m."""
ALONG_M, ACROSS_M, HEADING_RAD = 0.10, 0.10, np.radians(10.0)
"""Ranges (+-) of the start."""
PLATFORM_HEIGHT_M = (0.40, 0.44)
PLACE_NOISE_M, YAW_NOISE_RAD = 0.015, np.radians(3.0)
"""Ranges (+-) of box, platform and cart about their places."""


def hub_m() -> float:
    """From the start to the place where the robot turns, so that the platform's edge is START_M away."""
    aside = PLATFORM_GAP_M * np.sin(TURN_RAD)
    return float(np.sqrt(START_M**2 - aside**2) - PLATFORM_GAP_M * np.cos(TURN_RAD))


def furnish_box_cart(scene: mujoco.MjSpec, rng: np.random.Generator) -> tuple[str, ...]:
    """Nominal start 1.0 m before platform and cart, +-10 cm along and across, +-10 degrees."""
    start = np.array([-hub_m() + rng.uniform(-ALONG_M, ALONG_M), rng.uniform(-ACROSS_M, ACROSS_M), 0.0])
    return furnish_from(scene, rng, start, float(rng.uniform(-1.0, 1.0) * HEADING_RAD))


def furnish_from(
    scene: mujoco.MjSpec, rng: np.random.Generator, start_m: np.ndarray, heading_rad: float
) -> tuple[str, ...]:
    """The scene as seen by a robot at ``start_m`` [3] with ``heading_rad`` in the frame of the hub. The robot of the
    scene is at the origin and faces +x: it is the things that are put where it sees them."""
    turn = matrix_from_rpy((0.0, 0.0, -heading_rad))

    def place(direction_rad: float, ahead_m: float, aside_m: float) -> tuple[float, float]:
        """Seen from the hub in a direction: ahead and to the left of it."""
        spot = matrix_from_rpy((0.0, 0.0, direction_rad)) @ np.array([ahead_m, aside_m, 0.0])
        x, y = (turn @ (spot - start_m))[:2]
        return float(x), float(y)

    def noise(scale: float = PLACE_NOISE_M) -> float:
        return float(rng.uniform(-scale, scale))

    height = float(rng.uniform(*PLATFORM_HEIGHT_M))
    edge, yaw = PLATFORM_GAP_M + noise(), noise(YAW_NOISE_RAD)
    middle = edge + parts.PLATFORM_HALF_M[0]
    parts.add_platform(
        scene, rng, PLATFORM, place(TURN_RAD, middle, noise()), TURN_RAD - heading_rad + yaw, height
    )
    # Its long side across, its near face at the platform's edge or up to 2 cm behind it.
    box = edge + 0.5 * parts.BOX_SIZE_M[1] + rng.uniform(0.0, 0.02)
    quarter = 0.5 * np.pi
    parts.add_box(
        scene,
        rng,
        BOX,
        (*place(TURN_RAD, box, noise(0.02)), height),
        TURN_RAD - heading_rad + yaw + noise(YAW_NOISE_RAD) - quarter,
    )
    middle = CART_GAP_M + noise() + cart.DECK_HALF_M[0]
    cart.add_cart(
        scene, rng, CART, place(-TURN_RAD, middle, noise()), -TURN_RAD - heading_rad + noise(YAW_NOISE_RAD)
    )
    parts.add_shelf(scene, rng, "shelf", place(0.0, 2.6, float(rng.uniform(-0.3, 0.9))), (0.35, 0.7, 1.05))
    return (BOX, CART, PLATFORM)
