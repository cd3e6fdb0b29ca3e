"""The scripted operator of ``reach_table``: raises the hand, walks until the ball is in reach, touches it."""

from __future__ import annotations

import enum

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_quaternion, matrix_from_rpy, quaternion_from_matrix
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import RobotState
from wbvla_teleop.devices.scripted import View
from wbvla_teleop.frame import PELVIS, TeleopFrame, WristPose
from wbvla_teleop.ik import DualArmIk

from wbvla_sim.operators.walk import Pose2, Walker, pose2
from wbvla_sim.scene_parts import TABLE_HALF_M
from wbvla_sim.tasks.reach_scene import TABLE
from wbvla_sim.tasks.reach_table import HANDS, parse_sentence

BALL_AHEAD_M, BALL_ASIDE_M = 0.40, 0.18
"""Where the ball shall lie before the pelvis, aside on the hand's side: the middle of what the arm reaches."""
IN_REACH_AHEAD_M, IN_REACH_ASIDE_M = (0.28, 0.48), (0.02, 0.32)
HEADING_RAD = np.radians(25.0)
LOST_M = 0.62
"""Horizontal distance from pelvis to ball at which the operator gives up reaching and walks again."""
STANCE_HEIGHT_M = 0.60
"""Knees bent: with the legs nearly straight the robot gives way when an arm is stretched out."""
GAP_M = 0.24
"""Least distance from pelvis to the table's edge."""
# Grasp points on the way up, in the pelvis frame, left hand: beside the body first, so that nothing meets the table.
LIFT_M, READY_M = np.array([0.16, 0.36, 0.02]), np.array([0.27, 0.25, 0.29])
ABOVE_M = np.array([-0.06, 0.0, 0.11])
"""From the ball to where the hand stops before it touches."""
LIFT_SPEED_M_S, REACH_SPEED_M_S, TOUCH_SPEED_M_S = 0.35, 0.3, 0.12
NEAR_M, HAND_NEAR_M = 0.015, 0.035
"""When the target is where it shall be, and when the hand is where the target is."""
PATIENCE_S, DWELL_S = 2.5, 0.4
"""How long the hand may lag behind before the operator goes on all the same, and how long it stays at the ball."""
FINGERS_DOWN_RAD = np.radians(35.0)


class Phase(enum.Enum):
    """What the operator is about."""

    LIFT = "lifting the hand"
    WALK = "walking"
    REACH = "reaching above the ball"
    TOUCH = "touching"
    DWELL = "staying"
    RETRACT = "drawing back"
    DONE = "done"


