"""Velocity of the base from leg joints and gyro: the foot that carries stands still, so the base moves against it.

Batch first, numpy and torch alike, without memory. With the encoder noise of one sample the result is uncertain by
some 0.1 m/s; whoever uses it averages over time.
"""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import Array, constant, namespace
from .robot_spec import RobotSpec
from .rotations import matrix_from_rpy

SHARE_WIDTH_M = 0.01
"""Difference of the soles' heights at which the lower foot counts 73 %: between one foot's step and both feet down."""


@dataclass(frozen=True)
class Leg:
    """A chain of hinges from the base to a sole. Per joint: its wire index, the 3 x 3 rotation (row by row) and
    translation [m] of its frame in the frame before, its axis. ``sole_m`` middle of the sole in the last frame."""

    joints: tuple[int, ...]
    rotations: tuple[tuple[float, ...], ...]
    offsets_m: tuple[tuple[float, float, float], ...]
    axes: tuple[tuple[float, float, float], ...]
    sole_m: tuple[float, float, float]


def legs(spec: RobotSpec) -> tuple[Leg, ...]:
    """The chains to the feet of ``spec``."""
    by_child = {joint.child: (i, joint) for i, joint in enumerate(spec.joints)}
    chains = []
    for foot in spec.feet:
        chain, link = [], foot.link
        while link != spec.base_link:
            chain.append(by_child[link])
            link = by_child[link][1].parent
        chain.reverse()
        corners = foot.support_m
        sole = tuple(sum(corner[k] for corner in corners) / len(corners) for k in range(3))
        chains.append(
            Leg(
                tuple(i for i, _ in chain),
                tuple(tuple(matrix_from_rpy(j.origin_rpy_rad).ravel().tolist()) for _, j in chain),
                tuple(j.origin_xyz_m for _, j in chain),
                tuple(j.axis for _, j in chain),
                sole,
            )
        )
    return tuple(chains)


def base_velocity(
    position_rad: Array,
    velocity_rad_s: Array,
    gravity: Array,
    angular_velocity: Array,
    chains: tuple[Leg, ...],
) -> Array:
    """Horizontal velocity [B, 2] m/s of the base, along its own x and y.

    ``position_rad``, ``velocity_rad_s`` [B, n] in wire order, ``gravity`` [B, 3] unit vector and
    ``angular_velocity`` [B, 3] rad/s in the base frame; exactly two legs, one of which stands."""
    (left, v_left), (right, v_right) = (
        sole(position_rad, velocity_rad_s, angular_velocity, leg) for leg in chains
    )
    deeper = ((left - right) * gravity).sum(-1, keepdims=True)
    # 1 / (1 + exp(-x)) without overflow.
    share = 0.5 * (1.0 + namespace(deeper).tanh(0.5 * deeper / SHARE_WIDTH_M))
    velocity = -(share * v_left + (1.0 - share) * v_right)
    level = velocity - (velocity * gravity).sum(-1, keepdims=True) * gravity
    return level[:, :2]


def sole(
    position_rad: Array, velocity_rad_s: Array, angular_velocity: Array, leg: Leg
) -> tuple[Array, Array]:
    """Place [B, 3] m and velocity [B, 3] m/s of a sole relative to the base's origin, both along the base's axes; the
    velocity as seen from outside (it holds what the base's own turning does)."""
    xp = namespace(position_rad)
    place = xp.zeros_like(angular_velocity)
    velocity, turning = place, angular_velocity
    turn = None
    for joint, rotation, offset, axis in zip(leg.joints, leg.rotations, leg.offsets_m, leg.axes, strict=True):
        fixed = constant(rotation, position_rad).reshape(3, 3)
        step = constant(offset, position_rad)
        step = step + xp.zeros_like(place) if turn is None else turn @ step
        velocity = velocity + _cross(turning, step)
        place = place + step
        turn = fixed + xp.zeros_like(place)[:, :, None] if turn is None else turn @ fixed
        line = turn @ constant(axis, position_rad)
        turning = turning + line * velocity_rad_s[:, joint, None]
        turn = turn @ _about(axis, position_rad[:, joint])
    step = turn @ constant(leg.sole_m, position_rad)
    return place + step, velocity + _cross(turning, step)


def _about(axis: tuple[float, float, float], angle: Array) -> Array:
    """Rotations [B, 3, 3] by ``angle`` [B] about ``axis`` (Rodrigues' formula)."""
    xp = namespace(angle)
    x, y, z = axis
    skew = constant((0.0, -z, y, z, 0.0, -x, -y, x, 0.0), angle).reshape(3, 3)
    square = skew @ skew
    sine, versine = xp.sin(angle)[:, None, None], (1.0 - xp.cos(angle))[:, None, None]
    one = constant((1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), angle).reshape(3, 3)
    return one + sine * skew + versine * square


def _cross(a: Array, b: Array) -> Array:
    """[B, 3] x [B, 3]."""
    return namespace(a).stack(
        [
            a[:, 1] * b[:, 2] - a[:, 2] * b[:, 1],
            a[:, 2] * b[:, 0] - a[:, 0] * b[:, 2],
            a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0],
        ],
        -1,
    )
