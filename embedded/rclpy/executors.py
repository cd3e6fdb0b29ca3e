"""Executors: wait for what is ready in DDS, in timers and in tasks, and call the callbacks.

Nothing is polled. Entities stay attached to one wait set; one whose callback group is busy is set aside until the
group is free again.
"""

from __future__ import annotations

import inspect
import os
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor

from wbvla_embedded import dds

from .task import Future, Task
from .timer import Timer
from .utilities import get_default_context, timeout_sec_to_nsec


class TimeoutException(Exception):
    """Nothing became ready in time."""


class ShutdownException(Exception):
    """The executor was shut down."""


class ExternalShutdownException(Exception):
    """The context was shut down while the executor waited."""


class ConditionReachedException(Exception):
    """What the wait was for has happened."""


async def await_or_execute(callback, *args):
    """Call a function, or await a coroutine function."""
    return await callback(*args) if inspect.iscoroutinefunction(callback) else callback(*args)


class Executor:
    """Base of the executors: finds what is ready. Subclasses decide which thread runs it."""

    def __init__(self, *, context=None) -> None:
        self._context = get_default_context() if context is None else context
        participant = self._context._join().participant
        self._waitset, self._guard = dds.WaitSet(participant), dds.Guard(participant)
        self._waitset.attach(self._guard.handle, 0)
        self._context._guards.add(self._guard)
        self._lock = threading.RLock()
        self._nodes: set = set()
        self._attached: dict[int, object] = {}  # DDS handle, which is also its number in the wait set -> entity
        self._aside: set[int] = set()
        self._timers: list[Timer] = []
        self._tasks: list[Task] = []
        self._ready: deque = deque()
        self._changed, self._is_shutdown = True, False
        self._progress = False  # whether anything has happened since tasks had their turn

    @property
    def context(self):
        """The context whose shutdown ends the executor."""
        return self._context

    def wake(self) -> None:
        """End a wait, so that what changed is seen."""
        self._guard.set()

    def _entities_changed(self) -> None:
        self._changed = True
        self.wake()

    def add_node(self, node) -> bool:
        """Serve a node; False when it was served already."""
        with self._lock:
            if node in self._nodes:
                return False
            self._nodes.add(node)
        node.executor = self
        self._entities_changed()
        return True

    def remove_node(self, node) -> None:
        """Stop serving a node."""
        with self._lock:
            self._nodes.discard(node)
        self._entities_changed()

    def get_nodes(self):
        """The nodes that are served."""
        with self._lock:
            return list(self._nodes)

    def create_task(self, callback, *args, **kwargs):
        """Run a function or coroutine in the executor; returns its Task."""
        task = Task(callback, args, kwargs, executor=self)
        with self._lock:
            self._tasks.append(task)
        self.wake()
        return task

    def can_execute(self, entity) -> bool:
        """Whether the entity's callback group would let it run now."""
        return entity.callback_group.can_execute(entity)

    def shutdown(self, timeout_sec=None) -> bool:
        """Stop; true unless callbacks were still running at the timeout."""
        self._is_shutdown = True
        self.wake()
        with self._lock:
            for handle in self._attached:
                self._waitset.detach(handle)
            self._attached.clear()
            self._nodes.clear()
        return True

    def _sync(self) -> None:
        """Bring the wait set into line with the entities of the nodes."""
        self._changed = False
        wanted: dict[int, object] = {}
        timers: list[Timer] = []
        with self._lock:
            for node in self._nodes:
                for entity in node._entities():
                    if isinstance(entity, Timer):
                        entity._wake = self.wake
                        timers.append(entity)
                    else:
                        wanted[entity._wait_handle] = entity
            for handle in self._attached.keys() - wanted.keys():
                self._waitset.detach(handle)
            added = {}
            for handle in wanted.keys() - (self._attached.keys() - self._aside):
                try:
                    self._waitset.attach(handle, handle)
                    added[handle] = wanted[handle]
                except dds.DDSError:
                    continue  # destroyed meanwhile; the next round no longer has it
            kept = {handle: wanted[handle] for handle in wanted.keys() & (self._attached.keys() - self._aside)}
            self._attached, self._timers = {**kept, **added}, timers
            self._aside.clear()
            served = {id(entity) for entity in [*wanted.values(), *timers]}
            self._ready = deque(entity for entity in self._ready if id(entity) in served)

    def _next(self, timeout_sec: float | None, until: Future | None = None):
        """(entity, callback, arguments) or a Task that may run now; its group has been claimed.

        None when the timeout has passed, the future is done or the executor was shut down; raises
        ExternalShutdownException when the context was.
        """
        timeout_ns = timeout_sec_to_nsec(timeout_sec)
        deadline = None if timeout_ns < 0 else time.monotonic_ns() + timeout_ns
        while True:
            if until is not None and until.done():
                return None
            if self._is_shutdown:
                return None
            if not self._context.ok():
                raise ExternalShutdownException()
            if self._changed:
                self._sync()
            task = self._runnable_task()
            if task is not None:
                return task
            while self._ready:
                work = self._claim(self._ready.popleft())
                if work is not None:
                    return work
            if self._progress and self._tasks:
                self._rearm_tasks()
                continue
            self._collect(deadline)
            if not self._ready and deadline is not None and time.monotonic_ns() >= deadline \
                    and not self._changed and not (self._progress and self._tasks):
                return None

    def _runnable_task(self):
        """A task that has not been stepped since the last wait."""
        with self._lock:
            if not self._tasks:
                return None
            self._tasks = [task for task in self._tasks if not task.done()]
            for task in self._tasks:
                if not task.executing() and not task._stepped:
                    task._stepped = True
                    return task
        return None

    def _claim(self, entity):
        """Take what is ready, if the group lets it run; an entity whose group is busy is set aside."""
        group = entity.callback_group
        if not group.beginning_execution(entity):
            if entity._wait_handle:
                with self._lock:
                    self._waitset.detach(entity._wait_handle)
                    self._aside.add(entity._wait_handle)
                if group.can_execute(entity):
                    self._changed = True
            return None
        try:
            taken = entity._take()
        except BaseException:
            group.ending_execution(entity)
            raise
        if taken is None:
            self._release(entity)
            return None
        return entity, *taken

    def _release(self, entity) -> None:
        entity.callback_group.ending_execution(entity)
        if self._aside:
            self._changed = True

    def _collect(self, deadline: int | None) -> None:
        """Wait, and queue what is ready: timers first, then the rest as DDS reports it."""
        now = time.monotonic_ns()
        until = deadline
        for timer in self._timers:
            if timer._canceled or not timer.callback_group.can_execute(timer):
                continue
            if timer._simulated:
                if timer.is_ready():
                    until = now
            elif until is None or timer._next < until:
                until = timer._next
        hits = self._waitset.wait(dds.INFINITE if until is None else max(until - now, 0))
        for timer in self._timers:
            if timer.is_ready() and timer.callback_group.can_execute(timer):
                self._ready.append(timer)
        for number in hits:
            if number == 0:
                self._guard.take()
            else:
                entity = self._attached.get(number)
                if entity is not None:
                    self._ready.append(entity)
        self._progress = bool(hits)

    def _rearm_tasks(self) -> None:
        """Let each waiting task look again, since something has happened that it may wait for."""
        self._progress = False
        with self._lock:
            for task in self._tasks:
                task._stepped = False

    def _execute(self, work) -> None:
        """Run one piece of work; exceptions of callbacks leave through here."""
        if isinstance(work, Task):
            work()
            if work.done():
                error = work.exception()
                if error is not None:
                    raise error
                self.wake()  # others may wait for its result
            return
        entity, callback, args = work
        finished = self._progress = True
        try:
            result = callback(*args)
            if inspect.iscoroutine(result):
                finished = False
                self.create_task(self._await, entity, result)
        finally:
            if finished:
                self._release(entity)

    async def _await(self, entity, coroutine) -> None:
        """Run a coroutine callback to its end; its group stays claimed so long."""
        try:
            await coroutine
        finally:
            self._release(entity)
            self.wake()

    def spin(self) -> None:
        """Serve until shutdown; raises ExternalShutdownException when the context was shut down."""
        while self._context.ok() and not self._is_shutdown:
            self.spin_once()

    def spin_until_future_complete(self, future, timeout_sec=None) -> None:
        """Serve until the future is done, the timeout has passed or the context was shut down."""
        deadline = None if timeout_sec is None or timeout_sec < 0 else time.monotonic() + timeout_sec
        future.add_done_callback(lambda _: self.wake())
        while self._context.ok() and not future.done() and not self._is_shutdown:
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                return
            self.spin_once_until_future_complete(future, remaining)

    def spin_once(self, timeout_sec=None) -> None:
        """Run one piece of work, waiting for it up to the timeout (None: forever)."""
        raise NotImplementedError()

    def spin_once_until_future_complete(self, future, timeout_sec=None) -> None:
        """Like `spin_once`, but ends as soon as the future is done."""
        raise NotImplementedError()


