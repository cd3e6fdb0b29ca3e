"""The gait clock: when it runs, where each foot is in its swing, and how it stops.

The clock is part of the controller, not of the learner. It runs while motion is requested, goes on until the
ramp has died away and some steps more, and stops only while both feet are on the ground: cutting it in
mid-swing makes the robot fall. Standing still with the clock off, a large tilt or tilt rate starts a short
sequence of capture steps, and so does a place too far from where the robot was asked to rest; the triggers are looked
at only then, or else they would keep themselves alive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from .arrays import Array, cast, constant, namespace, select

LEAD_FEET = ("left", "direction")


@dataclass(frozen=True)
class GaitConfig:
    """``enabled`` False keeps the clock off for good. Swing windows are (start, end) in phase 0..1 of
    ``frequency_hz``; ``lift_m`` height of the swing; the clock is wanted while max|s| > 0 or sum|sbar| >=
    ``ramp_over`` and ``linger_steps`` after that; ``capture_*`` thresholds on |projected gravity xy| and
    |angular velocity xy| and the length of the sequence; ``return_m`` distance from the place of rest that starts
    the same sequence (0: never); ``lead_foot`` "left" starts each gait with the left foot, "direction" with the foot on
    the side commanded or fallen to."""

    enabled: bool = True
    frequency_hz: float = 1.4
    lift_m: float = 0.08
    swing_left: tuple[float, float] = (0.05, 0.45)
    swing_right: tuple[float, float] = (0.55, 0.95)
    ramp_over: float = 0.12
    linger_steps: int = 12
    capture: bool = True
    capture_tilt: float = 0.22
    capture_rate_rad_s: float = 0.9
    capture_steps: int = 30
    return_m: float = 0.0
    lead_foot: str = "left"
    dt_s: float = 0.02

    def __post_init__(self) -> None:
        for name, (start, end) in (("swing_left", self.swing_left), ("swing_right", self.swing_right)):
            if not 0.0 <= start < end <= 1.0:
                raise ValueError(f"gait.{name} is {(start, end)}; it needs 0 <= start < end <= 1")
        if self.lead_foot not in LEAD_FEET:
            raise ValueError(f"gait.lead_foot is {self.lead_foot!r}; use one of {', '.join(LEAD_FEET)}")
        if not 0.0 < self.frequency_hz * self.dt_s < 0.1:
            raise ValueError(
                f"gait.frequency_hz {self.frequency_hz} with step {self.dt_s} s skips the double support"
            )


@dataclass(frozen=True)
class GaitState:
    """``phase`` [B] in 0..1, ``on`` [B] bool, ``linger`` and ``capture`` [B] control steps left (whole
    numbers as floats)."""

    phase: Array
    on: Array
    linger: Array
    capture: Array

    @staticmethod
    def standing(like: Array) -> GaitState:
        """Clock off for every row of ``like`` [B, ...]."""
        zero = namespace(like).zeros_like(like.reshape(like.shape[0], -1)[:, 0])
        return GaitState(zero, zero > 1.0, zero, zero)

    def where(self, mask: Array, other: GaitState) -> GaitState:
        """Rows of ``other`` where ``mask`` [B] is true; for resets of single environments."""
        return GaitState(
            select(mask, other.phase, self.phase),
            select(mask, other.on, self.on),
            select(mask, other.linger, self.linger),
            select(mask, other.capture, self.capture),
        )


def moving(s: Array, sbar: Array, cfg: GaitConfig) -> Array:
    """True [B] while motion is requested or its ramp has not died away; ``s``, ``sbar`` [B, 3]."""
    xp = namespace(sbar)
    return (xp.abs(s).sum(-1) > 0.0) | (xp.abs(sbar).sum(-1) >= cfg.ramp_over)


def advance(
    state: GaitState,
    s: Array,
    sbar: Array,
    gravity: Array,
    angular_velocity: Array,
    place: Array,
    cfg: GaitConfig,
) -> GaitState:
    """The clock one control step later.

    ``s`` request and ``sbar`` ramp [B, 3]; ``gravity`` [B, 3] unit vector in the base frame (0, 0, -1
    upright); ``angular_velocity`` [B, 3] of the base in its own frame [rad/s]; ``place`` [B, 2] m away from the place
    of rest."""
    if not cfg.enabled:
        return state
    xp = namespace(sbar)
    asked = moving(s, sbar, cfg)
    linger = xp.where(
        asked, xp.full_like(state.linger, cfg.linger_steps), xp.clip(state.linger - 1.0, 0.0, None)
    )
    capture = xp.clip(state.capture - 1.0, 0.0, None)
    if cfg.capture:
        tilt = (gravity[:, :2] ** 2).sum(-1) ** 0.5
        rate = (angular_velocity[:, :2] ** 2).sum(-1) ** 0.5
        disturbed = (tilt > cfg.capture_tilt) | (rate > cfg.capture_rate_rad_s)
        if cfg.return_m > 0.0:
            disturbed = disturbed | ((place**2).sum(-1) ** 0.5 > cfg.return_m)
        capture = xp.where(~state.on & disturbed, xp.full_like(capture, cfg.capture_steps), capture)
    wanted = asked | (linger > 0.0) | (capture > 0.0)
    stepped = (state.phase + cfg.frequency_hz * cfg.dt_s) % 1.0
    starting = wanted & ~state.on
    phase = xp.where(
        state.on, stepped, xp.where(starting, start_phase(s, gravity, angular_velocity, cfg), state.phase)
    )
    on = wanted | (state.on & ~double_support(phase, cfg))
    return GaitState(phase, on, linger, capture)


def start_phase(s: Array, gravity: Array, angular_velocity: Array, cfg: GaitConfig) -> Array:
    """Phase [B] at which a gait starts: 0 swings the left foot first, 0.5 the right one.

    With ``lead_foot`` "direction" the foot leads on whose side the robot shall go (s_y, then s_yaw) or is
    falling to: a lean to the left has g_y > 0 and falling left w_x < 0; 0.26 s is the time constant sqrt(z/g)
    of the fall at 0.68 m."""
    xp = namespace(s)
    zero = xp.zeros_like(s[:, 0])
    if cfg.lead_foot == "left":
        return zero
    lean = gravity[:, 1] - 0.26 * angular_velocity[:, 0]
    leftward = xp.where(s[:, 1] != 0.0, s[:, 1], xp.where(s[:, 2] != 0.0, s[:, 2], lean))
    return xp.where(leftward >= 0.0, zero, zero + 0.5)


def double_support(phase: Array, cfg: GaitConfig) -> Array:
    """True [B] where neither foot swings at ``phase`` [B]."""
    left = (phase > cfg.swing_left[0]) & (phase < cfg.swing_left[1])
    right = (phase > cfg.swing_right[0]) & (phase < cfg.swing_right[1])
    return ~(left | right)


def foot_lift(phase: Array, on: Array, cfg: GaitConfig) -> Array:
    """Height [B, 2] of the left and right sole above the ground, m: lift sin^2 within the swing window, else
    0."""
    xp = namespace(phase)
    start = constant((cfg.swing_left[0], cfg.swing_right[0]), phase)
    end = constant((cfg.swing_left[1], cfg.swing_right[1]), phase)
    share = xp.clip((phase[:, None] - start) / (end - start), 0.0, 1.0)
    return cfg.lift_m * xp.sin(math.pi * share) ** 2 * cast(on, phase)[:, None]


def clock(phase: Array, on: Array) -> Array:
    """Sine and cosine of the clock [B, 2]; zero while it is off."""
    xp = namespace(phase)
    running = cast(on, phase)
    angle = 2.0 * math.pi * phase
    return xp.concatenate([(xp.sin(angle) * running)[:, None], (xp.cos(angle) * running)[:, None]], -1)
