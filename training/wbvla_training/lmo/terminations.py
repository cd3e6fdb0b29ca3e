"""When an episode ends: pure functions of tensors."""

from __future__ import annotations

import math

import torch

from .config import TerminationConfig


def fell(
    gravity: torch.Tensor,
    height_m: torch.Tensor,
    height_command_m: torch.Tensor,
    foot_spacing_m: torch.Tensor,
    cfg: TerminationConfig,
) -> torch.Tensor:
    """[N] bool: tilted, sunk (absolutely or below the command) or with the feet about to cross.

    ``gravity`` [N, 3] unit vector in the base frame, the others [N] m."""
    tilted = gravity[:, 2] > -math.cos(cfg.tilt_rad)
    sunk = (height_m < cfg.height_m) | (height_m < height_command_m - cfg.height_drop_m)
    return tilted | sunk | (foot_spacing_m < cfg.foot_spacing_m)


def timed_out(episode_steps: torch.Tensor, cfg: TerminationConfig, dt_s: float = 0.02) -> torch.Tensor:
    """[N] bool: the episode reached its full length."""
    return episode_steps >= int(cfg.episode_s / dt_s)
