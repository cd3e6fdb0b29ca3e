"""The scripted operator of ``cart_pushing``: walks to the cart, takes a grip in each claw and walks on."""

from __future__ import annotations

import enum

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_quaternion
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import RobotState
from wbvla_teleop.devices.scripted import ObjectPose, View
from wbvla_teleop.frame import TeleopFrame

from wbvla_sim import cart
from wbvla_sim.operators.two_hands import Hold, Reach, TwoHands
from wbvla_sim.operators.walk import Journey, WalkConfig, pose2, stand_before
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


_NEXT = {**dict(zip(Phase, [*Phase][1:], strict=False)), Phase.CLOSE: Phase.PUSH, Phase.MISSED: Phase.WALK}
HELD_OPENING = (0.1, 0.8)
"""Between these a claw that was told to close is around something."""
_DWELL_S = {Phase.REACH: 0.4, Phase.CLOSE: 1.0, Phase.STAND: 1.5, Phase.OPEN: 0.6}


class CartPushingOperator:
    """Sees the cart; gives frames of both hands, claws and flags. One sentence at a time."""

    def __init__(self, robot: str = "x2_ultra") -> None:
        self._spec = RobotSpec.load(robot)
        self.phase = Phase.DONE

    def begin(self, sentence: str) -> None:
        """Do what ``sentence`` says from now on. Raises ValueError."""
        parse_cart_pushing(sentence)
        hand = self._spec.hands[0]
        grasp = (hand.xyz_m[0], 0.0, hand.xyz_m[2] - 0.6 * hand.finger_length_m)
        self._hands = TwoHands(self._spec, grasp, FINGERS_DOWN_RAD)
        self._walker = Journey(WALK)
        self._last_ns = 0
        self._there_ns: int | None = None
        self._start: ObjectPose | None = None
        self._turn = 0
        self.phase = Phase.WALK
        self._fresh = True

    def act(self, view: View, state: RobotState, now_ns: int) -> TeleopFrame:
        """See :class:`wbvla_teleop.devices.scripted.Operator`. Raises ValueError when the scene has no cart."""
        if CART not in view.objects:
            raise ValueError(f"the scene shows no {CART}; it shows {', '.join(view.objects) or 'nothing'}")
        if self.phase is Phase.DONE or self._fresh or view.fell:
            # The deadman is shown released once before it is held.
            self._fresh, self._last_ns = False, now_ns
            return TeleopFrame(now_ns, False)
        dt_s = min(max(now_ns - self._last_ns, 0) / NS_PER_S, 0.1)
        self._last_ns = now_ns
        self._hands.feel(view, state, dt_s)
        flags, wrists = (0, 0, 0), (None, None)
        if self.phase is Phase.WALK:
            flags = self._walk(view, now_ns)
        elif self.phase is Phase.PUSH:
            flags = self._push(view)
        elif self.phase in (Phase.RAISE, Phase.REACH, Phase.MISSED):
            self._wait(self._hands.move(self._goal(view), Reach(0.25), dt_s), now_ns)
            wrists = self._hands.wrists()
        else:
            self._wait(True, now_ns)
            low, high = HELD_OPENING
            if self.phase is Phase.PUSH and not all(
                low < opening < high for opening in state.gripper_opening
            ):
                self._enter(Phase.MISSED)
        open_claws = self.phase not in (Phase.CLOSE, Phase.PUSH, Phase.STAND)
        opening = 1.0 if open_claws else 0.0
        return TeleopFrame(
            now_ns,
            self.phase is not Phase.DONE,
            *wrists,
            grippers=(opening, opening),
            flags=flags,
            height_m=self._spec.nominal_height_m,
        )

    def _walk(self, view: View, now_ns: int) -> tuple[int, int, int]:
        goal = stand_before(view.objects[CART], cart.GRIP_M[0] - STAND_BEHIND_M, 0.0)
        flags = self._walker.flags(pose2(view.pelvis.position_m, view.pelvis.quaternion_wxyz), goal, now_ns)
        if self._walker.arrived:
            self._enter(_NEXT[self.phase])
        return flags

    def _push(self, view: View) -> tuple[int, int, int]:
        """Ahead, the heading kept with the cart's first one."""
        if self._start is None:
            self._start = view.objects[CART]
        turn = matrix_from_quaternion(self._start.quaternion_wxyz)
        ahead = (turn.T @ (view.objects[CART].position_m - self._start.position_m))[0]
        if ahead >= PUSH_M:
            self._enter(_NEXT[self.phase])
            return 0, 0, 0
        off = self._hands.level.see_yaw(self._start.quaternion_wxyz)
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

    def _wait(self, there: bool, now_ns: int) -> None:
        if self._there_ns is None:
            self._there_ns = now_ns if there else None
        elif (now_ns - self._there_ns) / NS_PER_S >= _DWELL_S.get(self.phase, 0.1):
            self._enter(_NEXT[self.phase])

    def _enter(self, phase: Phase) -> None:
        self.phase, self._there_ns = phase, None
        if phase is Phase.WALK:
            self._walker = Journey(WALK)
