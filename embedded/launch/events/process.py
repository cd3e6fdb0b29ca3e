"""Events of processes."""

from __future__ import annotations

import signal

from .._base import Event


class RunningProcessEvent(Event):
    """Something about a process that was started."""

    def __init__(self, *, action, name, cmd, cwd, env, pid):
        self._action, self._process_name, self._cmd = action, name, cmd
        self._cwd, self._env, self._pid = cwd, env, pid

    action = property(lambda self: self._action, doc='The action that started it.')
    execute_process_action = action
    process_name = property(lambda self: self._process_name, doc='Its name in the output.')
    cmd = property(lambda self: self._cmd, doc='Its command line.')
    cwd = property(lambda self: self._cwd, doc='Its working directory, None for that of the launch.')
    env = property(lambda self: self._env, doc='Its environment.')
    pid = property(lambda self: self._pid, doc='Its process id.')


class ProcessStarted(RunningProcessEvent):
    """A process has started."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)


class ProcessExited(RunningProcessEvent):
    """A process has ended."""

    def __init__(self, *, returncode, **kwargs):
        super().__init__(**kwargs)
        self._returncode = returncode

    @property
    def returncode(self):
        """Its exit code, negative for a signal."""
        return self._returncode


class ProcessTargetedEvent(Event):
    """A wish to processes that a matcher chooses."""

    def __init__(self, *, process_matcher):
        self._process_matcher = process_matcher

    @property
    def process_matcher(self):
        """The matcher, called with actions."""
        return self._process_matcher


class ShutdownProcess(ProcessTargetedEvent):
    """End, by signals that become stronger."""

    def __init__(self, *, process_matcher):
        super().__init__(process_matcher=process_matcher)


class SignalProcess(ProcessTargetedEvent):
    """Get a signal."""

    def __init__(self, *, signal_number, process_matcher):
        super().__init__(process_matcher=process_matcher)
        if isinstance(signal_number, str):
            signal_number = getattr(signal, signal_number)
        self._signal = signal.Signals(signal_number)

    signal = property(lambda self: self._signal, doc='The signal.')
    signal_name = property(lambda self: self._signal.name, doc='Its name.')
