"""Processes: start, prefix their output, respawn, and end by signals that become stronger."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
from typing import Any

from .._base import Action, BaseEventHandler, perform, substitutions
from ..event_handlers import OnProcessExit, OnShutdown
from ..events.process import (
    ProcessExited,
    ProcessStarted,
    ProcessTargetedEvent,
    ShutdownProcess,
    SignalProcess,
)
from ._simple import log


class _TargetedHandler(BaseEventHandler):
    """Passes wishes for a process on to it."""

    def __init__(self, action):
        super().__init__(matcher=lambda event: isinstance(event, ProcessTargetedEvent)
                         and bool(event.process_matcher(action)))
        self._action = action

    def handle(self, event, context):
        """Pass it on."""
        self._action._targeted(event)


class ExecuteProcess(Action):
    """Run a program. Its lines are printed behind `[name-number]`; `output='log'` shows only its errors.

    The number counts the processes of a launch. Ctrl-C reaches only the launch, which passes it on: each process has
    a session of its own.
    """

    def __init__(self, *, cmd, prefix=None, name=None, cwd=None, env=None, additional_env=None, shell=False,
                 sigterm_timeout='5', sigkill_timeout='5', emulate_tty=False, output='log',
                 output_format='[{this.process_details[name]}] {line}', log_cmd=False, on_exit=None, respawn=False,
                 respawn_delay=None, **kwargs):
        super().__init__(**kwargs)
        if shell:
            raise ValueError('shell=True is not offered: give the program and its arguments as a list')
        self._cmd = [substitutions(part) for part in cmd]
        self._prefix, self._name, self._cwd = prefix, name, cwd
        self._env, self._additional_env = env, additional_env
        self._sigterm_timeout, self._sigkill_timeout = sigterm_timeout, sigkill_timeout
        self._output, self._output_format, self._log_cmd = output, output_format, log_cmd
        self._on_exit, self._respawn, self._respawn_delay = on_exit, respawn, respawn_delay
        self._process, self._returncode = None, None
        self._future: Any = None  # made when it is executed
        self._details: dict[str, Any] = {}
        self._ending, self._timers = False, []
        self._end_event: Any = None

    cmd = property(lambda self: self._cmd, doc='The command line, each part as substitutions.')
    name = property(lambda self: self._name, doc='Its name, None for that of the program.')
    cwd = property(lambda self: self._cwd, doc='Its working directory.')
    env = property(lambda self: self._env, doc='Its environment, None for that of the launch.')
    additional_env = property(lambda self: self._additional_env, doc='What is added to the environment.')
    output = property(lambda self: self._output, doc='Where its output goes.')
    process_details = property(lambda self: self._details or None, doc='Name, command line, environment and pid.')
    return_code = property(lambda self: self._returncode, doc='Its exit code, None while it runs.')

    def _command(self, context):
        """The command line as texts."""
        return [perform(context, part) for part in self._cmd]

    def _process_name(self, context, command):
        return perform(context, self._name) if self._name is not None else os.path.basename(command[0])

    def execute(self, context):
        """Start it, unless the launch is ending; raises RuntimeError when it is started twice."""
        if self._future is not None:
            raise RuntimeError(f'process {self._details["name"]} is started twice')
        if context.is_shutdown:
            return
        self._future = context.asyncio_loop.create_future()
        self._command_line = self._command(context)
        if self._prefix is not None:
            self._command_line = [*shlex.split(perform(context, self._prefix)), *self._command_line]
        name = self._process_name(context, self._command_line)
        context._process_count = getattr(context, '_process_count', 0) + 1
        environment = {perform(context, key): perform(context, value) for key, value in self._env.items()} \
            if self._env is not None else dict(context.environment)
        for key, value in (self._additional_env or {}).items():
            environment[perform(context, key)] = perform(context, value)
        environment.setdefault('PYTHONUNBUFFERED', '1')
        self._details = {'name': f'{name}-{context._process_count}', 'cmd': self._command_line, 'pid': None,
                         'cwd': None if self._cwd is None else perform(context, self._cwd), 'env': environment}
        self._shown = perform(context, self._output) if not isinstance(self._output, dict) else 'screen'
        self._term_s = float(perform(context, self._sigterm_timeout))
        self._kill_s = float(perform(context, self._sigkill_timeout))
        self._again = self._respawn if isinstance(self._respawn, bool) else \
            perform(context, self._respawn).lower() in ('true', '1')
        if self._on_exit is not None:
            context.register_event_handler(OnProcessExit(target_action=self, on_exit=self._on_exit))
        context.register_event_handler(OnShutdown(on_shutdown=lambda event, context: self._end()))
        context.register_event_handler(_TargetedHandler(self))
        self._running = asyncio.ensure_future(self._run(context), loop=context.asyncio_loop)

    def _targeted(self, event):
        if isinstance(event, SignalProcess):
            self._signal(event.signal)
        elif isinstance(event, ShutdownProcess):
            self._end()

    def get_asyncio_future(self):
        """Done when the process has ended and will not come back."""
        return self._future

    def _event_arguments(self):
        return {'action': self, **self._details}

    async def _run(self, context):
        try:
            while not self._ending:
                await self._run_once(context)
                if not self._again or self._ending:
                    break
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._end_event.wait(), self._respawn_delay or 0.0)
        finally:
            if not self._future.done():
                self._future.set_result(None)

    async def _run_once(self, context):
        self._end_event, self._timers = asyncio.Event(), []
        name = self._details['name']
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self._command_line, cwd=self._details['cwd'], env=self._details['env'],
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True)
        except OSError as error:
            log('ERROR', name, f'cannot be started: {error.strerror} ({self._command_line[0]})')
            self._again = False
            context._not_started.append(name)
            return
        self._details['pid'] = self._process.pid
        shown = f" with command '{shlex.join(self._command_line)}'" if self._log_cmd else ''
        log('INFO', name, f'process started with pid [{self._process.pid}]{shown}')
        context.emit_event_sync(ProcessStarted(**self._event_arguments()))
        if self._ending:
            self._end()
        reading = asyncio.gather(self._copy(self._process.stdout, 1),
                                 self._copy(self._process.stderr, 2))
        code = await self._process.wait()
        with contextlib.suppress(asyncio.TimeoutError):  # a grandchild may hold the pipes open
            await asyncio.wait_for(reading, 1.0)
        for timer in self._timers:
            timer.cancel()
        if code == 0:
            log('INFO', name, f'process has finished cleanly [pid {self._process.pid}]')
        else:
            log('ERROR', name, f"process has died [pid {self._process.pid}, exit code {code}, "
                               f"cmd '{shlex.join(self._command_line)}'].")
        self._returncode = code
        context.emit_event_sync(ProcessExited(returncode=code, **self._event_arguments()))

    async def _copy(self, stream, fd):
        """Print what a process writes, line by line."""
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than the buffer
                line = await stream.read(2**16)
            if not line:
                return
            if fd == 2 or self._shown in ('screen', 'both'):
                text = line.decode(errors='replace').rstrip('\n')
                print(self._output_format.format(this=self, line=text), flush=True)

    def _signal(self, number):
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def _end(self):
        """SIGINT now, SIGTERM and SIGKILL after their times."""
        self._ending = True
        if self._end_event is not None:
            self._end_event.set()
        if self._process is None or self._process.returncode is not None:
            return
        name = self._details['name']
        self._signal(signal.SIGINT)
        loop = asyncio.get_running_loop()

        def harder(number, seconds):
            log('ERROR', name, f"process[{name}] failed to terminate '{seconds}' seconds after receiving "
                               f"'{'SIGINT' if number is signal.SIGTERM else 'SIGTERM'}', escalating to "
                               f"'{number.name}'")
            self._signal(number)

        self._timers += [loop.call_later(self._term_s, harder, signal.SIGTERM, self._term_s),
                         loop.call_later(self._term_s + self._kill_s, harder, signal.SIGKILL, self._kill_s)]

