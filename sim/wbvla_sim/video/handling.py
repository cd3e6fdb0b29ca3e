"""Scripts of handling: a hand, or both at a box, go through reach, grasp, lift, move, place, release, retract, hold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wbvla_sim.video.arms import READY_M, STEP_S

HANDLING = ("reach", "grasp", "lift", "move", "place", "release", "retract", "hold")
"""The classes of arm motion, in the order in which they happen."""
_SECONDS = {
    "reach": (1.4, 2.2), "grasp": (1.2, 1.6), "lift": (1.3, 2.0), "move": (1.4, 2.2), "place": (1.3, 2.0),
    "release": (1.2, 1.6), "retract": (1.4, 2.2), "hold": (1.2, 1.8),
}  # fmt: skip
OPEN, CLOSED = 1.0, 0.15


@dataclass(frozen=True)
class Motion:
    """At steps of STEP_S: grasp points ``points_m`` [N, 2, 3] in the pelvis frame (NaN: the hand rests),
    ``opening`` [N, 2] of the grippers, ``carried_m`` [N, 3] displacement of the thing from where it lay,
    ``phase`` [N] index into HANDLING."""

    points_m: np.ndarray
    opening: np.ndarray
    carried_m: np.ndarray
    phase: np.ndarray


def handle(
    rng: np.random.Generator, thing_m: np.ndarray, hands: tuple[int, ...], half_width_m: float
) -> Motion:
    """Take the thing at ``thing_m`` [3] (pelvis frame) with ``hands`` (0 left, 1 right; both hold it from its
    sides, ``half_width_m`` from its middle) and put it down elsewhere."""
    both = len(hands) == 2
    ready = np.array([READY_M, READY_M * [1.0, -1.0, 1.0]])
    spread = np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]) * (half_width_m if both else 0.0)
    above = np.array([-0.05, 0.0, 0.07]) if not both else np.zeros(3)
    apart = spread * (0.06 / half_width_m) if both else np.zeros((2, 3))
    rise = np.array([0.0, 0.0, rng.uniform(0.10, 0.2)])
    limit = 0.06 if both else 0.18
    shift = np.array([rng.uniform(-0.05, 0.05), rng.choice([-1.0, 1.0]) * rng.uniform(0.5, 1.0) * limit, 0.0])
    held = thing_m + spread
    # Where the hands are at the end of each phase, and what they hold.
    ends = {
        "reach": held + apart + above, "grasp": held, "lift": held + rise, "move": held + rise + shift,
        "place": held + shift, "release": held + shift + apart, "retract": ready, "hold": ready,
    }  # fmt: skip
    carried = {
        "lift": rise,
        "move": rise + shift,
        "place": shift,
        "release": shift,
        "retract": shift,
        "hold": shift,
    }
    closed = {"grasp", "lift", "move", "place"}
    points, opening, moved, phases = [], [], [], []
    at, gap, lain = ready, OPEN, np.zeros(3)
    for index, name in enumerate(("hold", *HANDLING)):
        steps = round(rng.uniform(*_SECONDS[name]) / STEP_S)
        share = np.arange(1, steps + 1)[:, None, None] / steps
        smooth = share**2 * (3.0 - 2.0 * share)
        goal = ready if index == 0 else ends[name]
        points.append(at + (goal - at) * smooth)
        wanted = CLOSED if name in closed else OPEN
        opening.append(np.broadcast_to(gap + (wanted - gap) * smooth[..., 0], (steps, 2)))
        next_lain = np.zeros(3) if index == 0 else carried.get(name, np.zeros(3))
        moved.append(lain + (next_lain - lain) * smooth[:, 0])
        phases.append(np.full(steps, HANDLING.index(name)))
        at, gap, lain = goal, wanted, next_lain
    out = np.concatenate(points)
    for hand in {0, 1} - set(hands):
        out[:, hand] = np.nan
    return Motion(out, np.concatenate(opening), np.concatenate(moved), np.concatenate(phases))
