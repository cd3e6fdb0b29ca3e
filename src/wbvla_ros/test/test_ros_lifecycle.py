"""Leaving while a transition runs in another thread: nothing starts after the node has left."""

from __future__ import annotations

import threading

import pytest
import rclpy
from rclpy.lifecycle import TransitionCallbackReturn
from wbvla_core.types import State
from wbvla_ros.lifecycle import ManagedNode


class SlowNode(ManagedNode):
    """Waits in ``configure`` or ``activate`` until told to go on; ``acts`` is what was called, in order."""

    def __init__(self, **kwargs):
        super().__init__("slow", **kwargs)
        self.acts: list[str] = []
        self.wait_in = ""
        self.inside, self.go_on = threading.Event(), threading.Event()

    def _act(self, name: str) -> None:
        self.acts.append(name)
        if self.wait_in == name:
            self.inside.set()
            assert self.go_on.wait(5.0)

    def configure(self) -> None:
        self._act("configure")

    def activate(self) -> None:
        self._act("activate")

    def deactivate(self) -> None:
        self._act("deactivate")

    def cleanup(self) -> None:
        self._act("cleanup")


@pytest.fixture
def node():
    context = rclpy.Context()
    rclpy.init(context=context)
    made = SlowNode(context=context)
    yield made
    made.destroy_node()
    rclpy.shutdown(context=context)


def _in_thread(call):
    results = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    return thread, results


def test_leaving_during_activation_ends_what_was_started(node):
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    node.wait_in = "activate"
    starting, _ = _in_thread(node.trigger_activate)
    assert node.inside.wait(5.0)
    leaving, _ = _in_thread(node.leave)
    node.go_on.set()
    starting.join(5.0)
    leaving.join(5.0)
    assert node.acts == ["configure", "activate", "deactivate", "cleanup"]
    assert node._lifecycle == State.UNCONFIGURED


def test_leaving_does_not_wait_for_a_slow_configuration_which_is_then_undone(node):
    node.wait_in = "configure"
    starting, results = _in_thread(node.trigger_configure)
    assert node.inside.wait(5.0)
    node.leave()
    node.go_on.set()
    starting.join(5.0)
    assert results == [TransitionCallbackReturn.FAILURE]
    assert node.acts == ["configure", "cleanup"]


def test_a_node_that_has_left_cannot_be_activated(node):
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    node.leave()
    assert node.trigger_activate() == TransitionCallbackReturn.FAILURE
    assert "activate" not in node.acts


def test_status_can_be_asked_while_another_thread_leaves(node):
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
    node.wait_in = "deactivate"
    leaving, _ = _in_thread(node.leave)
    assert node.inside.wait(5.0)
    node.publish_status()
    node.go_on.set()
    leaving.join(5.0)
    assert node.acts[-1] == "cleanup"
