"""``cart_pushing``: grab the handle | push a 50 kg cart ahead."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import mujoco
import numpy as np
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim.cart import grip_names
from wbvla_sim.tasks import contacts
from wbvla_sim.tasks.base import Outcome, Task, Verdict
from wbvla_sim.tasks.box_cart_scene import BOX, CART
from wbvla_sim.tasks.sentences import BOX_LOADING, CART_PUSHING, parse_cart_pushing
from wbvla_sim.tasks.spells import Spell

GRAB, PUSH = "grab_handle", "push_ahead"
TIME_LIMIT_S = 90.0
GRABBED_S = 0.5
"""Grabbed: each hand on its grip for this long."""
AHEAD_M, ASIDE_M, TURNED_RAD = 1.0, 0.3, np.radians(30.0)
"""Pushed: the cart this far ahead of where it stood, no further aside and turned no more than this."""
LET_GO_S = 1.0
"""Who pushes has had both hands on the grips within this time."""
UNHELD_M, LIFTED_M = 0.3, 0.05
"""A cart moved this far before it was grabbed, or a box lifted this far: that is not what was asked for."""


@dataclass(frozen=True)
class CartTruth:
    """What the judge knows at one instant: on which grips (left, right) the hand of that side is; how far the cart is
    ahead, aside (m) and turned (rad) of where it stood; how far the box is lifted."""

    time_s: float
    fell: bool = False
    held: frozenset[str] = frozenset()
    ahead_m: float = 0.0
    aside_m: float = 0.0
    turned_rad: float = 0.0
    box_lifted_m: float = 0.0


@dataclass(frozen=True)
class CartProgress:
    """What has been reached; ``start_s`` of the first look."""

    start_s: float
    grabbed: bool = False
    pushed: bool = False
    left: Spell = field(default_factory=Spell)
    right: Spell = field(default_factory=Spell)
    both_s: float = -np.inf


def advance(progress: CartProgress, truth: CartTruth) -> CartProgress:
    """The progress after one more look. Pushing counts only once both grips have been grabbed."""
    now = truth.time_s
    left, right = (
        progress.left.look("left" in truth.held, now),
        progress.right.look("right" in truth.held, now),
    )
    both_s = now if left.seen_s is not None and right.seen_s is not None else progress.both_s
    grabbed = progress.grabbed or min(left.lasts_s, right.lasts_s) >= GRABBED_S
    there = truth.ahead_m >= AHEAD_M and abs(truth.aside_m) <= ASIDE_M and abs(truth.turned_rad) <= TURNED_RAD
    pushed = progress.pushed or (grabbed and there and now - both_s <= LET_GO_S)
    return replace(progress, grabbed=grabbed, pushed=pushed, left=left, right=right, both_s=both_s)


def verdict(progress: CartProgress, truth: CartTruth, time_limit_s: float = TIME_LIMIT_S) -> Verdict:
    """What it comes to at this look."""
    elapsed_s = truth.time_s - progress.start_s
    subgoals = {GRAB: progress.grabbed, PUSH: progress.pushed}

    def say(outcome: Outcome, reason: str) -> Verdict:
        return Verdict(outcome, reason, elapsed_s, subgoals)

    if truth.fell:
        return say(Outcome.FAILED, "the robot fell")
    if progress.pushed:
        return say(Outcome.SUCCESS, "pushed")
    if not progress.grabbed and max(abs(truth.ahead_m), abs(truth.aside_m)) > UNHELD_M:
        return say(Outcome.FAILED, "the cart was moved without both hands on its grips")
    if abs(truth.aside_m) > ASIDE_M or abs(truth.turned_rad) > TURNED_RAD:
        return say(Outcome.FAILED, "the cart went astray")
    if truth.box_lifted_m > LIFTED_M:
        return say(Outcome.FAILED, "the box was lifted")
    if elapsed_s > time_limit_s:
        return say(Outcome.FAILED, f"not done within {time_limit_s:g} s")
    return say(Outcome.RUNNING, "")


class CartWitness:
    """Reads the truth out of the physics. Raises ValueError for a scene without the things of the task."""

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec) -> None:
        self._hands = contacts.hands(model, spec)
        contacts.body_geoms(model, BOX)
        contacts.body_geoms(model, CART)
        self._grips = {
            model.geom(name).id: side for name, side in zip(grip_names(CART), contacts.SIDES, strict=True)
        }
        self._start: tuple[np.ndarray, np.ndarray, float] | None = None

    def look(self, data: mujoco.MjData, time_s: float, fell: bool) -> CartTruth:
        """The truth of now."""
        wagon, height = data.body(CART), float(data.body(BOX).xpos[2])
        turn = wagon.xmat.reshape(3, 3)
        if self._start is None:
            self._start = wagon.xpos.copy(), turn.copy(), height
        place, heading, box = self._start
        moved, turned = heading.T @ (wagon.xpos - place), heading.T @ turn
        held = {side for side, grip in contacts.touching(data, self._hands, self._grips) if side == grip}
        return CartTruth(
            time_s,
            fell,
            frozenset(held),
            float(moved[0]),
            float(moved[1]),
            float(np.arctan2(turned[1, 0], turned[0, 0])),
            height - box,
        )


class CartPushingJudge:
    """See :class:`wbvla_sim.tasks.base.Judge`."""

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec, sentence: str) -> None:
        """Raises ValueError when sentence or scene are not of this task."""
        parse_cart_pushing(sentence)
        self._witness = CartWitness(model, spec)
        self._progress: CartProgress | None = None
        self._last: Verdict | None = None

    def look(self, data: mujoco.MjData, time_s: float, fell: bool) -> Verdict:
        if self._last is not None and self._last.over:
            return self._last
        truth = self._witness.look(data, time_s, fell)
        self._progress = advance(self._progress or CartProgress(time_s), truth)
        self._last = verdict(self._progress, truth)
        return self._last


def _other(model: mujoco.MjModel, sentence: str) -> str:
    return BOX_LOADING


def _sentence(model: mujoco.MjModel, seed: int) -> str:
    return CART_PUSHING


TASKS = (
    Task(
        "cart_pushing",
        "box_cart",
        "walk 1.0 m (+-10 cm, +-10 deg) to a 50 kg cart and grab its handle | push it 1 m ahead",
        TIME_LIMIT_S,
        _sentence,
        CartPushingJudge,
        "wbvla_sim.operators.cart_pushing:CartPushingOperator",
        swapped=_other,
    ),
)
