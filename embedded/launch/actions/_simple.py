"""Actions that change the launch itself."""

from __future__ import annotations

import sys
from typing import Any

from .._base import Action, LaunchDescriptionSource, perform, substitutions
from ..event_handlers import OnShutdown
from ..events import IncludeLaunchDescription as IncludeEvent
from ..events import Shutdown as ShutdownEvent


def log(level: str, name: str, text: str) -> None:
    """Print a line of the launch itself."""
    print(f'[{level}] [{name}]: {text}', file=sys.stdout if level == 'INFO' else sys.stderr, flush=True)


class DeclareLaunchArgument(Action):
    """An argument that the command line or an including file may set."""

    def __init__(self, name, *, default_value=None, description=None, choices=None, **kwargs):
        super().__init__(**kwargs)
        self._name, self._choices = name, None if choices is None else list(choices)
        self._default_value = None if default_value is None else substitutions(default_value)
        self._description = description or 'no description given'
        if self._choices is not None and not self._choices:
            raise ValueError('choices must be None or a non-empty sequence')

    name = property(lambda self: self._name, doc='Its name.')
    default_value = property(lambda self: self._default_value, doc='Its default, None when it must be given.')
    description = property(lambda self: self._description, doc='What it is for.')
    choices = property(lambda self: self._choices, doc='The values that are allowed, None for any.')

    def execute(self, context):
        """Set the default; raises RuntimeError when a value is missing or not among the choices."""
        if self._name not in context.launch_configurations:
            if self._default_value is None:
                raise RuntimeError(f"Required launch argument '{self._name}' (description: '{self._description}') "
                                   'was not provided')
            context.launch_configurations[self._name] = perform(context, self._default_value)
        value = context.launch_configurations[self._name]
        if self._choices is not None and value not in self._choices:
            raise RuntimeError(f"Argument '{self._name}' provided value '{value}' is not valid. Valid options are: "
                               f'{self._choices}')


class SetLaunchConfiguration(Action):
    """Set a configuration."""

    def __init__(self, name, value, **kwargs):
        super().__init__(**kwargs)
        self._name, self._value = substitutions(name), substitutions(value)

    name = property(lambda self: self._name, doc='Its name.')
    value = property(lambda self: self._value, doc='Its value.')

    def execute(self, context):
        """Set it."""
        context.launch_configurations[perform(context, self._name)] = perform(context, self._value)


class SetEnvironmentVariable(Action):
    """Set a variable for processes that are started later."""

    def __init__(self, name, value, **kwargs):
        super().__init__(**kwargs)
        self._name, self._value = substitutions(name), substitutions(value)

    name = property(lambda self: self._name, doc='Its name.')
    value = property(lambda self: self._value, doc='Its value.')

    def execute(self, context):
        """Set it."""
        context.environment[perform(context, self._name)] = perform(context, self._value)


class UnsetEnvironmentVariable(Action):
    """Remove a variable for processes that are started later."""

    def __init__(self, name, **kwargs):
        super().__init__(**kwargs)
        self._name = substitutions(name)

    name = property(lambda self: self._name, doc='Its name.')

    def execute(self, context):
        """Remove it."""
        context.environment.pop(perform(context, self._name), None)


class _Scope(Action):
    """Begin or end a scope of configurations and environment."""

    def __init__(self, begin):
        super().__init__()
        self._begin = begin

    def execute(self, context):
        """Begin or end it."""
        if self._begin:
            context._push(environment=True)
        else:
            context._pop(environment=True)


class GroupAction(Action):
    """Actions in a scope of their own: what they configure ends with them."""

    def __init__(self, actions, *, scoped=True, forwarding=True, launch_configurations=None, **left_over_kwargs):
        super().__init__(**left_over_kwargs)
        self._actions, self._scoped, self._forwarding = list(actions), scoped, forwarding
        self._configurations = dict(launch_configurations or {})

    def get_sub_entities(self):
        """The actions, with those that set the scope."""
        settings = [SetLaunchConfiguration(name, value) for name, value in self._configurations.items()]
        if not self._scoped:
            return [*settings, *self._actions]
        forget = [] if self._forwarding else [OpaqueFunction(function=_forget_configurations)]
        return [_Scope(True), *forget, *settings, *self._actions, _Scope(False)]

    def execute(self, context):
        """Visit them."""
        return self.get_sub_entities()


def _forget_configurations(context):
    context.launch_configurations.clear()


class OpaqueFunction(Action):
    """Call a function with the context; it may return entities to visit."""

    def __init__(self, *, function, args=None, kwargs=None, **left_over_kwargs):
        super().__init__(**left_over_kwargs)
        if not callable(function):
            raise TypeError(f'OpaqueFunction expected a function, got {function!r}')
        self._function, self._args, self._kwargs = function, list(args or ()), dict(kwargs or {})

    def execute(self, context):
        """Call it."""
        return self._function(context, *self._args, **self._kwargs)