class SingleThreadedExecutor(Executor):
    """Runs callbacks one after another in the thread that spins."""

    def __init__(self, *, context=None) -> None:
        super().__init__(context=context)

    def spin_once(self, timeout_sec=None) -> None:
        """Run one piece of work, waiting for it up to the timeout (None: forever)."""
        self.spin_once_until_future_complete(None, timeout_sec)

    def spin_once_until_future_complete(self, future, timeout_sec=None) -> None:
        """Like `spin_once`, but ends as soon as the future is done."""
        work = self._next(timeout_sec, future)
        if work is not None:
            self._execute(work)


class MultiThreadedExecutor(Executor):
    """Runs callbacks in a pool of threads."""

    def __init__(self, num_threads=None, *, context=None) -> None:
        super().__init__(context=context)
        self._pool = ThreadPoolExecutor(num_threads or max(os.cpu_count() or 1, 2), thread_name_prefix='rclpy')
        self._errors: deque = deque()

    def spin_once(self, timeout_sec=None) -> None:
        """Hand one piece of work to the pool, waiting for it up to the timeout (None: forever).

        Raises what an earlier piece raised.
        """
        self.spin_once_until_future_complete(None, timeout_sec)

    def spin_once_until_future_complete(self, future, timeout_sec=None) -> None:
        """Like `spin_once`, but ends as soon as the future is done."""
        if self._errors:
            raise self._errors.popleft()
        work = self._next(timeout_sec, future)
        if work is not None:
            self._pool.submit(self._run, work)

    def _run(self, work) -> None:
        try:
            self._execute(work)
        except BaseException as error:  # raised again by the thread that spins
            self._errors.append(error)
        self.wake()

    def shutdown(self, timeout_sec=None) -> bool:
        """Stop and wait for the callbacks that run."""
        super().shutdown(timeout_sec)
        self._pool.shutdown(wait=timeout_sec is None)
        return True


__all__ = ['ConditionReachedException', 'Executor', 'ExternalShutdownException', 'MultiThreadedExecutor',
           'ShutdownException', 'SingleThreadedExecutor', 'TimeoutException', 'await_or_execute']
