"""Runs launch descriptions: visits entities, answers events, ends all processes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import traceback

from ._base import BaseEventHandler, LaunchContext, LaunchDescription
from .actions._simple import log
from .events import IncludeLaunchDescription, Shutdown


class _OnInclude(BaseEventHandler):
    def __init__(self):
        super().__init__(matcher=lambda event: isinstance(event, IncludeLaunchDescription))

    def handle(self, event, context):
        return [event.launch_description]


class LaunchService:
    """A launch from beginning to end."""

    def __init__(self, *, argv=None, noninteractive=False, debug=False):
        self._context, self._debug = LaunchContext(argv=argv, noninteractive=noninteractive), debug
        self._context.register_event_handler(_OnInclude())
        self._context.asyncio_loop = asyncio.new_event_loop()
        self._context._events = asyncio.Queue()
        self._return_code, self._task = 0, None

    @property
    def context(self):
        """Its context."""
        return self._context

    @property
    def event_loop(self):
        """The loop that it runs in."""
        return self._context.asyncio_loop

    @property
    def task(self):
        """The running task, None when it does not run."""
        return self._task

    def include_launch_description(self, launch_description):
        """Visit a description."""
        self.emit_event(IncludeLaunchDescription(launch_description))

    def emit_event(self, event):
        """Queue an event; from any thread."""
        loop = self._context.asyncio_loop
        if self._task is not None and threading.get_ident() != self._thread:
            loop.call_soon_threadsafe(self._context.emit_event_sync, event)
        else:
            self._context.emit_event_sync(event)

    def shutdown(self, force_sync=False):
        """End; from any thread."""
        self.emit_event(Shutdown(reason='LaunchService.shutdown() called'))

    def run(self, *, shutdown_when_idle=True):
        """Launch until shutdown, or until nothing runs any more; 0, or 1 when an action failed."""
        loop = self._context.asyncio_loop
        with contextlib.ExitStack() as stack:
            if threading.current_thread() is threading.main_thread():
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, self._on_signal, number)
                    stack.callback(loop.remove_signal_handler, number)
            try:
                return loop.run_until_complete(self.run_async(shutdown_when_idle=shutdown_when_idle))
            finally:
                loop.run_until_complete(loop.shutdown_asyncgens())

    def _on_signal(self, number):
        if self._context.is_shutdown:
            log('WARNING', 'launch', f'{signal.Signals(number).name} again: waiting for processes to end')
            return
        interrupted = number == signal.SIGINT
        reason = 'user interrupted with ctrl-c (SIGINT)' if interrupted else 'SIGTERM was received'
        log('WARNING' if interrupted else 'INFO', 'launch', reason)
        self._context.emit_event_sync(Shutdown(reason=reason, due_to_sigint=interrupted))

    async def run_async(self, *, shutdown_when_idle=True):
        """The same as a coroutine of `event_loop`, without signal handling."""
        self._task, self._thread = asyncio.current_task(), threading.get_ident()
        events = self._context._events
        try:
            while True:
                event = await self._next_event(events, shutdown_when_idle)
                if event is None:
                    return self._return_code
                self._process(event)
        finally:
            self._task = None

    async def _next_event(self, events, shutdown_when_idle):
        """The next event, None when the launch is over."""
        while events.empty():
            running = [future for future in self._context._futures if not future.done()]
            self._context._futures = running
            if not running and self._context.is_shutdown:
                return None
            if not running and shutdown_when_idle:
                return Shutdown(reason='idle')
            getter = asyncio.ensure_future(events.get())
            await asyncio.wait([getter, *running], return_when=asyncio.FIRST_COMPLETED)
            if getter.done():
                return getter.result()
            getter.cancel()
            await asyncio.sleep(0)  # what a process emitted at its end is queued now
        return events.get_nowait()

    def _process(self, event):
        if isinstance(event, Shutdown):
            if self._context.is_shutdown:
                return
            self._context._shutting_down = True
        for handler in list(self._context._handlers):
            if handler.matches(event):
                try:
                    for entity in handler.handle(event, self._context) or ():
                        self._visit(entity)
                except Exception as error:  # as in launch, what an action raises ends the launch with code 1
                    self._failed(error)

    def _failed(self, error):
        if self._debug:
            traceback.print_exception(error)
        log('ERROR', 'launch', f'Caught exception in launch (see debug for traceback): {error}')
        self._return_code = 1
        self._context.emit_event_sync(Shutdown(reason=f'an action failed: {error}'))

    def _visit(self, entity):
        following = entity.visit(self._context)
        future = entity.get_asyncio_future()
        if future is not None and not isinstance(entity, LaunchDescription):
            self._context.add_completion_future(future)
        for item in following or ():
            self._visit(item)
