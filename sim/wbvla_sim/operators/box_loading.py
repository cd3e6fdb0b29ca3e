"""The scripted operator of ``box_loading``: walks to the box, squats, presses both palms against it, rises, turns, walks to
the cart and puts it down. The box is held by friction alone."""

from __future__ import annotations

import enum
from dataclasses import replace

import numpy as np
from wbvla_core.rotations import matrix_from_quaternion
from wbvla_core.types import RobotState
from wbvla_teleop.devices.scripted import View

from wbvla_sim import cart
from wbvla_sim.operators.two_handed import FREE, STILL, Flags, TwoHandedOperator, Wrists
from wbvla_sim.operators.two_hands import Hold, Reach, TwoHands
from wbvla_sim.operators.walk import Journey, Pose2, WalkConfig, stand_before
from wbvla_sim.scene_parts import BOX_SIZE_M, PLATFORM_HALF_M
from wbvla_sim.tasks.box_cart_scene import BOX, CART, PLATFORM
from wbvla_sim.tasks.sentences import parse_box_loading

PALM_M = (0.003, -0.043, -0.115)
"""The point of the left palm that presses, in the mount's frame."""
FINGERS_DOWN_RAD = np.radians(35.0)
INWARD_RAD = np.radians(10.0)
CLAW_OPENING = 0.6
"""The fingers are then flush with the palm."""
HALF_M = 0.5 * BOX_SIZE_M[0]
CLEAR_M, SQUEEZE_M = 0.055, 0.10
"""From the box's side to the palms before the grasp; and how far beyond the side they are sent: that makes the force."""
BOX_AHEAD_M, LEAST_GAP_M = 0.33, 0.19
"""From the pelvis to the middle of the box, and at least to the platform's edge."""
READY_AHEAD_M, READY_ABOVE_M, READY_HALF_GAP_M = 0.17, 0.12, 0.31
GRASP_HEIGHT_M, PLACE_HEIGHT_M = 0.59, 0.60
"""Stance heights."""
HEIGHT_SPEED_M_S = 0.05
GRASP_ABOVE_M = 0.01
LIFT_M = 0.10
CARRY_M = np.array([0.28, 0.0, 0.82])
PLACE_GAP_M = 0.20
"""From the pelvis to the edge of the deck."""
INSIDE_M = 0.03
"""From the edge of the deck to the near side of the box."""
HELD_M = 0.67
"""A box whose middle is higher than this is carried: on platform or deck it lies lower."""
DECK_M = cart.DECK_HEIGHT_M + 0.5 * BOX_SIZE_M[2]
"""Height of the middle of a box on the deck."""

WALK_LOADED = WalkConfig(tolerance=(0.09, 0.07, np.radians(8.0)))
"""With the box it stands less still, and each step back and forth would push the cart."""
WALK = WalkConfig(tolerance=(0.05, 0.05, np.radians(6.0)))


class Phase(enum.Enum):
    """What the operator is about."""

    WALK = "walking to the box"
    RAISE = "raising the hands"
    SQUAT = "squatting"
    BESIDE = "hands beside the box"
    SQUEEZE = "pressing"
    LIFT = "lifting"
    RISE = "rising"
    CARRY = "turning and walking to the cart"
    OVER = "box over the deck"
    LOWER = "putting it down"
    RELEASE = "letting go"
    RETREAT = "drawing back"
    DONE = "done"


# How long a phase stays after the hands' goal has been reached [s].
_DWELL_S = {
    Phase.SQUAT: 1.0,
    Phase.SQUEEZE: 0.5,
    Phase.LIFT: 0.5,
    Phase.RISE: 0.8,
    Phase.OVER: 0.8,
    Phase.LOWER: 0.4,
}
_REACH = {
    Phase.LIFT: Reach(0.05),
    Phase.RISE: Reach(0.09, turn_rad_s=0.2),
    Phase.OVER: Reach(0.12, turn_rad_s=0.2),
    Phase.LOWER: Reach(0.06),
}


