"""What to do on events."""

from __future__ import annotations

from typing import Any

from ._base import BaseEventHandler, LaunchDescriptionEntity
from .events import ExecutionComplete, Shutdown
from .events.process import ProcessExited, ProcessStarted


def _entities(answer: Any, *args) -> list:
    """What a handler was given, as a list: entities, or a function that returns them."""
    if callable(answer) and not isinstance(answer, LaunchDescriptionEntity):
        answer = answer(*args)
    if answer is None:
        return []
    return [answer] if isinstance(answer, LaunchDescriptionEntity) else list(answer)


class _OnActionEvent(BaseEventHandler):
    """Events of one action, of those that a function chooses, or of all."""

    def __init__(self, *, action_matcher, on_event, target_event_cls, **kwargs):
        def matches(event):
            if not isinstance(event, target_event_cls):
                return False
            if action_matcher is None or event.action is action_matcher:
                return True
            return callable(action_matcher) and not isinstance(action_matcher, LaunchDescriptionEntity) \
                and bool(action_matcher(event.action))

        super().__init__(matcher=matches, **kwargs)
        self._on_event = on_event

    def handle(self, event, context):
        """Answer with what was given."""
        super().handle(event, context)
        return _entities(self._on_event, event, context)


class OnProcessStart(_OnActionEvent):
    """When a process starts."""

    def __init__(self, *, target_action=None, on_start, **kwargs):
        super().__init__(action_matcher=target_action, on_event=on_start, target_event_cls=ProcessStarted, **kwargs)


class OnProcessExit(_OnActionEvent):
    """When a process ends."""

    def __init__(self, *, target_action=None, on_exit, **kwargs):
        super().__init__(action_matcher=target_action, on_event=on_exit, target_event_cls=ProcessExited, **kwargs)


class OnExecutionComplete(_OnActionEvent):
    """When an action is done."""

    def __init__(self, *, target_action=None, on_completion, **kwargs):
        super().__init__(action_matcher=target_action, on_event=on_completion, target_event_cls=ExecutionComplete,
                         **kwargs)


class OnShutdown(BaseEventHandler):
    """When the launch ends."""

    def __init__(self, *, on_shutdown, **kwargs):
        super().__init__(matcher=lambda event: isinstance(event, Shutdown), **kwargs)
        self._on_shutdown = on_shutdown

    def handle(self, event, context):
        """Answer with what was given."""
        super().handle(event, context)
        return _entities(self._on_shutdown, event, context)
