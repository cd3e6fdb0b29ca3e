"""Init and shutdown; a context owns the DDS participant of its nodes."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref

from wbvla_embedded import arguments, dds
from wbvla_embedded.graph import Graph

from ._rclpy_pybind11 import RCLError, UnknownROSArgsError
from .exceptions import NotInitializedException

_contexts: weakref.WeakSet[Context] = weakref.WeakSet()


class Context:
    """Between `init` and `shutdown` nodes can be made."""

    def __init__(self):
        self._lock = threading.RLock()
        self._ok, self._domain_id = False, None
        self._graph: Graph | None = None
        self._arguments = arguments.RosArguments()
        self._callbacks, self._guards = [], weakref.WeakSet()
        self._services = 0  # made so far, for the identities of their endpoints

    def init(self, args=None, *, initialize_logging=True, domain_id=None):
        """Read the arguments (those of the process by default). Raises RuntimeError when called twice."""
        from .logging import LoggingSeverity, set_logger_level

        with self._lock:
            if self._ok:
                raise RuntimeError('Context.init() must only be called once')
            try:
                self._arguments = arguments.parse(sys.argv if args is None else args)
            except arguments.ArgumentError as error:
                raise RCLError(f'failed to parse ROS arguments: {error}') from None
            if self._arguments.unknown:
                raise UnknownROSArgsError(f"unknown ROS arguments: {' '.join(self._arguments.unknown)}")
            self._domain_id = domain_id if domain_id is not None else _domain_from_environment()
            for logger, level in self._arguments.log_levels if initialize_logging else ():
                set_logger_level(logger or '', LoggingSeverity[level])
            self._ok = True
            _contexts.add(self)

    def ok(self):
        """Whether it is between `init` and shutdown."""
        return self._ok

    def get_domain_id(self):
        """The DDS domain; raises NotInitializedException before init."""
        if self._domain_id is None:
            raise NotInitializedException()
        return self._domain_id

    def _join(self) -> Graph:
        """The graph, joined when the first node needs it."""
        with self._lock:
            if not self._ok or self._domain_id is None:
                raise NotInitializedException()
            if self._graph is None:
                try:
                    self._graph = Graph(self._domain_id)
                except dds.DDSError as error:
                    raise RCLError(f'cannot join DDS domain {self._domain_id}: {error}') from None
            return self._graph

    def _invalidate(self):
        """No more work is begun; waits end. The graph stays until `shutdown`, for nodes to be destroyed."""
        with self._lock:
            if not self._ok:
                return
            self._ok = False
            callbacks, self._callbacks = self._callbacks, []
        for guard in list(self._guards):
            guard.set()
        for callback in callbacks:
            callback()

    def shutdown(self):
        """End; raises RuntimeError when it has not begun or has ended already."""
        if not self._ok:
            raise RCLError('failed to shutdown: rcl_shutdown already called on the given context')
        self.try_shutdown()

    def try_shutdown(self):
        """End if that has not happened yet."""
        self._invalidate()
        with self._lock:
            graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()

    def on_shutdown(self, callback):
        """Call when shutdown begins."""
        if not callable(callback):
            raise TypeError('callback should be a callable')
        with self._lock:
            self._callbacks.append(callback)

    def destroy(self):
        """End and free everything."""
        self.try_shutdown()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.try_shutdown()


@atexit.register
def _leave() -> None:
    """DDS threads must be gone before the interpreter is."""
    for context in list(_contexts):
        context.try_shutdown()


def _domain_from_environment() -> int:
    text = os.environ.get('ROS_DOMAIN_ID') or '0'
    if not text.isdigit() or int(text) > 232:
        raise RCLError(f"ROS_DOMAIN_ID is '{text}': it must be a number from 0 to 232")
    return int(text)


def _shutdown_all_by_signal() -> None:
    """End the work of every context; called from the signal thread."""
    for context in list(_contexts):
        context._invalidate()
