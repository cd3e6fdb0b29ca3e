"""Things that a lifecycle node switches with its state."""

from __future__ import annotations

import functools

from .._rclpy_pybind11 import TransitionCallbackReturnType


class ManagedEntity:
    """Callbacks of the transitions; each does nothing and succeeds unless overridden."""

    def on_configure(self, state) -> TransitionCallbackReturnType:
        """Handle configuring."""
        return TransitionCallbackReturnType.SUCCESS

    def on_cleanup(self, state) -> TransitionCallbackReturnType:
        """Handle cleaning up."""
        return TransitionCallbackReturnType.SUCCESS

    def on_shutdown(self, state) -> TransitionCallbackReturnType:
        """Handle shutting down."""
        return TransitionCallbackReturnType.SUCCESS

    def on_activate(self, state) -> TransitionCallbackReturnType:
        """Handle activating."""
        return TransitionCallbackReturnType.SUCCESS

    def on_deactivate(self, state) -> TransitionCallbackReturnType:
        """Handle deactivating."""
        return TransitionCallbackReturnType.SUCCESS

    def on_error(self, state) -> TransitionCallbackReturnType:
        """Handle an error in another transition."""
        return TransitionCallbackReturnType.SUCCESS


class SimpleManagedEntity(ManagedEntity):
    """Enabled from activate to deactivate."""

    def __init__(self):
        self._enabled = False

    def on_activate(self, state) -> TransitionCallbackReturnType:
        """Enable."""
        self._enabled = True
        return TransitionCallbackReturnType.SUCCESS

    def on_deactivate(self, state) -> TransitionCallbackReturnType:
        """Disable."""
        self._enabled = False
        return TransitionCallbackReturnType.SUCCESS

    @property
    def is_activated(self):
        """Whether it is enabled."""
        return self._enabled

    @staticmethod
    def when_enabled(wrapped=None, *, when_not_enabled=None):
        """Decorator: call the method only while enabled, else `when_not_enabled`."""
        if wrapped is None:
            return functools.partial(SimpleManagedEntity.when_enabled, when_not_enabled=when_not_enabled)

        @functools.wraps(wrapped)
        def only_when_enabled(self, *args, **kwargs):
            if not self._enabled:
                return None if when_not_enabled is None else when_not_enabled()
            return wrapped(self, *args, **kwargs)

        return only_when_enabled