class BoxLoadingOperator(TwoHandedOperator):
    """Sees box, platform and cart; gives frames of both hands, flags and height. One sentence at a time."""

    phases, things, dwell_s = Phase, (BOX, CART, PLATFORM), _DWELL_S

    def begin(self, sentence: str) -> None:
        """Do what ``sentence`` says from now on. Raises ValueError."""
        parse_box_loading(sentence)
        self._start(TwoHands(self._spec, PALM_M, FINGERS_DOWN_RAD, INWARD_RAD), WALK)
        self._height_goal_m = self._height_m

    def _first(self, view: View, state: RobotState) -> Phase:
        box, wagon = view.objects[BOX], view.objects[CART]
        assert self._hands.hold is not None
        if box.position_m[2] > HELD_M:
            self._hands.hold = replace(self._hands.hold, half_gap_m=HALF_M - SQUEEZE_M)
            return Phase.RISE
        turn = matrix_from_quaternion(wagon.quaternion_wxyz)
        on_deck = np.abs(turn.T @ (box.position_m - wagon.position_m))[:2] < cart.DECK_HALF_M
        return Phase.RELEASE if on_deck.all() else Phase.WALK

    def _do(self, view: View, state: RobotState, dt_s: float, now_ns: int) -> tuple[Flags, Wrists]:
        if self.phase is Phase.WALK:
            return self._walk(view, self.before_platform(view), now_ns), FREE
        if self.phase is Phase.CARRY:
            return self._walk(view, self.before_cart(view), now_ns), FREE
        goal = self._goal(view)
        step = HEIGHT_SPEED_M_S * dt_s
        self._height_m += float(np.clip(self._height_goal_m - self._height_m, -step, step))
        there = self._height_m == self._height_goal_m
        there &= self._hands.move(goal, _REACH.get(self.phase, Reach()), dt_s)
        self._wait(there, now_ns)
        return STILL, self._hands.wrists()

    def _opening(self) -> float:
        return CLAW_OPENING

    def _enter(self, phase: Phase) -> None:
        super()._enter(phase)
        heights = {
            Phase.SQUAT: GRASP_HEIGHT_M,
            Phase.RISE: self._spec.nominal_height_m,
            Phase.OVER: PLACE_HEIGHT_M,
            Phase.RETREAT: self._spec.nominal_height_m,
        }
        self._height_goal_m = heights.get(phase, self._height_goal_m)
        if phase is Phase.LIFT:
            assert self._hands.hold is not None
            self._lifted = replace(
                self._hands.hold, centre_m=self._hands.hold.centre_m + np.array([0.0, 0.0, LIFT_M])
            )
        if phase is Phase.CARRY:
            self._walker = Journey(WALK_LOADED)

    def _goal(self, view: View) -> Hold:
        """Where the hands belong in this phase."""
        level, phase = self._hands.level, self.phase
        ready = Hold(np.array([READY_AHEAD_M, 0.0, level.height_m + READY_ABOVE_M]), READY_HALF_GAP_M)
        pressed = HALF_M - SQUEEZE_M
        if phase in (Phase.RAISE, Phase.SQUAT):
            return ready
        if phase in (Phase.BESIDE, Phase.SQUEEZE):
            box = view.objects[BOX]
            centre = level.see(box.position_m)
            centre[2] += GRASP_ABOVE_M
            gap = HALF_M + CLEAR_M if phase is Phase.BESIDE else pressed
            return Hold(centre, gap, level.see_yaw(box.quaternion_wxyz, 1))
        if phase is Phase.LIFT:
            return self._lifted
        if phase is Phase.RISE:
            return Hold(CARRY_M, pressed)
        return self._goal_at_cart(view, pressed)

    def _goal_at_cart(self, view: View, pressed_m: float) -> Hold:
        thing, level = view.objects[CART], self._hands.level
        turn = matrix_from_quaternion(thing.quaternion_wxyz)
        inside = -cart.DECK_HALF_M[0] + INSIDE_M + 0.5 * BOX_SIZE_M[1]
        spot = level.see(thing.position_m + turn @ np.array([inside, 0.0, 0.0]))
        yaw = level.see_yaw(thing.quaternion_wxyz)
        if self.phase is Phase.OVER:
            return Hold(np.array([*spot[:2], DECK_M + 0.06]), pressed_m, yaw)
        if self.phase is Phase.LOWER:
            return Hold(np.array([*spot[:2], DECK_M - 0.01]), pressed_m, yaw)
        if self.phase is Phase.RELEASE:
            return Hold(np.array([*spot[:2], DECK_M]), HALF_M + 0.03, yaw)
        return Hold(np.array([0.18, 0.0, 0.82]), HALF_M + 0.04, 0.0)

    @staticmethod
    def before_platform(view: View) -> Pose2:
        """Where the pelvis shall be for the grasp: the box in reach, the thighs clear of the platform."""
        platform, box = view.objects[PLATFORM], view.objects[BOX]
        turn = matrix_from_quaternion(platform.quaternion_wxyz)
        ahead, aside = (turn.T @ (box.position_m - platform.position_m))[:2]
        ahead = min(float(ahead) - BOX_AHEAD_M, -PLATFORM_HALF_M[0] - LEAST_GAP_M)
        return stand_before(platform, ahead, float(aside))

    @staticmethod
    def before_cart(view: View) -> Pose2:
        """Where the pelvis shall be for loading: in the middle before the deck."""
        return stand_before(view.objects[CART], -cart.DECK_HALF_M[0] - PLACE_GAP_M, 0.0)
