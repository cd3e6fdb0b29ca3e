"""``box_loading``: squat and grasp the box with both hands | rise, turn and load it onto the cart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import mujoco
import numpy as np
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim import cart
from wbvla_sim.tasks import contacts
from wbvla_sim.tasks.base import Outcome, Task, Verdict
from wbvla_sim.tasks.box_cart_scene import BOX, CART, PLATFORM
from wbvla_sim.tasks.sentences import BOX_LOADING, CART_PUSHING, parse_box_loading
from wbvla_sim.tasks.spells import Spell

GRASP, LOAD = "squat_and_grasp", "rise_and_load"
DECK, FLOOR, ROBOT = "deck", "floor", "robot"
TIME_LIMIT_S = 90.0
LIFTED_M, HELD_S = 0.03, 0.5
"""Grasped: both hands on the box, nothing else touching it, its middle this much above where it stood, for this long."""
LOADED_S, MARGIN_M = 0.5, 0.03
"""Loaded: on the deck alone and let go of for this long, its middle at least this far inside the deck's edges; on which
side it lies is left open."""
PUSHED_M = 0.8
"""A cart that was pushed this far is out of the task."""


@dataclass(frozen=True)
class BoxTruth:
    """What the judge knows at one instant: which ``hands`` touch the box and what else does, ``rests_on`` (platform,
    deck, floor, robot for the rest of its body, other); how far it is ``lifted_m``; its middle ``on_deck_m`` (x, y) in
    the cart's frame; how far the cart has moved."""

    time_s: float
    fell: bool = False
    hands: frozenset[str] = frozenset()
    rests_on: frozenset[str] = frozenset()
    lifted_m: float = 0.0
    on_deck_m: tuple[float, float] = (-1.0, 0.0)
    cart_moved_m: float = 0.0


@dataclass(frozen=True)
class BoxProgress:
    """What has been reached; ``start_s`` of the first look."""

    start_s: float
    grasped: bool = False
    loaded: bool = False
    left: Spell = field(default_factory=Spell)
    right: Spell = field(default_factory=Spell)
    free: Spell = field(default_factory=Spell)
    resting: Spell = field(default_factory=Spell)


def advance(progress: BoxProgress, truth: BoxTruth) -> BoxProgress:
    """The progress after one more look. Loading counts only once the box has been grasped."""
    now = truth.time_s
    progress = replace(
        progress,
        left=progress.left.look("left" in truth.hands, now),
        right=progress.right.look("right" in truth.hands, now),
        free=progress.free.look(not truth.rests_on and truth.lifted_m >= LIFTED_M, now),
        resting=progress.resting.look(is_loaded(truth), now),
    )
    held_s = min(progress.left.lasts_s, progress.right.lasts_s, progress.free.lasts_s)
    grasped = progress.grasped or held_s >= HELD_S
    loaded = grasped and progress.resting.lasts_s >= LOADED_S
    return replace(progress, grasped=grasped, loaded=loaded)


def is_loaded(truth: BoxTruth) -> bool:
    """Whether the box stands on the deck by itself."""
    inside = all(
        abs(offset) <= half - MARGIN_M for offset, half in zip(truth.on_deck_m, cart.DECK_HALF_M, strict=True)
    )
    return inside and truth.rests_on == {DECK} and not truth.hands


def verdict(progress: BoxProgress, truth: BoxTruth, time_limit_s: float = TIME_LIMIT_S) -> Verdict:
    """What it comes to at this look."""
    elapsed_s = truth.time_s - progress.start_s
    subgoals = {GRASP: progress.grasped, LOAD: progress.loaded}

    def say(outcome: Outcome, reason: str) -> Verdict:
        return Verdict(outcome, reason, elapsed_s, subgoals)

    if truth.fell:
        return say(Outcome.FAILED, "the robot fell")
    if progress.loaded:
        return say(Outcome.SUCCESS, "loaded")
    if FLOOR in truth.rests_on:
        return say(Outcome.FAILED, "the box fell to the floor")
    if truth.cart_moved_m > PUSHED_M:
        return say(Outcome.FAILED, "the cart was pushed away")
    if elapsed_s > time_limit_s:
        return say(Outcome.FAILED, f"not done within {time_limit_s:g} s")
    return say(Outcome.RUNNING, "")


class BoxWitness:
    """Reads the truth out of the physics. Raises ValueError for a scene without the things of the task."""

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec) -> None:
        self._hands = contacts.hands(model, spec)
        self._box = dict.fromkeys(contacts.body_geoms(model, BOX), BOX)
        contacts.body_geoms(model, CART)
        mine = {*self._hands, *self._box}
        self._else = {geom: "other" for geom in range(model.ngeom) if geom not in mine}
        self._else |= {geom: ROBOT for geom in contacts.robot_geoms(model, spec) if geom not in mine}
        self._else |= dict.fromkeys(contacts.body_geoms(model, PLATFORM), PLATFORM)
        self._else |= {model.geom(FLOOR).id: FLOOR, model.geom(f"{CART}_deck").id: DECK}
        self._start_m: tuple[np.ndarray, np.ndarray] | None = None

    def look(self, data: mujoco.MjData, time_s: float, fell: bool) -> BoxTruth:
        """The truth of now."""
        box, wagon = data.body(BOX), data.body(CART)
        if self._start_m is None:
            self._start_m = box.xpos.copy(), wagon.xpos.copy()
        offset = wagon.xmat.reshape(3, 3).T @ (box.xpos - wagon.xpos)
        return BoxTruth(
            time_s,
            fell,
            frozenset(hand for hand, _ in contacts.touching(data, self._hands, self._box)),
            frozenset(thing for _, thing in contacts.touching(data, self._box, self._else)),
            float(box.xpos[2] - self._start_m[0][2]),
            (float(offset[0]), float(offset[1])),
            float(np.linalg.norm((wagon.xpos - self._start_m[1])[:2])),
        )


class BoxLoadingJudge:
    """See :class:`wbvla_sim.tasks.base.Judge`."""

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec, sentence: str) -> None:
        """Raises ValueError when sentence or scene are not of this task."""
        parse_box_loading(sentence)
        self._witness = BoxWitness(model, spec)
        self._progress: BoxProgress | None = None
        self._last: Verdict | None = None

    def look(self, data: mujoco.MjData, time_s: float, fell: bool) -> Verdict:
        if self._last is not None and self._last.over:
            return self._last
        truth = self._witness.look(data, time_s, fell)
        self._progress = advance(self._progress or BoxProgress(time_s), truth)
        self._last = verdict(self._progress, truth)
        return self._last


def _other(model: mujoco.MjModel, sentence: str) -> str:
    return CART_PUSHING


def _sentence(model: mujoco.MjModel, seed: int) -> str:
    return BOX_LOADING


TASKS = (
    Task(
        "box_loading",
        "box_cart",
        "walk 1.0 m (+-10 cm, +-10 deg) to a box, squat and grasp it with both hands | rise, turn, load it onto the cart",
        TIME_LIMIT_S,
        _sentence,
        BoxLoadingJudge,
        "wbvla_sim.operators.box_loading:BoxLoadingOperator",
        swapped=_other,
    ),
)
