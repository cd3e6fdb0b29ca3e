"""From flags to reference velocities: the command ramp, and the slew of the stance height.

Both command modes end in one normalised request ``s`` [B, 3] (x, y, yaw): the flags themselves, or velocities
divided by the goal speed. A smoothed copy ``sbar`` follows it, sbar += filter (s - sbar), and snaps onto it
when close, so that the goal speed is reached exactly. Three forms of the reference velocity:

``filter``  v_ref = v_goal sbar
``tanh``    v_ref = v_goal tanh(alpha sbar) / tanh(alpha)
``paper``   v_ref = v_goal tanh(alpha (s - sbar)), as printed in arXiv 2512.11047: a pulse that returns to
zero once sbar has
            reached s. Kept for comparison.
"""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import Array, constant, namespace

FORMS = ("filter", "tanh", "paper")


@dataclass(frozen=True)
class RampConfig:
    """How commands turn into references.

    ``filter`` share of the remaining distance covered per control step (20 ms); ``goal_speed`` cruise (v_x,
    v_y [m/s], w_z [rad/s]) of a flag of 1; ``snap`` distance at which sbar becomes s; ``largest_request``
    bound of |s| in the continuous mode; ``height_rate_m_s`` slew of the stance height; ``dt_s`` control
    step."""

    filter: float = 0.06
    goal_speed: tuple[float, float, float] = (0.4, 0.3, 0.4)
    alpha: float = 2.0
    form: str = "filter"
    snap: float = 0.01
    largest_request: float = 1.5
    height_rate_m_s: float = 0.2
    height_range_m: tuple[float, float] = (0.45, 0.66)
    dt_s: float = 0.02

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"ramp.form is {self.form!r}; use one of {', '.join(FORMS)}")
        if not 0.0 < self.filter <= 1.0:
            raise ValueError(f"ramp.filter is {self.filter}; it must lie in (0, 1]")
        if len(self.goal_speed) != 3 or min(self.goal_speed) <= 0.0:
            raise ValueError(
                f"ramp.goal_speed is {self.goal_speed}; three positive speeds are needed (v_x, v_y, w_z)"
            )
        if self.height_range_m[0] >= self.height_range_m[1]:
            raise ValueError(
                f"ramp.height_range_m is {self.height_range_m}; the first must be below the second"
            )


def request(velocity: Array, cfg: RampConfig, goal_speed: Array | None = None) -> Array:
    """Normalised request s [B, 3] of a continuous command ``velocity`` [B, 3] (m/s, m/s, rad/s)."""
    xp = namespace(velocity)
    scale = constant(cfg.goal_speed, velocity) if goal_speed is None else goal_speed
    return xp.clip(velocity / scale, -cfg.largest_request, cfg.largest_request)


def advance(sbar: Array, s: Array, cfg: RampConfig) -> Array:
    """The smoothed request one control step later; ``sbar`` and ``s`` are [B, 3]."""
    xp = namespace(sbar)
    moved = sbar + cfg.filter * (s - sbar)
    return xp.where(xp.abs(s - moved) < cfg.snap, s, moved)


def reference_velocity(sbar: Array, s: Array, cfg: RampConfig, goal_speed: Array | None = None) -> Array:
    """Reference velocity [B, 3] (v_x, v_y [m/s], w_z [rad/s]) in the heading frame.

    ``goal_speed`` [B, 3] replaces the configured cruise speed, for training with sampled goals."""
    xp = namespace(sbar)
    goal = constant(cfg.goal_speed, sbar) if goal_speed is None else goal_speed
    if cfg.form == "filter":
        return goal * sbar
    if cfg.form == "tanh":
        full = xp.tanh(constant((cfg.alpha,), sbar))
        return goal * xp.tanh(cfg.alpha * sbar) / full
    return goal * xp.tanh(cfg.alpha * (s - sbar))


def advance_height(height_m: Array, target_m: Array, cfg: RampConfig) -> Array:
    """Commanded stance height [B] one control step later: slewed towards the target, within the allowed
    range."""
    xp = namespace(height_m)
    step = cfg.height_rate_m_s * cfg.dt_s
    goal = xp.clip(target_m, cfg.height_range_m[0], cfg.height_range_m[1])
    return height_m + xp.clip(goal - height_m, -step, step)
