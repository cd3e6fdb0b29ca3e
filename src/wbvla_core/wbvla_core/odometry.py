"""Velocity of the base from leg joints and gyro: the foot that carries stands still, so the base moves against it.

Batch first, numpy and torch alike, without memory. With the encoder noise of one sample the result is uncertain by
some 0.1 m/s; whoever uses it averages over time.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from .arrays import Array, constant, indices, namespace
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
    ``angular_velocity`` [B, 3] rad/s in the base frame; exactly two legs of equally many joints, one of which stands."""
    (left, right), (v_left, v_right) = soles(position_rad, velocity_rad_s, angular_velocity, chains)
    deeper = ((left - right) * gravity).sum(-1, keepdims=True)
    # 1 / (1 + exp(-x)) without overflow.
    share = 0.5 * (1.0 + namespace(deeper).tanh(0.5 * deeper / SHARE_WIDTH_M))
    velocity = -(share * v_left + (1.0 - share) * v_right)
    level = velocity - (velocity * gravity).sum(-1, keepdims=True) * gravity
    return level[:, :2]


def soles(
    position_rad: Array, velocity_rad_s: Array, angular_velocity: Array, chains: tuple[Leg, ...]
) -> tuple[Array, Array]:
    """Places [K, B, 3] m and velocities [K, B, 3] m/s of the soles of K ``chains`` relative to the base's origin, along the
    base's axes; the velocity as seen from outside (it holds what the base's own turning does).

    The chains must have equally many joints."""
    xp, count, batch = namespace(position_rad), len(chains), position_rad.shape[0]
    columns, joints, tips = _constants(chains)
    chosen = indices(joints, position_rad)
    angle = position_rad[:, chosen].T.reshape(len(columns), count, 1, 1, batch)
    rate = velocity_rad_s[:, chosen].T.reshape(len(columns), count, 1, batch)
    sine, versine = xp.sin(angle), 1.0 - xp.cos(angle)
    # The batch lies innermost: [K, 3, B] points, [K, 3, 3, B] transposed rotations.
    place = xp.stack([xp.zeros_like(angular_velocity.T)] * count)
    turn = constant(_IDENTITY, position_rad).reshape(3, 3, 1) + place[:, None]
    # Each joint turns what follows about a line through its place; the base turns all about its origin.
    lines, places = [xp.stack([angular_velocity.T] * count)], [place]
    for j, values in enumerate(columns):
        rows = constant(values, position_rad).reshape(count, 11, 3)
        part = (rows @ turn.reshape(count, 3, 3 * batch)).reshape(count, 11, 3, batch)
        place = place + part[:, 0]
        lines.append(part[:, 1] * rate[j])
        places.append(place)
        turn = part[:, 2:5] + sine[j] * part[:, 5:8] + versine[j] * part[:, 8:11]
    rows = constant(tips, position_rad).reshape(count, 1, 3)
    place = place + (rows @ turn.reshape(count, 3, 3 * batch)).reshape(count, 3, batch)
    speed = _cross(xp.stack(lines), place - xp.stack(places)).sum(0)
    return xp.swapaxes(place, 1, 2), xp.swapaxes(speed, 1, 2)


_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


@functools.lru_cache(maxsize=16)
def _constants(
    chains: tuple[Leg, ...],
) -> tuple[tuple[tuple[float, ...], ...], tuple[int, ...], tuple[float, ...]]:
    """(columns, joints, tips) of K chains of J joints each.

    ``columns``: for each place j along the chains, K 3 x 11 matrices column by column: the offset o, the axis F a, and
    F, F S, F S^2 with F the frame's rotation and S = [a x], so that F R(q) = F + sin q F S + (1 - cos q) F S^2
    (Rodrigues' formula) costs one product. ``joints`` wire indices, j by j; ``tips`` the soles."""
    columns = []
    for j in range(len(chains[0].joints)):
        matrices = []
        for leg in chains:
            frame, axis = np.reshape(leg.rotations[j], (3, 3)), np.asarray(leg.axes[j])
            skew = np.cross(np.eye(3), axis)
            vectors = np.stack([np.asarray(leg.offsets_m[j]), frame @ axis], -1)
            matrices.append(np.concatenate([vectors, frame, frame @ skew, frame @ skew @ skew], -1).T)
        columns.append(tuple(np.ravel(matrices).tolist()))
    joints = tuple(leg.joints[j] for j in range(len(columns)) for leg in chains)
    return tuple(columns), joints, tuple(x for leg in chains for x in leg.sole_m)


def _cross(a: Array, b: Array) -> Array:
    """[..., 3, B] x [..., 3, B]."""
    ax, ay, az = (a[..., k, :] for k in range(3))
    bx, by, bz = (b[..., k, :] for k in range(3))
    return namespace(a).stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -2)
