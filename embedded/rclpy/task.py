"""Futures, and tasks that run a function or coroutine step by step in an executor."""

from __future__ import annotations

import inspect
import sys
import threading
import warnings
import weakref


class Future:
    """A result that will be there later."""

    def __init__(self, *, executor=None):
        self._done = self._cancelled = self._exception_fetched = False
        self._result, self._exception = None, None
        self._callbacks = []
        self._lock = threading.Lock()
        self._executor = None if executor is None else weakref.ref(executor)

    def __del__(self):
        if self._exception is not None and not self._exception_fetched:
            print(f'The following exception was never retrieved: {self._exception}', file=sys.stderr)

    def __await__(self):
        while not self._done:
            yield
        return self.result()

    def cancel(self):
        """Give up; done callbacks run. Has no effect on a future that is done."""
        with self._lock:
            if self._done:
                return
            self._cancelled = self._done = True
        self._run_callbacks()

    def cancelled(self):
        """Whether it was cancelled."""
        return self._cancelled

    def done(self):
        """Whether there is a result, an exception or a cancellation."""
        return self._done

    def result(self):
        """The result, None while there is none; raises the exception if there is one."""
        error = self.exception()
        if error is not None:
            raise error
        return self._result

    def exception(self) -> BaseException | None:
        """The exception, None when there is none."""
        self._exception_fetched = True
        return self._exception

    def set_result(self, result):
        """Finish with a result."""
        with self._lock:
            self._result, self._done, self._cancelled = result, True, False
        self._run_callbacks()

    def set_exception(self, exception):
        """Finish with an exception."""
        with self._lock:
            self._exception, self._exception_fetched, self._done, self._cancelled = exception, False, True, False
        self._run_callbacks()

    def add_done_callback(self, callback):
        """Call `callback(future)` when done, at once when it is done already."""
        with self._lock:
            if not self._done:
                self._callbacks.append(callback)
                return
        self._invoke([callback])

    def _set_executor(self, executor):
        self._executor = weakref.ref(executor)

    def _run_callbacks(self):
        with self._lock:
            callbacks, self._callbacks = self._callbacks, []
        self._invoke(callbacks)

    def _invoke(self, callbacks):
        executor = self._executor() if self._executor is not None else None
        for callback in callbacks:
            if executor is not None:
                executor.create_task(callback, self)
            else:
                try:
                    callback(self)
                except Exception as error:
                    warnings.warn(f'Unhandled exception in done callback: {error}', stacklevel=2)


class Task(Future):
    """A function or coroutine as a future; each call runs it to its end or its next wait."""

    def __init__(self, handler, args=None, kwargs=None, executor=None):
        super().__init__(executor=executor)
        self._handler = handler
        self._args, self._kwargs = args or [], kwargs or {}
        if inspect.iscoroutinefunction(handler):
            self._handler = handler(*self._args, **self._kwargs)
        self._step_lock, self._stepped = threading.Lock(), False

    def __call__(self):
        """Run one step; nothing when another thread runs it or it is done."""
        if self._done or not self._step_lock.acquire(blocking=False):
            return
        try:
            if self._done:
                return
            if inspect.iscoroutine(self._handler):
                try:
                    self._handler.send(None)
                except StopIteration as end:
                    self.set_result(end.value)
            else:
                result = self._handler(*self._args, **self._kwargs)
                if inspect.iscoroutine(result):
                    self._handler = result
                    executor = self._executor() if self._executor is not None else None
                    if executor is not None:
                        executor.wake()
                else:
                    self.set_result(result)
        except Exception as error:
            self.set_exception(error)
        finally:
            self._step_lock.release()

    def executing(self):
        """Whether a step is running."""
        return self._step_lock.locked()

    def cancel(self):
        """Give up; a coroutine is closed unless a step of it is running."""
        if self._step_lock.acquire(blocking=False):
            try:
                if inspect.iscoroutine(self._handler) and not self._done:
                    self._handler.close()
            finally:
                self._step_lock.release()
        super().cancel()
