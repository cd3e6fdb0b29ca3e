"""A scripted operator with a gamepad in its hands: what it wants becomes sticks and buttons, as a person's would.

It knows of the robot what a person sees: where the hand is, not what the teleoperation node makes of the sticks.
"""

from __future__ import annotations

import numpy as np
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import matrix_from_quaternion
from wbvla_core.types import RobotState
from wbvla_teleop.devices.layout import AXES, Layout
from wbvla_teleop.devices.scripted import Operator, View
from wbvla_teleop.frame import PELVIS, TeleopFrame, WristPose
from wbvla_teleop.ik import DualArmIk

GAIN = 5.0
"""Stick deflection for each metre that the hand is off."""
DEAD_ZONE = 0.16
HAT_READINGS = 4
"""Readings for which the hat is pressed, and as many for which it is let go."""


class GamepadHands:
    """Turns frames of an operator into readings of a gamepad. One reading for each call of :meth:`read`."""

    def __init__(self, operator: Operator, layout: Layout, spec: RobotSpec) -> None:
        self._operator, self._layout = operator, layout
        self._ik = DualArmIk(spec)
        self._grasp = [np.array(hand.xyz_m) - [0.0, 0.0, 0.7 * hand.finger_length_m] for hand in spec.hands]
        self._mode: int | None = None
        self._hat: list[float] = []
        self._pressed: dict[str, int] = {}
        self._resting = True
        self._open = 0

    def begin(self, sentence: str) -> None:
        """Take up a task. Raises ValueError when the operator does not understand."""
        self._operator.begin(sentence)
        self._resting = False

    def rest(self) -> None:
        """Take the hands off the deadman; buttons still work."""
        self._resting = True

    def let_go(self, readings: int = 5) -> None:
        """Let go of the deadman for some readings and grasp it anew: after the robot had lost the pad."""
        self._open = readings

    def press(self, button: str, readings: int = 5) -> None:
        """Hold a named button down for some readings."""
        self._pressed[button] = readings

    def read(self, view: View, state: RobotState, now_ns: int) -> tuple[list[float], list[int]]:
        """Axes and buttons now, as in ``sensor_msgs/Joy``. Raises ValueError as the operator does."""
        frame = TeleopFrame(now_ns, False) if self._resting else self._operator.act(view, state, now_ns)
        if self._open > 0:
            self._open -= 1
            frame = TeleopFrame(now_ns, False)
        axes = dict.fromkeys(AXES, 0.0)
        down = {"deadman"} if frame.deadman else set()
        if frame.deadman:
            self._sticks(frame, state, axes)
            for side, opening in zip(("left", "right"), frame.grippers or (1.0, 1.0), strict=True):
                axes[f"{side}_trigger"] = 1.0 - 2.0 * (1.0 - opening)
        for button in list(self._pressed):
            down.add(button)
            self._pressed[button] -= 1
            if self._pressed[button] <= 0:
                del self._pressed[button]
        return self._message(axes, down)

    def _sticks(self, frame: TeleopFrame, state: RobotState, axes: dict[str, float]) -> None:
        hand = 0 if frame.left is not None else 1 if frame.right is not None else None
        off = np.zeros(3)
        if hand is not None:
            off = self._off(hand, (frame.left, frame.right)[hand], state)
        walking = any(frame.flags)
        moving = not walking and hand is not None and float(np.linalg.norm(off)) > 0.01
        if walking or moving:
            self._want(None if walking else hand)
        if self._hat:
            axes["hat_x"] = self._hat.pop(0)
        elif walking:
            axes["left_y"], axes["left_x"], axes["right_x"] = (float(flag) for flag in frame.flags)
        elif moving:
            axes["left_y"], axes["left_x"], axes["right_y"] = (_deflection(value) for value in off)

    def _want(self, mode: int | None) -> None:
        """Press the hat as often as it takes to have the sticks move ``mode`` (None: walk)."""
        if self._hat or mode == self._mode:
            return
        # The same direction again leaves a hand's mode; the other hand's direction changes to it.
        hand = self._mode if mode is None else mode
        self._hat = [1.0 if hand == 0 else -1.0] * HAT_READINGS + [0.0] * HAT_READINGS
        self._mode = mode

    def _off(self, hand: int, target: WristPose | None, state: RobotState) -> np.ndarray:
        """How far the grasp point is from where it shall be, in the pelvis frame."""
        assert target is not None and target.quaternion_wxyz is not None
        self._ik.reset(state.position_rad)
        now = self._ik.wrist(hand, PELVIS)
        assert now.quaternion_wxyz is not None
        places = [
            pose.position_m + matrix_from_quaternion(pose.quaternion_wxyz) @ self._grasp[hand]
            for pose in (target, now)
            if pose.quaternion_wxyz is not None
        ]
        return places[0] - places[1]

    def _message(self, axes: dict[str, float], down: set[str]) -> tuple[list[float], list[int]]:
        layout = self._layout
        values = [0.0] * (1 + max(axis.axis for axis in layout.axes.values()))
        for name, value in axes.items():
            axis = layout.axes[name]
            values[axis.axis] = -value if axis.invert else value
        buttons = [0] * (1 + max(layout.buttons.values()))
        for name in down:
            buttons[layout.buttons[name]] = 1
        return values, buttons


def _deflection(off_m: float) -> float:
    """A stick's answer to an error: beyond the dead zone at once, full at 17 cm."""
    if abs(off_m) < 0.004:
        return 0.0
    return float(np.sign(off_m) * min(1.0, DEAD_ZONE + GAIN * abs(off_m)))