class LogInfo(Action):
    """Print a text."""

    def __init__(self, *, msg, **kwargs):
        super().__init__(**kwargs)
        self._msg = substitutions(msg)

    msg = property(lambda self: self._msg, doc='The text.')

    def execute(self, context):
        """Print it."""
        log('INFO', 'launch.user', perform(context, self._msg))


class EmitEvent(Action):
    """Emit an event."""

    def __init__(self, *, event, **kwargs):
        super().__init__(**kwargs)
        self._event = event

    event = property(lambda self: self._event, doc='The event.')

    def execute(self, context):
        """Emit it."""
        context.emit_event_sync(self._event)


class Shutdown(EmitEvent):
    """End the launch."""

    def __init__(self, *, reason='reason not given', **kwargs):
        super().__init__(event=ShutdownEvent(reason=reason), **kwargs)

    def execute(self, context):
        """Emit the event, with the process that ended as reason when that led here."""
        event = context.get_locals_as_dict().get('event')
        name = getattr(event, 'process_name', None)
        if name is not None and self.event.reason == 'reason not given':
            context.emit_event_sync(ShutdownEvent(reason=f'{name} required process ended'))
        else:
            super().execute(context)


class RegisterEventHandler(Action):
    """Ask an event handler from now on."""

    def __init__(self, event_handler, **kwargs):
        super().__init__(**kwargs)
        self._event_handler = event_handler

    event_handler = property(lambda self: self._event_handler, doc='The handler.')

    def execute(self, context):
        """Register it."""
        context.register_event_handler(self._event_handler)


class TimerAction(Action):
    """Visit entities after a time."""

    def __init__(self, *, period, actions, cancel_on_shutdown=True, **kwargs):
        super().__init__(**kwargs)
        self._period = period if isinstance(period, (int, float)) else substitutions(period)
        self._actions, self._cancel_on_shutdown = list(actions), cancel_on_shutdown
        self._future: Any = None
        self._handle = None

    period = property(lambda self: self._period, doc='Seconds, or substitutions of them.')
    actions = property(lambda self: self._actions, doc='The entities.')

    def describe_sub_entities(self):
        """None now, the entities later."""
        return []

    def describe_conditional_sub_entities(self):
        """The entities, after the time."""
        return [(f'after {self._period} s', self._actions)]

    def execute(self, context):
        """Begin to wait."""
        seconds = self._period if isinstance(self._period, (int, float)) else float(perform(context, self._period))
        self._future = context.asyncio_loop.create_future()

        def fire():
            if not self._future.done():
                context.emit_event_sync(IncludeEvent(_described(self._actions)))
                self._future.set_result(None)

        self._handle = context.asyncio_loop.call_later(seconds, fire)
        if self._cancel_on_shutdown:
            context.register_event_handler(OnShutdown(on_shutdown=lambda event, context: self.cancel()))

    def cancel(self):
        """Do not visit them after all."""
        if self._handle is not None:
            self._handle.cancel()
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def get_asyncio_future(self):
        """Done when the time is over."""
        return self._future


def _described(entities):
    from .._base import LaunchDescription

    return LaunchDescription(entities)


class IncludeLaunchDescription(Action):
    """Visit another launch file."""

    def __init__(self, launch_description_source, *, launch_arguments: Any = None, **kwargs):
        super().__init__(**kwargs)
        if not isinstance(launch_description_source, LaunchDescriptionSource):
            from ..launch_description_sources import AnyLaunchDescriptionSource

            launch_description_source = AnyLaunchDescriptionSource(launch_description_source)
        self._source = launch_description_source
        self._arguments: list[Any] = list(launch_arguments or ())

    launch_description_source = property(lambda self: self._source, doc='Where it comes from.')
    launch_arguments = property(lambda self: self._arguments, doc='(name, value) of its arguments.')

    def get_sub_entities(self):
        """The description, when it can be read before launching."""
        description = self._source.try_get_launch_description_without_context()
        return [] if description is None else [description]

    def execute(self, context):
        """Set the arguments and visit the file; raises RuntimeError when an argument is missing."""
        description = self._source.get_launch_description(context)
        given = {perform(context, name): perform(context, value) for name, value in self._arguments}
        for argument in description.get_launch_arguments():
            if argument.default_value is None and argument.name not in {**context.launch_configurations, **given}:
                raise RuntimeError(f"Included launch description missing required argument '{argument.name}' "
                                   f"(description: '{argument.description}'), given: [{', '.join(given)}]")
        former, path = context.get_locals_as_dict().get('current_launch_file_path'), self._source.location
        return [*(SetLaunchConfiguration(name, value) for name, value in given.items()),
                OpaqueFunction(function=_visiting, args=[path]), description,
                OpaqueFunction(function=_visiting, args=[former])]


def _visiting(context, path):
    context.extend_locals({'current_launch_file_path': path})
