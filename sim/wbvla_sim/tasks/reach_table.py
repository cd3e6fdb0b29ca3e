"""``reach_table``: walk up to a table and touch the named ball with the named hand."""

from __future__ import annotations

import re
from functools import partial

import mujoco
import numpy as np
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim.scene_parts import BALL_COLOURS
from wbvla_sim.tasks.base import Outcome, Task, Verdict
from wbvla_sim.tasks.contacts import hands, touching

HANDS = ("left", "right")
_SENTENCE = re.compile(r"touch the (\w+) ball with (?:your|the) (\w+) hand\.?", re.IGNORECASE)


def sentence_of(colour: str, hand: str) -> str:
    """The instruction."""
    return f"touch the {colour} ball with your {hand} hand"


def parse_sentence(sentence: str) -> tuple[str, str]:
    """(colour, hand) of an instruction. Raises ValueError saying what was expected."""
    match = _SENTENCE.fullmatch(" ".join(sentence.split()))
    colour, hand = (word.lower() for word in match.groups()) if match else ("", "")
    if colour not in BALL_COLOURS or hand not in HANDS:
        raise ValueError(
            f"'{sentence}' is no instruction of reach_table; say 'touch the COLOUR ball with your HAND hand', "
            f"COLOUR one of {', '.join(BALL_COLOURS)}, HAND left or right"
        )
    return colour, hand


def balls_of(model: mujoco.MjModel) -> list[str]:
    """Colours of the balls in a compiled scene."""
    names = {model.body(i).name for i in range(model.nbody)}
    return [colour for colour in BALL_COLOURS if f"ball_{colour}" in names]


def any_hand(model: mujoco.MjModel, seed: int) -> str:
    """Any ball with any hand: the robot can walk to where it reaches it."""
    rng = np.random.default_rng([seed, 11])
    return sentence_of(str(rng.choice(_some(model))), str(rng.choice(HANDS)))


def near_hand(model: mujoco.MjModel, seed: int) -> str:
    """Any ball with the hand on its side: the robot stays where it is."""
    colour = str(np.random.default_rng([seed, 11]).choice(_some(model)))
    side = model.body(f"ball_{colour}").pos[1]
    return sentence_of(colour, "left" if side > 0 else "right")


def other_ball(model: mujoco.MjModel, sentence: str) -> str:
    """The same instruction for the other ball of the scene. Raises ValueError when there is none."""
    colour, hand = parse_sentence(sentence)
    others = [ball for ball in balls_of(model) if ball != colour]
    if not others:
        raise ValueError(f"the scene has no ball but the {colour} one")
    return sentence_of(others[0], hand)


def _some(model: mujoco.MjModel) -> list[str]:
    balls = balls_of(model)
    if not balls:
        raise ValueError("reach_table: the scene has no balls; use the scene reach_table or reach_table_near")
    return balls


class TouchJudge:
    """Success when a part of the named hand touches the named ball; failure when a hand touches the other ball, the
    other hand the named one, when the robot falls, or when time is up."""

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec, sentence: str, time_limit_s: float) -> None:
        """Raises ValueError when the sentence is no instruction for this scene."""
        self._colour, self._hand = parse_sentence(sentence)
        balls = balls_of(model)
        if self._colour not in balls:
            raise ValueError(f"the scene has no {self._colour} ball; it has {', '.join(balls) or 'none'}")
        self._time_limit_s = time_limit_s
        self._ball = {model.geom(f"ball_{colour}").id: colour for colour in balls}
        self._side = hands(model, spec)
        self._start_s: float | None = None
        self._last: Verdict | None = None

    def look(self, data: mujoco.MjData, time_s: float, fell: bool) -> Verdict:
        """See :class:`wbvla_sim.tasks.base.Judge`."""
        if self._last is not None and self._last.over:
            return self._last
        if self._start_s is None:
            self._start_s = time_s
        elapsed = time_s - self._start_s
        self._last = self._verdict(touching(data, self._side, self._ball), elapsed, fell)
        return self._last

    def _verdict(self, touches: frozenset[tuple[str, str]], elapsed_s: float, fell: bool) -> Verdict:
        wanted = (self._hand, self._colour)
        if fell:
            return Verdict(Outcome.FAILED, "the robot fell", elapsed_s, {"touch": False})
        wrong = touches - {wanted}
        if wrong:
            hand, colour = sorted(wrong)[0]
            return Verdict(
                Outcome.FAILED, f"the {hand} hand touched the {colour} ball", elapsed_s, {"touch": False}
            )
        if wanted in touches:
            return Verdict(Outcome.SUCCESS, "touched", elapsed_s, {"touch": True})
        if elapsed_s > self._time_limit_s:
            return Verdict(
                Outcome.FAILED, f"not done within {self._time_limit_s:g} s", elapsed_s, {"touch": False}
            )
        return Verdict(Outcome.RUNNING, "", elapsed_s, {"touch": False})


def _judge(time_limit_s: float, model: mujoco.MjModel, spec: RobotSpec, sentence: str) -> TouchJudge:
    return TouchJudge(model, spec, sentence, time_limit_s)


_OPERATOR = "wbvla_sim.operators.reach_table:ReachTableOperator"
TASKS = (
    Task(
        "reach_table",
        "reach_table",
        "walk 1.0 m (+-10 cm, +-10 deg) to a table and touch the named ball with the named hand",
        60.0,
        any_hand,
        partial(_judge, 60.0),
        _OPERATOR,
        swapped=other_ball,
    ),
    Task(
        "reach_table_near",
        "reach_table_near",
        "as reach_table with the table within reach: no step is needed",
        20.0,
        near_hand,
        partial(_judge, 20.0),
        _OPERATOR,
        swapped=other_ball,
    ),
)
