"""From an action of the policy to joint set-points: posture reference plus scaled offset, within the safe
limits."""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import Array, constant, namespace


@dataclass(frozen=True)
class ActionConfig:
    """``scale`` [m] rad per unit of action and ``lower_rad``/``upper_rad`` [m] of the driven joints; ``clip``
    bound of the raw action (the clipped action is what the next observation sees); ``gravity_share`` how much
    of the posture table's gravity torque is fed forward (0 for policies that learned without it)."""

    scale: tuple[float, ...]
    lower_rad: tuple[float, ...]
    upper_rad: tuple[float, ...]
    clip: float = 10.0
    gravity_share: float = 0.0

    def __post_init__(self) -> None:
        if not len(self.scale) == len(self.lower_rad) == len(self.upper_rad):
            raise ValueError(
                f"action.scale, lower_rad and upper_rad have {len(self.scale)}, {len(self.lower_rad)} and "
                f"{len(self.upper_rad)} entries; one per driven joint is needed"
            )


def clip_action(action: Array, cfg: ActionConfig) -> Array:
    """The raw output [B, m] of the network, bounded."""
    return namespace(action).clip(action, -cfg.clip, cfg.clip)


def joint_targets(action: Array, reference_rad: Array, cfg: ActionConfig) -> Array:
    """Set-points [B, m] rad: ``reference_rad`` [B, m] + scale * action, clipped to the joint limits."""
    xp = namespace(action)
    wanted = reference_rad + constant(cfg.scale, action) * action
    return xp.clip(wanted, constant(cfg.lower_rad, action), constant(cfg.upper_rad, action))
