"""The cart of the tasks: 50 kg on wheels, a deck to load, and two upright grips at its near corners to push it by."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

_BOX = mujoco.mjtGeom.mjGEOM_BOX
_CYLINDER = mujoco.mjtGeom.mjGEOM_CYLINDER
_CAPSULE = mujoco.mjtGeom.mjGEOM_CAPSULE
MASS_KG = 50.0
FORCE_N = (5.5, 14.0)
"""Dry rolling resistance, by the seed. With the damping it rolls against 5 to 15 N at up to 0.5 m/s."""
DAMPING_N_S_M = 1.0
SIDE_FORCE_N = 40.0
"""What the two fixed wheels bear sideways before they slide; they keep the cart on its way."""
YAW_TORQUE_N_M = 5.0
"""What it takes to turn it on the spot."""
DECK_HALF_M = (0.28, 0.30)
DECK_HEIGHT_M = 0.52
GRIP_M = (-0.27, 0.32)
"""Of the grips in the cart's frame: x, and y to either side."""
GRIP_TOP_M, GRIP_RADIUS_M = 0.72, 0.014
SIDES = ("left", "right")


def grip_names(name: str = "cart") -> tuple[str, str]:
    """Names of the geoms of the left and the right grip."""
    return f"{name}_grip_left", f"{name}_grip_right"


def add_cart(
    scene: mujoco.MjSpec, rng: np.random.Generator, name: str, position: Sequence[float], yaw_rad: float = 0.0
) -> None:
    """A cart with its middle above ``position`` (x, y), its front towards ``yaw_rad``.

    It does not tip: it has joints ``<name>_x``, ``_y`` (along and across its first heading) and ``_yaw``, with dry
    friction each."""
    tone = np.array([0.2, 0.35, 0.6])[rng.permutation(3)] * rng.uniform(0.7, 1.3) + rng.uniform(0.0, 0.1, 3)
    rgba = [*np.clip(tone, 0.0, 1.0), 1.0]
    grey = [*(rng.uniform(0.35, 0.65) * np.array([1.0, 1.02, 1.05])), 1.0]
    cart = scene.worldbody.add_body(name=name, pos=[*position[:2], 0.0])
    cart.quat = [np.cos(0.5 * yaw_rad), 0.0, 0.0, np.sin(0.5 * yaw_rad)]
    _add_joints(cart, name, float(rng.uniform(*FORCE_N)))
    deck = cart.add_geom(name=f"{name}_deck", type=_BOX, rgba=rgba, mass=16.0)
    deck.pos, deck.size = [0.0, 0.0, DECK_HEIGHT_M - 0.015], [*DECK_HALF_M, 0.015]
    deck.friction = [0.7, 0.01, 1e-4]
    # The near end is open below the deck: feet and knees go there.
    chassis = cart.add_geom(
        name=f"{name}_chassis", type=_BOX, rgba=rgba, mass=MASS_KG - 16.0 - 4 * 0.5 - 4 * 0.3
    )
    chassis.pos, chassis.size = [0.06, 0.0, 0.15], [0.2, 0.27, 0.03]
    for side, y in zip(SIDES, (GRIP_M[1], -GRIP_M[1]), strict=True):
        grip = cart.add_geom(name=f"{name}_grip_{side}", type=_CAPSULE, rgba=grey, mass=0.5)
        grip.fromto = [GRIP_M[0], y, 0.12, GRIP_M[0], y, GRIP_TOP_M - GRIP_RADIUS_M]
        grip.size = [GRIP_RADIUS_M, 0.0, 0.0]
        grip.friction = [1.0, 0.01, 1e-4]
        sleeve = cart.add_geom(
            name=f"{name}_sleeve_{side}", type=_CYLINDER, contype=0, conaffinity=0, mass=0.0
        )
        sleeve.pos, sleeve.size = [GRIP_M[0], y, GRIP_TOP_M - 0.08], [GRIP_RADIUS_M + 0.002, 0.07, 0.0]
        sleeve.rgba = [0.08, 0.08, 0.08, 1.0]
        post = cart.add_geom(name=f"{name}_post_{side}", type=_CYLINDER, rgba=grey, mass=0.5)
        post.pos, post.size = [0.24, np.sign(y) * 0.26, 0.31], [0.012, 0.19, 0.0]
    for i, (x, y) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
        wheel = cart.add_geom(name=f"{name}_wheel_{i}", type=_CYLINDER, rgba=[0.1, 0.1, 0.1, 1.0], mass=0.3)
        wheel.pos, wheel.size = [x * 0.23, y * 0.29, 0.051], [0.05, 0.015, 0.0]
        wheel.quat, wheel.contype, wheel.conaffinity = [0.7071, 0.7071, 0.0, 0.0], 0, 0


def _add_joints(cart: mujoco.MjsBody, name: str, force_n: float) -> None:
    slide, hinge = mujoco.mjtJoint.mjJNT_SLIDE, mujoco.mjtJoint.mjJNT_HINGE
    for axis, kind, direction, friction, damping in (
        ("x", slide, [1, 0, 0], force_n, DAMPING_N_S_M),
        ("y", slide, [0, 1, 0], SIDE_FORCE_N, 2.0),
        ("yaw", hinge, [0, 0, 1], YAW_TORQUE_N_M, 0.5),
    ):
        cart.add_joint(
            name=f"{name}_{axis}", type=kind, axis=direction, frictionloss=friction, damping=[damping, 0, 0]
        )