class ReachTableOperator:
    """Sees where balls and table are; gives frames of one hand and flags. One sentence at a time."""

    def __init__(self, robot: RobotSpec | str = "x2_ultra") -> None:
        self._spec = robot if isinstance(robot, RobotSpec) else RobotSpec.load(robot)
        self._ik = DualArmIk(self._spec)
        self.phase = Phase.DONE

    def begin(self, sentence: str) -> None:
        """Do what ``sentence`` says from now on. Raises ValueError."""
        self._colour, hand = parse_sentence(sentence)
        self._side = HANDS.index(hand)
        self._sign = 1.0 if self._side == 0 else -1.0
        hand_spec = self._spec.hands[self._side]
        grasp = np.array(hand_spec.xyz_m) - [0.0, 0.0, 0.7 * hand_spec.finger_length_m]
        # Fingers (-z of the mount) forward and down.
        attitude = matrix_from_rpy((0.0, FINGERS_DOWN_RAD - 0.5 * np.pi, 0.0))
        self._grasp, self._quaternion = grasp, quaternion_from_matrix(attitude)
        self._offset = attitude @ grasp
        self._walker = Walker()
        self._cursor: np.ndarray | None = None
        self._waypoints = [self._mirrored(LIFT_M), self._mirrored(READY_M)]
        self._last_ns = self._phase_ns = 0
        self.phase = Phase.LIFT
        self._fresh = True

    def act(self, view: View, state: RobotState, now_ns: int) -> TeleopFrame:
        """See :class:`wbvla_teleop.devices.scripted.Operator`. Raises ValueError when the scene lacks the ball."""
        if self.phase is Phase.DONE or self._fresh or view.fell:
            # The deadman is shown released once before it is held.
            self._fresh = False
            self._phase_ns = self._last_ns = now_ns
            return TeleopFrame(now_ns, False)
        dt_s = min(max(now_ns - self._last_ns, 0) / NS_PER_S, 0.1)
        self._last_ns = now_ns
        ball, hand = self._ball(view), self._hand(state)
        if self._cursor is None:
            self._cursor = hand
        lag_m = float(np.linalg.norm(hand - self._cursor))
        waited_s = (now_ns - self._phase_ns) / NS_PER_S
        flags = (0, 0, 0)
        if self.phase is Phase.WALK:
            flags = self._walk(ball, view, now_ns)
        else:
            self._move(ball, view, dt_s, lag_m < HAND_NEAR_M, waited_s, now_ns)
        wrist = WristPose(self._cursor - self._offset, self._quaternion)
        return TeleopFrame(
            now_ns,
            self.phase is not Phase.DONE,
            left=wrist if self._side == 0 else None,
            right=wrist if self._side == 1 else None,
            grippers=(0.0, 0.0),
            flags=flags,
            height_m=STANCE_HEIGHT_M,
        )

    def _walk(self, ball: np.ndarray, view: View, now_ns: int) -> tuple[int, int, int]:
        flags = self._walker.flags(_pelvis(view), self.goal(view), now_ns, self._in_reach(ball, view))
        if self._walker.arrived:
            self._enter(Phase.REACH, now_ns)
        return flags

    def _move(
        self, ball: np.ndarray, view: View, dt_s: float, hand_is_there: bool, waited_s: float, now_ns: int
    ) -> None:
        """Move the cursor by the phase; ``ball`` in the pelvis frame. A phase ends with the hand where the cursor
        is, or when patience does."""
        there = hand_is_there or waited_s > PATIENCE_S
        if self.phase is Phase.LIFT:
            if self._follow(self._waypoints[0], LIFT_SPEED_M_S, dt_s) and there:
                self._waypoints.pop(0)
                self._phase_ns = now_ns
                if not self._waypoints:
                    self._enter(Phase.REACH if self._in_reach(ball, view) else Phase.WALK, now_ns)
        elif self.phase in (Phase.REACH, Phase.TOUCH) and np.hypot(ball[0], ball[1]) > LOST_M:
            self._walker = Walker()
            self._waypoints = [self._mirrored(READY_M)]
            self._enter(Phase.LIFT, now_ns)
        elif self.phase is Phase.REACH:
            if self._follow(ball + ABOVE_M, REACH_SPEED_M_S, dt_s) and there:
                self._enter(Phase.TOUCH, now_ns)
        elif self.phase is Phase.TOUCH:
            if self._follow(ball, TOUCH_SPEED_M_S, dt_s) and there:
                self._enter(Phase.DWELL if hand_is_there else Phase.REACH, now_ns)
        elif self.phase is Phase.DWELL:
            self._follow(ball, TOUCH_SPEED_M_S, dt_s)
            if waited_s > DWELL_S:
                self._enter(Phase.RETRACT, now_ns)
        elif self._follow(self._mirrored(READY_M), REACH_SPEED_M_S, dt_s) and there:
            self._enter(Phase.DONE, now_ns)

    def goal(self, view: View) -> Pose2:
        """Where the pelvis shall stand: before the table, the ball ahead and a little to the hand's side."""
        table = view.objects[TABLE]
        turn = matrix_from_quaternion(table.quaternion_wxyz)
        ball = turn.T @ (self._ball_in_world(view) - table.position_m)
        edge = -TABLE_HALF_M[0]
        ahead = min(ball[0] - BALL_AHEAD_M, edge - GAP_M)
        place = table.position_m + turn @ np.array([ahead, ball[1] - self._sign * BALL_ASIDE_M, 0.0])
        return Pose2(float(place[0]), float(place[1]), pose2(table.position_m, table.quaternion_wxyz).yaw_rad)

    def _in_reach(self, ball: np.ndarray, view: View) -> bool:
        aside = self._sign * ball[1]
        return (
            IN_REACH_AHEAD_M[0] <= ball[0] <= IN_REACH_AHEAD_M[1]
            and IN_REACH_ASIDE_M[0] <= aside <= IN_REACH_ASIDE_M[1]
            and abs(self.goal(view).seen_from(_pelvis(view))[2]) < HEADING_RAD
        )

    def _follow(self, goal: np.ndarray, speed_m_s: float, dt_s: float) -> bool:
        """Move the cursor towards ``goal``; True when it is there."""
        assert self._cursor is not None
        way = goal - self._cursor
        distance = float(np.linalg.norm(way))
        self._cursor = self._cursor + way * min(1.0, speed_m_s * dt_s / max(distance, 1e-9))
        return float(np.linalg.norm(goal - self._cursor)) < NEAR_M

    def _enter(self, phase: Phase, now_ns: int) -> None:
        self.phase, self._phase_ns = phase, now_ns

    def _ball_in_world(self, view: View) -> np.ndarray:
        name = f"ball_{self._colour}"
        if name not in view.objects or TABLE not in view.objects:
            raise ValueError(
                f"the scene shows no {name} on a {TABLE}; it shows {', '.join(view.objects) or 'nothing'}"
            )
        return view.objects[name].position_m

    def _ball(self, view: View) -> np.ndarray:
        turn = matrix_from_quaternion(view.pelvis.quaternion_wxyz)
        return turn.T @ (self._ball_in_world(view) - view.pelvis.position_m)

    def _hand(self, state: RobotState) -> np.ndarray:
        """Where the grasp point is, in the pelvis frame."""
        self._ik.reset(state.position_rad)
        wrist = self._ik.wrist(self._side, PELVIS)
        assert wrist.quaternion_wxyz is not None
        return wrist.position_m + matrix_from_quaternion(wrist.quaternion_wxyz) @ self._grasp

    def _mirrored(self, left_m: np.ndarray) -> np.ndarray:
        return left_m * [1.0, self._sign, 1.0]


def _pelvis(view: View) -> Pose2:
    return pose2(view.pelvis.position_m, view.pelvis.quaternion_wxyz)
