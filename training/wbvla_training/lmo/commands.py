"""Random locomotion commands: pure sampling on tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .config import CommandConfig


@dataclass(frozen=True)
class Commands:
    """``request`` s [N, 3] (flags, or velocities over the cruise speed), ``height_m`` [N], ``steps`` [N] control steps
    until the next command."""

    request: torch.Tensor
    height_m: torch.Tensor
    steps: torch.Tensor

    def where(self, mask: torch.Tensor, other: Commands) -> Commands:
        """Rows of ``other`` where ``mask`` [N] is true."""
        return Commands(
            torch.where(mask[:, None], other.request, self.request),
            torch.where(mask, other.height_m, self.height_m),
            torch.where(mask, other.steps, self.steps),
        )


def uniform(n: int, low: float, high: float, generator: torch.Generator, columns: int = 0) -> torch.Tensor:
    """U(low, high) of shape [n] or [n, columns]."""
    shape = (n, columns) if columns else (n,)
    return low + (high - low) * torch.rand(shape, generator=generator)


def sample(n: int, cfg: CommandConfig, generator: torch.Generator, dt_s: float = 0.02) -> Commands:
    """``n`` commands: standing, squatting or moving along one axis (sometimes several); flags or velocities.

    A goal speed v_goal = fraction * cruise (stage I of arXiv 2512.11047) is a request of that fraction."""
    kind = torch.rand(n, generator=generator)
    still = kind < cfg.stand_fraction + cfg.squat_fraction
    squat = (kind >= cfg.stand_fraction) & still

    axis = torch.multinomial(torch.tensor(cfg.axis_weights), n, replacement=True, generator=generator)
    several = torch.rand(n, generator=generator) < cfg.combination_fraction
    active = torch.nn.functional.one_hot(axis, 3).bool()
    active = active | (several[:, None] & (torch.rand(n, 3, generator=generator) < 0.5))
    sign = torch.where(torch.rand(n, 3, generator=generator) < 0.5, -1.0, 1.0)
    flags = sign * active * uniform(n, *cfg.goal_fraction, generator, 3)

    speeds = uniform(n, -1.0, 1.0, generator, 3) * torch.tensor(cfg.max_speed) / torch.tensor(cfg.cruise)
    continuous = torch.rand(n, generator=generator) < cfg.velocity_mode_fraction
    request = torch.where(continuous[:, None], speeds * active, flags)

    height = torch.where(
        squat, uniform(n, *cfg.squat_height_m, generator), uniform(n, *cfg.walk_height_m, generator)
    )
    steps = uniform(n, cfg.duration_s[0] / dt_s, cfg.duration_s[1] / dt_s, generator).round().long()
    return Commands(request * (~still)[:, None], height, steps)
