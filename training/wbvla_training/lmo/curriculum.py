"""How disturbances and arm motion grow: a pure rule on the rate of falls."""

from __future__ import annotations

from .config import CurriculumConfig

EPISODE_STEPS = 1000


def next_level(level: float, falls: int, steps: int, cfg: CurriculumConfig) -> float:
    """The level 0..1 after an iteration with ``falls`` falls in ``steps`` environment steps.

    The share 1 / (1 + falls per episode of 1000 steps) decides, about that of the episodes survived: above
    ``raise_above`` the level rises by ``step``, below ``lower_below`` it sinks, but never under ``start``."""
    per_episode = falls * EPISODE_STEPS / steps
    survived = 1.0 / (1.0 + per_episode)
    if survived > cfg.raise_above:
        level += cfg.step
    elif survived < cfg.lower_below:
        level -= cfg.step
    return min(1.0, max(cfg.start, level))
