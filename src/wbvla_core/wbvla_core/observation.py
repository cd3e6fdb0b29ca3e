"""The observation of a locomotion policy, batch first, the same for numpy (node) and torch (training).

A frame [B, D] is the chosen terms of one control step, scaled. A history [B, H, D] keeps the newest H frames,
newest first; ``stack`` picks from it, per term, as many steps as that term asks for. Every term is known by
name, in brackets its width (n joints of the robot, m of them driven):

- command [3]: request s, the flags, or the velocity over the goal speed
- ramp [3]: smoothed request sbar
- height [1]: commanded stance height, m
- angular_velocity [3]: of the base in its own frame, rad/s
- gravity [3]: unit vector of gravity in the base frame, (0, 0, -1) upright
- gravity_error [3]: gravity minus what the posture table's trunk lean gives
- odometry [2]: horizontal velocity of the base by the standing leg's joints (``odometry.base_velocity``), m/s
- slow_odometry [2]: the same low-passed over a second, beginning with zero: the gait's swaying gone, the drift left
- place [2]: how far the base is from where it was asked to rest (``Intent.place_m``), m
- joint_position [m]: driven joints minus their default pose, rad
- posture_error [m]: driven joints minus the posture reference of this step, rad
- joint_velocity [m]: driven joints, rad/s
- last_action [m]: (clipped) output of the policy one step before
- clock [2]: sine and cosine of the gait clock, zero while it is off
- upper_position [n - m]: the other joints minus their default pose, rad
- upper_velocity [n - m]: the other joints, rad/s
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from . import gait, odometry, posture
from .arrays import Array, constant, indices, namespace, select
from .intent import Intent

_FIXED = {
    "command": 3,
    "ramp": 3,
    "height": 1,
    "angular_velocity": 3,
    "gravity": 3,
    "gravity_error": 3,
    "odometry": 2,
    "slow_odometry": 2,
    "place": 2,
    "clock": 2,
}
_DRIVEN = ("joint_position", "posture_error", "joint_velocity", "last_action")
_ODOMETRY = ("odometry", "slow_odometry", "place")
SLOW_SHARE = 0.02
"""Share of the newest sample in the slow odometry: a time constant of one second at 50 Hz."""
_UPPER = ("upper_position", "upper_velocity")
TERMS = (*_FIXED, *_DRIVEN, *_UPPER)

# Sign of each component when left and right are exchanged. A rate about z and x and everything along y turns
# round.
_MIRROR_SIGN = {
    "command": (1, -1, -1),
    "ramp": (1, -1, -1),
    "height": (1,),
    "angular_velocity": (-1, 1, -1),
    "gravity": (1, -1, 1),
    "gravity_error": (1, -1, 1),
    "odometry": (1, -1),
    "slow_odometry": (1, -1),
    "place": (1, -1),
    "clock": (-1, -1),
}


@dataclass(frozen=True)
class Term:
    """(value - offset) * scale of the named term, for the newest ``history`` control steps."""

    name: str
    scale: float = 1.0
    offset: float = 0.0
    history: int = 1


@dataclass(frozen=True)
class ObservationConfig:
    """``terms`` in order; ``driven`` [m] and ``upper`` [n - m] wire indices of the joints the policy does and
    does not drive; ``default_rad`` [n] default pose; ``legs`` the two chains that the term odometry needs."""

    terms: tuple[Term, ...]
    driven: tuple[int, ...]
    upper: tuple[int, ...]
    default_rad: tuple[float, ...]
    legs: tuple[odometry.Leg, ...] = ()

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("observation.terms is empty; name at least one term")
        for term in self.terms:
            if term.name not in TERMS:
                raise ValueError(f"observation.terms: {term.name!r} is unknown; known are {', '.join(TERMS)}")
            if term.history < 1:
                raise ValueError(
                    f"observation.terms: history of {term.name!r} is {term.history}; at least 1 is needed"
                )
        if len({term.name for term in self.terms}) != len(self.terms):
            raise ValueError("observation.terms names a term twice")
        joints = [len(leg.joints) for leg in self.legs]
        odometry_asked = any(term.name in _ODOMETRY for term in self.terms)
        if odometry_asked and (len(joints) != 2 or joints[0] != joints[1]):
            raise ValueError(
                f"observation.terms: odometry needs a robot with two legs of equally many joints, this has {joints}"
            )
        if sorted((*self.driven, *self.upper)) != list(range(len(self.default_rad))):
            raise ValueError("observation.driven and observation.upper must together name every joint once")

    @property
    def frames(self) -> int:
        """Number H of frames that the longest history needs."""
        return max(term.history for term in self.terms)

    @property
    def frame_size(self) -> int:
        """Width D of one frame."""
        return sum(width(term.name, self) for term in self.terms)

    @property
    def size(self) -> int:
        """Width O of the stacked observation."""
        return sum(term.history * width(term.name, self) for term in self.terms)


@dataclass(frozen=True)
class Measured:
    """What the policy sees of the robot: ``position_rad`` and ``velocity_rad_s`` [B, n] in wire order,
    ``gravity`` [B, 3] unit vector and ``angular_velocity`` [B, 3] rad/s, both in the base frame; ``velocity`` [B, 2]
    m/s of the base by leg odometry."""

    position_rad: Array
    velocity_rad_s: Array
    gravity: Array
    angular_velocity: Array
    velocity: Array


def measured(
    position_rad: Array, velocity_rad_s: Array, gravity: Array, angular_velocity: Array, cfg: ObservationConfig
) -> Measured:
    """Sensor readings with the leg odometry that follows from them (zero where no term of ``cfg`` asks for it)."""
    if any(term.name in _ODOMETRY for term in cfg.terms):
        velocity = odometry.base_velocity(position_rad, velocity_rad_s, gravity, angular_velocity, cfg.legs)
    else:
        velocity = namespace(gravity).zeros_like(gravity[:, :2])
    return Measured(position_rad, velocity_rad_s, gravity, angular_velocity, velocity)


def width(name: str, cfg: ObservationConfig) -> int:
    """Number of components of a term."""
    return _FIXED.get(name, len(cfg.driven) if name in _DRIVEN else len(cfg.upper))


def frame(
    measured: Measured,
    intent: Intent,
    reference_rad: Array,
    last_action: Array,
    table: posture.PostureTable,
    cfg: ObservationConfig,
    previous: Array | None = None,
) -> Array:
    """One frame [B, D]. ``reference_rad`` [B, m] is the posture reference of this step (lift included),
    ``last_action`` [B, m] the clipped action before, ``previous`` [B, D] the frame before, which the slow odometry goes on
    from (None: from zero)."""
    driven = measured.position_rad[:, indices(cfg.driven, measured.position_rad)]
    slow = _slow_before(previous, measured.velocity, cfg)
    makers = {
        "command": lambda: intent.request,
        "ramp": lambda: intent.ramp,
        "height": lambda: intent.height_m[:, None],
        "angular_velocity": lambda: measured.angular_velocity,
        "gravity": lambda: measured.gravity,
        "gravity_error": lambda: measured.gravity - posture.trunk_gravity(table, intent.height_m),
        "odometry": lambda: measured.velocity,
        "slow_odometry": lambda: slow + SLOW_SHARE * (measured.velocity - slow),
        "place": lambda: intent.place_m,
        "joint_position": lambda: driven - _default(cfg, cfg.driven, driven),
        "posture_error": lambda: driven - reference_rad,
        "joint_velocity": lambda: measured.velocity_rad_s[:, indices(cfg.driven, driven)],
        "last_action": lambda: last_action,
        "clock": lambda: gait.clock(intent.gait.phase, intent.gait.on),
        "upper_position": lambda: (
            measured.position_rad[:, indices(cfg.upper, driven)] - _default(cfg, cfg.upper, driven)
        ),
        "upper_velocity": lambda: measured.velocity_rad_s[:, indices(cfg.upper, driven)],
    }
    return namespace(driven).concatenate([(makers[t.name]() - t.offset) * t.scale for t in cfg.terms], -1)


def begin(previous: Array, fresh: Array) -> Array:
    """``previous`` [B, D] with nothing remembered in the rows where ``fresh`` [B] is true."""
    return select(fresh, namespace(previous).zeros_like(previous), previous)


def _slow_before(previous: Array | None, velocity: Array, cfg: ObservationConfig) -> Array:
    column = 0
    for term in cfg.terms:
        if term.name == "slow_odometry" and previous is not None:
            return previous[:, column : column + 2] / term.scale + term.offset
        column += width(term.name, cfg)
    return namespace(velocity).zeros_like(velocity)


def reference(intent: Intent, table: posture.PostureTable, cfg: gait.GaitConfig) -> Array:
    """Posture reference [B, m] of this step: each leg shortened by the lift of its foot."""
    lift = gait.foot_lift(intent.gait.phase, intent.gait.on, cfg)
    return posture.reference(table, intent.height_m - lift[:, 0], intent.height_m - lift[:, 1])


def empty_history(first: Array, cfg: ObservationConfig) -> Array:
    """History [B, H, D] filled with ``first`` [B, D], as after a reset."""
    return namespace(first).stack([first] * cfg.frames, 1)


def push(history: Array, newest: Array, fresh: Array | None = None) -> Array:
    """History [B, H, D] with ``newest`` [B, D] in front; rows where ``fresh`` [B] is true are filled with it
    altogether."""
    xp = namespace(history)
    moved = xp.concatenate([newest[:, None], history[:, :-1]], 1)
    if fresh is None:
        return moved
    return select(fresh, xp.stack([newest] * history.shape[1], 1), moved)


def stack(history: Array, cfg: ObservationConfig) -> Array:
    """Observation [B, O]: term by term, each with its own number of steps, newest first."""
    flat = history.reshape(history.shape[0], -1)
    return flat[:, indices(_stack_index(cfg), flat)]


def mirror(
    cfg: ObservationConfig, permutation: np.ndarray, sign: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Permutation and sign [O] that exchange left and right in a stacked observation: mirrored = sign *
    o[permutation].

    ``permutation`` and ``sign`` [n] do so for the joints (``RobotSpec.mirror``). Half a period of the clock
    is added."""
    order: list[int] = []
    signs: list[float] = []
    for term in cfg.terms:
        if term.name in _FIXED:
            part, part_sign = np.arange(_FIXED[term.name]), np.asarray(_MIRROR_SIGN[term.name], float)
        else:
            part, part_sign = mirror_joints(
                cfg.driven if term.name in _DRIVEN else cfg.upper, permutation, sign
            )
        if term.offset != 0.0 and part_sign.min() < 0.0:
            raise ValueError(
                f"observation term {term.name!r} changes sign left to right, so its offset must be 0"
            )
        for _ in range(term.history):
            start = len(order)
            order.extend(int(i) + start for i in part)
            signs.extend(part_sign)
    return np.asarray(order), np.asarray(signs)


def mirror_joints(
    joints: tuple[int, ...], permutation: np.ndarray, sign: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Permutation and sign [m] within a subset of joints (for example of the action)."""
    place = {joint: column for column, joint in enumerate(joints)}
    try:
        return np.asarray([place[int(permutation[j])] for j in joints]), np.asarray(
            [float(sign[j]) for j in joints]
        )
    except KeyError as error:
        raise ValueError(
            f"joint {error} is the mirror image of a joint of the subset but not in it"
        ) from None


def _default(cfg: ObservationConfig, joints: tuple[int, ...], like: Array) -> Array:
    return constant(_picked(cfg.default_rad, joints), like)


@functools.lru_cache(maxsize=64)
def _picked(values: tuple[float, ...], joints: tuple[int, ...]) -> tuple[float, ...]:
    return tuple(values[j] for j in joints)


@functools.lru_cache(maxsize=16)
def _stack_index(cfg: ObservationConfig) -> tuple[int, ...]:
    index: list[int] = []
    column, size = 0, cfg.frame_size
    for term in cfg.terms:
        count = width(term.name, cfg)
        for step in range(term.history):
            index.extend(range(step * size + column, step * size + column + count))
        column += count
    return tuple(index)
