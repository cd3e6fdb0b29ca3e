"""From engine arrays to what a policy measures and what a teacher may know: pure functions of tensors."""

from __future__ import annotations

import torch

Tensor = torch.Tensor


def gravity_in_base(quat: Tensor) -> Tensor:
    """Unit vector of gravity [N, 3] in the frame with attitude ``quat`` [N, 4] (w, x, y, z)."""
    w, x, y, z = quat.unbind(-1)
    return torch.stack([2.0 * (w * y - x * z), -2.0 * (w * x + y * z), 2.0 * (x * x + y * y) - 1.0], -1)


def heading(quat: Tensor) -> Tensor:
    """Yaw angle [N] rad of ``quat`` [N, 4]."""
    w, x, y, z = quat.unbind(-1)
    return torch.atan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))


def wrap(angle: Tensor) -> Tensor:
    """``angle`` in -pi..pi."""
    return torch.atan2(torch.sin(angle), torch.cos(angle))


def to_heading(vector: Tensor, yaw: Tensor) -> Tensor:
    """World vectors [N, ..., 3] turned into the heading frame of ``yaw`` [N]."""
    shape = (-1,) + (1,) * (vector.dim() - 2)
    c, s = torch.cos(yaw).reshape(shape), torch.sin(yaw).reshape(shape)
    x, y = vector[..., 0], vector[..., 1]
    return torch.stack([c * x + s * y, c * y - s * x, vector[..., 2]], -1)


def tilted(gravity: Tensor, roll_pitch: Tensor) -> Tensor:
    """``gravity`` [N, 3] as an IMU sees it whose mount is off by small ``roll_pitch`` [N, 2] rad."""
    r, p = roll_pitch.unbind(-1)
    x, y, z = gravity.unbind(-1)
    out = torch.stack([x - p * z, y + r * z, z + p * x - r * y], -1)
    return out / out.norm(dim=-1, keepdim=True)


def delayed(now: Tensor, before: Tensor, delay_s: Tensor, dt_s: float = 0.02) -> Tensor:
    """Reading [N, ...] as it was ``delay_s`` [N] (0..dt) ago, between two samples ``dt_s`` apart."""
    share = (delay_s / dt_s)[:, None]
    return now + share * (before - now)


def sole_points(xpos: Tensor, xmat: Tensor, corners: Tensor) -> Tensor:
    """World positions [N, 2, K, 3] of sole points ``corners`` [2, K, 3] given the feet's ``xpos`` [N, 2, 3] and
    ``xmat`` [N, 2, 9]."""
    rotation = xmat.reshape(-1, 2, 1, 3, 3)
    return xpos[:, :, None] + (rotation @ corners[None, ..., None])[..., 0]


def load_shift(force: Tensor, at: Tensor, com: Tensor, weight_n: Tensor) -> Tensor:
    """How far [N, 2] m from below the centre of mass the ground must push to hold K forces ``force`` [N, K, 3] N.

    They act at ``at`` [N, K, 3] m, whose z counts from the ground; ``com`` [N, 3] m, ``weight_n`` [N] m g. No horizontal
    moment about the ground's point p: p - c = sum(z F_xy - (r - c)_xy F_z) / (m g - sum F_z). Under these forces the
    linear inverted pendulum moves as the free one does with c + shift in place of c: the capture point shifts as much."""
    z, up = at[..., 2:], force[..., 2:]
    moment = (z * force[..., :2] - (at[..., :2] - com[:, None, :2]) * up).sum(1)
    return moment / (weight_n - up.sum((1, 2)))[:, None]
