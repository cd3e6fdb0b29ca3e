"""What only the critic sees: true velocities, feet, loads, forces and what was randomised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from . import sensing

if TYPE_CHECKING:
    from .env import LmoEnv

# (name, width, sign of each component under exchange of left and right, whether the halves change places)
_LAYOUT = (
    ("velocity", (1, -1, 1), False),
    ("height_error", (1,), False),
    ("reference", (1, -1, -1), False),
    ("velocity_error", (1, -1), False),
    ("slow_error", (1, -1), False),
    ("yaw", (-1, -1), False),
    ("foot_height", (1, 1), True),
    ("foot_velocity", (1, -1, 1, 1, -1, 1), True),
    ("hand_force", (1, -1, 1, 1, -1, 1), True),
    ("hand_payload", (1, 1), True),
    ("torso_payload", (1, 1, -1, 1), False),
    ("others", (1, 1, 1, 1), False),
)


def privileged(env: LmoEnv) -> torch.Tensor:
    """[N, P] in the order of the layout, scaled to about one."""
    n, draw, tracking = env.num_envs, env.draw, env.tracking
    reference = env.section.ramp.goal_speed
    parts = (
        env.velocity * 2.0,
        ((env.height - env.intent.height_m) * 10.0)[:, None],
        env.intent.ramp * torch.tensor(reference) * 2.0,
        tracking.velocity_error * 4.0,
        tracking.slow_error * 4.0,
        torch.stack([tracking.yaw_rate_error * 2.0, tracking.yaw_drift * 2.0], -1),
        env.foot_height * 10.0,
        (sensing.to_heading(env.foot - env._foot_before, env.yaw) * (0.5 / 0.02)).reshape(n, 6),
        (sensing.to_heading(env.disturbances.hand_force, env.yaw) / 15.0).reshape(n, 6),
        draw.hand_payload_kg,
        torch.cat([draw.torso_payload_kg[:, None] / 5.0, draw.torso_payload_at_m * 5.0], -1),
        torch.stack(
            [
                torch.log(draw.friction),
                draw.action_delay_s * 50.0,
                env.disturbances.since_push_s.clamp(max=2.0),
                env.commands.steps.clamp(max=100) / 100.0,
            ],
            -1,
        ),
    )
    return torch.cat(parts, -1)


def privileged_mirror() -> tuple[np.ndarray, np.ndarray]:
    """Permutation and sign [P] that exchange left and right."""
    order: list[int] = []
    signs: list[float] = []
    for _, sign, swapped in _LAYOUT:
        start, width = len(order), len(sign)
        part = np.arange(width)
        order.extend(int(i) + start for i in (np.roll(part, width // 2) if swapped else part))
        signs.extend(float(s) for s in sign)
    return np.asarray(order), np.asarray(signs)
