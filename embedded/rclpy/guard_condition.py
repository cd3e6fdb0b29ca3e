"""A callback that any thread can ask an executor to run."""

from __future__ import annotations

from wbvla_embedded import dds

from .utilities import get_default_context


class GuardCondition:
    """Made by `Node.create_guard_condition`."""

    def __init__(self, callback, callback_group, context=None):
        self._context = get_default_context() if context is None else context
        self._guard = dds.Guard(self._context._join().participant)
        self._wait_handle = self._guard.handle
        self.callback, self.callback_group = callback, callback_group

    def trigger(self):
        """Have the callback run once."""
        self._guard.set()

    def _take(self):
        return (self.callback, ()) if self._guard.take() else None

    def destroy(self):
        """Free it."""
        dds.delete(self._wait_handle)
