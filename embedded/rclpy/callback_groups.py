"""Which callbacks of a node may run at the same time."""

from __future__ import annotations

import threading
import weakref


class CallbackGroup:
    """Base of the groups: knows its entities, decides nothing."""

    def __init__(self) -> None:
        self.entities = weakref.WeakSet()

    def add_entity(self, entity) -> None:
        """Make an entity a member."""
        self.entities.add(entity)

    def has_entity(self, entity) -> bool:
        """Whether an entity is a member."""
        return entity in self.entities

    def can_execute(self, entity) -> bool:
        """Whether a callback of the entity could begin now."""
        raise NotImplementedError()

    def beginning_execution(self, entity) -> bool:
        """Claim the right to run; False when it is not granted."""
        raise NotImplementedError()

    def ending_execution(self, entity) -> None:
        """Give the right back."""
        raise NotImplementedError()


class ReentrantCallbackGroup(CallbackGroup):
    """All callbacks may run at once."""

    def can_execute(self, entity):
        """Always."""
        return True

    def beginning_execution(self, entity):
        """Always granted."""
        return True

    def ending_execution(self, entity):
        """Nothing to give back."""


class MutuallyExclusiveCallbackGroup(CallbackGroup):
    """One callback at a time."""

    def __init__(self):
        super().__init__()
        self._active_entity = None
        self._lock = threading.Lock()

    def can_execute(self, entity):
        """True while none runs."""
        return self._active_entity is None

    def beginning_execution(self, entity):
        """Granted to the first that asks."""
        with self._lock:
            if self._active_entity is None:
                self._active_entity = entity
                return True
            return False

    def ending_execution(self, entity):
        """Let the next one run."""
        with self._lock:
            assert self._active_entity is entity
            self._active_entity = None
