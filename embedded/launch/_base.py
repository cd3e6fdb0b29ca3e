"""The nouns of launch: substitutions, conditions, events, actions, descriptions and the context they act on."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable
from typing import Any


class Substitution:
    """A text that is known only when launching."""

    def describe(self):
        """For people."""
        return repr(self)

    def perform(self, context):
        """The text."""
        raise NotImplementedError()


def substitutions(value) -> list:
    """A text, a substitution or a flat sequence of both, as a list; raises TypeError for anything else."""
    from .substitutions import TextSubstitution

    if isinstance(value, str):
        return [TextSubstitution(text=value)]
    if isinstance(value, Substitution):
        return [value]
    if not isinstance(value, Iterable) or not all(isinstance(item, (str, Substitution)) for item in value):
        raise TypeError(f'expected a str, a Substitution or a flat sequence of both, got {value!r}')
    return [part for item in value for part in substitutions(item)]


def perform(context, value) -> str:
    """The text of what `substitutions` accepts."""
    return ''.join(part.perform(context) for part in substitutions(value))


class Condition:
    """Decides whether an action is executed."""

    def __init__(self, *, predicate=None):
        self._predicate = predicate

    def describe(self):
        """For people."""
        return repr(self)

    def evaluate(self, context):
        """Whether it holds."""
        return self._predicate is None or self._predicate(context)


class Event:
    """Something that happened."""


class LaunchDescriptionEntity:
    """Anything that can be visited while launching."""

    def describe(self):
        """For people."""
        return repr(self)

    def describe_sub_entities(self):
        """Entities that will be visited too."""
        return []

    def describe_conditional_sub_entities(self):
        """(condition in words, entities) of those that may be visited."""
        return []

    def visit(self, context):
        """Act; returns entities to visit next, or None."""
        return None

    def get_asyncio_future(self):
        """A future that is done when the entity has nothing left to do, or None."""
        return None


class Action(LaunchDescriptionEntity):
    """An entity that does something, if its condition holds."""

    def __init__(self, *, condition=None):
        self._condition = condition

    @property
    def condition(self):
        """The condition, or None."""
        return self._condition

    def get_sub_entities(self):
        """Entities within this action."""
        return []

    def describe_sub_entities(self):
        """Entities within, when there is no condition."""
        return [] if self._condition else self.get_sub_entities()

    def describe_conditional_sub_entities(self):
        """Entities within, when there is a condition."""
        return [(repr(self._condition), self.get_sub_entities())] if self._condition else []

    def visit(self, context):
        """Execute if the condition holds; then tell that it is done, or when it will be."""
        if self._condition is not None and not self._condition.evaluate(context):
            return None
        try:
            return self.execute(context)
        finally:
            from .events import ExecutionComplete

            event, future = ExecutionComplete(action=self), self.get_asyncio_future()
            if context.would_handle_event(event):
                if future is None:
                    context.emit_event_sync(event)
                else:
                    future.add_done_callback(lambda _: context.emit_event_sync(event))

    def execute(self, context):
        """Do it; returns entities to visit next, or None."""
        return None


class BaseEventHandler:
    """Chooses events and answers them with entities."""

    def __init__(self, *, matcher, handle_once=False):
        self._matcher, self._handle_once, self._handled = matcher, handle_once, False

    @property
    def handle_once(self):
        """Whether it answers only the first event."""
        return self._handle_once

    def matches(self, event):
        """Whether it answers an event."""
        return not (self._handle_once and self._handled) and self._matcher(event)

    def handle(self, event, context):
        """Answer: entities to visit, or None."""
        context.extend_locals({'event': event})
        if self._handle_once:
            if self._handled:
                return None
            self._handled = True
            context.unregister_event_handler(self)
        return None


class EventHandler(BaseEventHandler):
    """Answers with given entities."""

    def __init__(self, *, matcher, entities=None, handle_once=False):
        super().__init__(matcher=matcher, handle_once=handle_once)
        self._entities = [entities] if isinstance(entities, LaunchDescriptionEntity) else list(entities or ())

    @property
    def entities(self):
        """The entities."""
        return self._entities

    def handle(self, event, context):
        """Answer with the entities."""
        super().handle(event, context)
        return self._entities


class LaunchContext:
    """State of a launch: configurations, environment of processes, event handlers, local names."""

    def __init__(self, *, argv=None, noninteractive=False):
        self.argv, self.noninteractive = list(argv or ()), noninteractive
        self.launch_configurations, self.environment = {}, dict(os.environ)
        self._configuration_stack, self._environment_stack = [], []
        self._locals, self._globals = {}, {}
        self._handlers: deque = deque()
        self._events: Any = None
        self._futures: list = []
        self._not_started: list[str] = []  # names of processes whose program could not be started
        self.asyncio_loop: Any = None  # set by the LaunchService
        self._shutting_down = False

    @property
    def is_shutdown(self):
        """Whether shutdown has begun."""
        return self._shutting_down

    def add_completion_future(self, completion_future):
        """The launch is not idle before this is done."""
        self._futures.append(completion_future)

    @property
    def locals(self):
        """Names such as `event`, as attributes."""
        return _Names({**self._globals, **self._locals})

    def get_locals_as_dict(self):
        """The same as a dict."""
        return {**self._globals, **self._locals}

    def extend_locals(self, extensions):
        """Add names."""
        self._locals.update(extensions)

    def extend_globals(self, extensions):
        """Add names that stay."""
        self._globals.update(extensions)

    def register_event_handler(self, event_handler, append=False):
        """Ask a handler before the others, or after them."""
        (self._handlers.append if append else self._handlers.appendleft)(event_handler)

    def unregister_event_handler(self, event_handler):
        """Ask it no more; raises ValueError when it is unknown."""
        self._handlers.remove(event_handler)

    def would_handle_event(self, event):
        """Whether any handler answers an event."""
        return any(handler.matches(event) for handler in self._handlers)

    def emit_event_sync(self, event):
        """Queue an event, from the thread of the launch."""
        if self._events is None:
            raise RuntimeError('no LaunchService is running')
        self._events.put_nowait(event)

    async def emit_event(self, event):
        """Queue an event."""
        self.emit_event_sync(event)

    def perform_substitution(self, substitution):
        """The text of a substitution."""
        return substitution.perform(self)

    def _push(self, configurations=True, environment=False):
        if configurations:
            self._configuration_stack.append(dict(self.launch_configurations))
        if environment:
            self._environment_stack.append(dict(self.environment))

    def _pop(self, configurations=True, environment=False):
        if configurations:
            self.launch_configurations = self._configuration_stack.pop()
        if environment:
            self.environment = self._environment_stack.pop()


class _Names:
    def __init__(self, names):
        self.__dict__.update(names)


class LaunchDescription(LaunchDescriptionEntity):
    """A list of entities to visit."""

    def __init__(self, initial_entities=None, *, deprecated_reason=None):
        self._entities, self._deprecated_reason = list(initial_entities or ()), deprecated_reason

    @property
    def entities(self):
        """The entities."""
        return self._entities

    @property
    def deprecated(self):
        """Whether it should no longer be used."""
        return self._deprecated_reason is not None

    @property
    def deprecated_reason(self):
        """Why not."""
        return self._deprecated_reason

    def visit(self, context):
        """Visit the entities."""
        return self._entities

    def describe_sub_entities(self):
        """The entities."""
        return self._entities

    def add_entity(self, entity):
        """Add an entity."""
        self._entities.append(entity)

    def add_action(self, action):
        """Add an action."""
        self._entities.append(action)

    def get_launch_arguments(self, conditional_inclusion=False):
        """The DeclareLaunchArgument actions within, also of included files; conditional ones if asked for."""
        from .actions import DeclareLaunchArgument

        found: list = []

        def search(entities):
            for entity in entities:
                if isinstance(entity, DeclareLaunchArgument):
                    if all(entity.name != known.name for known in found):
                        found.append(entity)
                else:
                    search(entity.describe_sub_entities())
                    for _, conditional in entity.describe_conditional_sub_entities() if conditional_inclusion else ():
                        search(conditional)

        search(self._entities)
        return found


class LaunchDescriptionSource:
    """Where a launch description comes from."""

    def __init__(self, launch_description=None, location='<string>',
                 method='unspecified mechanism from a script'):
        self._description, self._location, self._method = launch_description, substitutions(location), method
        self._expanded = None

    @property
    def location(self):
        """The path, as text once it is known."""
        return self._expanded or ' + '.join(part.describe() for part in self._location)

    @property
    def method(self):
        """How it is read."""
        return self._method

    def try_get_launch_description_without_context(self):
        """The description, None when its path needs a context."""
        from .substitutions import TextSubstitution

        if self._description is None and all(isinstance(part, TextSubstitution) for part in self._location):
            return self.get_launch_description(LaunchContext())
        return self._description

    def get_launch_description(self, context):
        """The description, read once."""
        if self._expanded is None:
            self._expanded = perform(context, self._location)
        if self._description is None:
            self._description = self._read(self._expanded)
        return self._description

    def _read(self, location):
        raise NotImplementedError()
