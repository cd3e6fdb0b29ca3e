"""An imitated gamepad on the graph: publishes Joy messages that the scripted operator's hands make."""

from __future__ import annotations

from rclpy.node import Node
from sensor_msgs.msg import Joy
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import Reason
from wbvla_teleop.devices.layout import load_layout
from wbvla_teleop.devices.scripted import View, load_operator

from wbvla_msgs import msg
from wbvla_ros import conversions, qos
from wbvla_sim.operators.gamepad import GamepadHands
from wbvla_sim.tasks.truth import view_from_msg

RATE_HZ = 50.0


class ImitatedGamepad:
    """Lives in the node of whoever runs the trials. ``begin`` takes up a sentence, ``press`` pushes a button."""

    def __init__(self, node: Node, spec: RobotSpec, operator: str, layout: str = "ps5") -> None:
        self._node, self._spec = node, spec
        self._hands = GamepadHands(load_operator(operator)(spec), load_layout(layout), spec)
        self._view: View | None = None
        self._state: msg.RobotState | None = None
        self._publisher = node.create_publisher(Joy, "joy", qos.STATE)
        node.create_subscription(msg.SimState, "sim/state", self._on_sim, qos.TOOLS)
        node.create_subscription(msg.RobotState, "robot_state", self._on_state, qos.STATE)
        node.create_subscription(msg.Status, "status", self._on_status, qos.STATUS)
        node.create_timer(1.0 / RATE_HZ, self._tick)

    def begin(self, sentence: str) -> None:
        """Raises ValueError for a sentence of another task."""
        self._hands.begin(sentence)

    def press(self, button: str) -> None:
        """See :data:`wbvla_teleop.frame.BUTTONS`."""
        self._hands.press(button)

    def rest(self) -> None:
        """Hands off the deadman, before the scene changes."""
        self._hands.rest()

    def _on_sim(self, message: msg.SimState) -> None:
        self._view = view_from_msg(message, conversions.to_ns(message.header.stamp))

    def _on_state(self, message: msg.RobotState) -> None:
        self._state = message

    def _on_status(self, message: msg.Status) -> None:
        if message.node == "teleop_node" and message.reason == int(Reason.TELEOP_LOST):
            self._hands.let_go()

    def _tick(self) -> None:
        if self._view is None or self._state is None:
            return
        now = self._node.get_clock().now()
        state = conversions.robot_state_from_msg(self._state, self._spec)
        axes, buttons = self._hands.read(self._view, state, now.nanoseconds)
        message = Joy(axes=axes, buttons=buttons)
        message.header.stamp = now.to_msg()
        self._publisher.publish(message)
