"""The scripted operator of ``cart_pushing``: walks to the cart, takes a grip in each claw and walks on."""

from __future__ import annotations

import enum
from typing import ClassVar

import numpy as np
from wbvla_core.rotations import matrix_from_quaternion
from wbvla_core.types import RobotState
from wbvla_teleop.devices.scripted import ObjectPose, View

from wbvla_sim import cart
from wbvla_sim.operators.two_handed import FREE, STILL, Flags, TwoHandedOperator, Wrists
from wbvla_sim.operators.two_hands import Hold, Reach, TwoHands
from wbvla_sim.operators.walk import Journey, WalkConfig, stand_before
from wbvla_sim.tasks.box_cart_scene import CART
from wbvla_sim.tasks.sentences import parse_cart_pushing

FINGERS_DOWN_RAD = np.radians(20.0)
STAND_BEHIND_M = 0.36
"""From the pelvis to the grips."""
READY_AHEAD_M, GRIP_HEIGHT_M = 0.16, 0.65
PUSH_M = 1.12
"""How far the cart shall go."""
SWERVE_RAD, STRAIGHT_RAD = np.radians(5.0), np.radians(1.5)

WALK = WalkConfig(tolerance=(0.05, 0.05, np.radians(6.0)))


class Phase(enum.Enum):
    """What the operator is about."""

    WALK = "walking to the cart"
    RAISE = "raising the hands"
    REACH = "reaching for the grips"
    CLOSE = "closing the claws"
    MISSED = "drawing back: a claw holds nothing"
    PUSH = "pushing"
    STAND = "standing"
    OPEN = "opening the claws"
    DONE = "done"


HELD_OPENING = (0.1, 0.8)
"""Between these a claw that was told to close is around something."""
_DWELL_S = {Phase.REACH: 0.4, Phase.CLOSE: 1.0, Phase.STAND: 1.5, Phase.OPEN: 0.6}


class CartPushingOperator(TwoHandedOperator):
    """Sees the cart; gives frames of both hands, claws and flags. One sentence at a time."""

    phases, things, dwell_s = Phase, (CART,), _DWELL_S
    after: ClassVar = {Phase.CLOSE: Phase.PUSH, Phase.MISSED: Phase.WALK}

    def begin(self, sentence: str) -> None:
        """Do what ``sentence`` says from now on. Raises ValueError."""
        parse_cart_pushing(sentence)
        hand = self._spec.hands[0]
        grasp = (hand.xyz_m[0], 0.0, hand.xyz_m[2] - 0.6 * hand.finger_length_m)
        self._start(TwoHands(self._spec, grasp, FINGERS_DOWN_RAD), WALK)
        self._cart_before: ObjectPose | None = None
        self._turn = 0

    def _first(self, view: View, state: RobotState) -> Phase:
        return Phase.PUSH if _held(state) else Phase.WALK

    def _do(self, view: View, state: RobotState, dt_s: float, now_ns: int) -> tuple[Flags, Wrists]:
        if self.phase is Phase.WALK:
            goal = stand_before(view.objects[CART], cart.GRIP_M[0] - STAND_BEHIND_M, 0.0)
            return self._walk(view, goal, now_ns), FREE
        if self.phase is Phase.PUSH:
            return self._push(view, state), FREE
        if self.phase in (Phase.RAISE, Phase.REACH, Phase.MISSED):
            self._wait(self._hands.move(self._goal(view), Reach(0.25), dt_s), now_ns)
            return STILL, self._hands.wrists()
        self._wait(True, now_ns)
        if self.phase is Phase.PUSH and not _held(state):
            self._enter(Phase.MISSED)
        return STILL, FREE

    def _opening(self) -> float:
        return 0.0 if self.phase in (Phase.CLOSE, Phase.PUSH, Phase.STAND) else 1.0

    def _push(self, view: View, state: RobotState) -> Flags:
        """Ahead, the heading kept with the cart's first one; a grip that slips off is taken anew."""
        if not _held(state):
            self._enter(Phase.MISSED)
            return STILL
        now = view.objects[CART]
        before = self._cart_before = self._cart_before or now
        turn = matrix_from_quaternion(before.quaternion_wxyz)
        if (turn.T @ (now.position_m - before.position_m))[0] >= PUSH_M:
            self._enter(self._next())
            return STILL
        off = self._hands.level.see_yaw(before.quaternion_wxyz)
        if abs(off) > SWERVE_RAD:
            self._turn = int(np.sign(off))
        elif self._turn * off < STRAIGHT_RAD:
            self._turn = 0
        return 1, 0, self._turn

    def _goal(self, view: View) -> Hold:
        thing, level = view.objects[CART], self._hands.level
        if self.phase in (Phase.RAISE, Phase.MISSED):
            return Hold(np.array([READY_AHEAD_M, 0.0, GRIP_HEIGHT_M]), cart.GRIP_M[1])
        turn = matrix_from_quaternion(thing.quaternion_wxyz)
        middle = level.see(thing.position_m + turn @ np.array([cart.GRIP_M[0], 0.0, GRIP_HEIGHT_M]))
        return Hold(middle, cart.GRIP_M[1], level.see_yaw(thing.quaternion_wxyz))

    def _enter(self, phase: Phase) -> None:
        super()._enter(phase)
        if phase is Phase.WALK:
            self._walker = Journey(WALK)


def _held(state: RobotState) -> bool:
    low, high = HELD_OPENING
    return all(low < opening < high for opening in state.gripper_opening)
