"""Events of a launch."""

from __future__ import annotations

from .._base import Event
from . import process


class ExecutionComplete(Event):
    """An action has nothing left to do."""

    def __init__(self, *, action):
        self._action = action

    @property
    def action(self):
        """The action."""
        return self._action


class IncludeLaunchDescription(Event):
    """A description is to be visited."""

    def __init__(self, launch_description):
        self._launch_description = launch_description

    @property
    def launch_description(self):
        """The description."""
        return self._launch_description


class Shutdown(Event):
    """The launch ends."""

    def __init__(self, *, reason='reason not given', due_to_sigint=False):
        self._reason, self._due_to_sigint = reason, due_to_sigint

    @property
    def reason(self):
        """Why."""
        return self._reason

    @property
    def due_to_sigint(self):
        """Whether the user pressed Ctrl-C."""
        return self._due_to_sigint


class TimerEvent(Event):
    """A timer has run out."""

    def __init__(self, *, timer_action):
        self._timer_action = timer_action

    @property
    def timer_action(self):
        """The timer."""
        return self._timer_action


def matches_action(target_action):
    """A matcher of processes: is it this action?"""
    return lambda action: action is target_action


__all__ = ['ExecutionComplete', 'IncludeLaunchDescription', 'Shutdown', 'TimerEvent', 'matches_action', 'process']
