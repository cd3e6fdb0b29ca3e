"""System, steady and ROS clocks; a ROS clock follows `/clock` while simulated time is in use."""

from __future__ import annotations

import threading
import time as _time

from ._rclpy_pybind11 import ClockChange, ClockType
from .duration import Duration
from .exceptions import NotInitializedException
from .time import Time

__all__ = ['Clock', 'ClockChange', 'ClockType', 'JumpHandle', 'JumpThreshold', 'ROSClock', 'TimeJump']


class JumpThreshold:
    """Which jumps of time a callback wants to hear of."""

    def __init__(self, *, min_forward: Duration, min_backward: Duration, on_clock_change=True):
        """`min_forward` > 0 and `min_backward` < 0, or None for none of that direction."""
        if min_forward is not None and min_forward.nanoseconds < 0:
            raise ValueError('min_forward must be a positive non-zero duration')
        if min_backward is not None and min_backward.nanoseconds > 0:
            raise ValueError('min_backward must be a negative non-zero duration')
        self.min_forward, self.min_backward, self.on_clock_change = min_forward, min_backward, on_clock_change


class TimeJump:
    """A jump that happened."""

    def __init__(self, clock_change, delta):
        self._clock_change, self._delta = clock_change, delta

    @property
    def clock_change(self):
        """Whether the source of time changed."""
        return self._clock_change

    @property
    def delta(self):
        """New time minus old time."""
        return self._delta


class JumpHandle:
    """A registered pair of callbacks."""

    def __init__(self, *, clock, threshold, pre_callback, post_callback):
        if pre_callback is None and post_callback is None:
            raise ValueError('One of pre_callback or post_callback must be callable')
        self._clock, self._threshold = clock, threshold
        self._pre_callback, self._post_callback = pre_callback, post_callback
        clock._jumps.append(self)

    def unregister(self):
        """Stop the callbacks."""
        if self in self._clock._jumps:
            self._clock._jumps.remove(self)


class Clock:
    """A source of time; `Clock(clock_type=ClockType.ROS_TIME)` is a ROSClock."""

    _clock_type: ClockType
    _jumps: list[JumpHandle]

    def __new__(cls, *, clock_type=ClockType.SYSTEM_TIME):
        if not isinstance(clock_type, ClockType):
            raise TypeError('Clock type must be a ClockType enum')
        self = object.__new__(ROSClock if clock_type is ClockType.ROS_TIME else cls)
        self._clock_type, self._jumps = clock_type, []
        return self

    @property
    def clock_type(self):
        """The kind of clock."""
        return self._clock_type

    def __repr__(self):
        return f'Clock(clock_type={self._clock_type.name})'

    def _now_ns(self) -> int:
        return _time.monotonic_ns() if self._clock_type is ClockType.STEADY_TIME else _time.time_ns()

    def now(self) -> Time:
        """The time now."""
        return Time(nanoseconds=self._now_ns(), clock_type=self._clock_type)

    def create_jump_callback(self, threshold, *, pre_callback=None, post_callback=None):
        """Register callbacks for jumps of time."""
        return JumpHandle(clock=self, threshold=threshold, pre_callback=pre_callback, post_callback=post_callback)

    def sleep_until(self, until: Time, context=None) -> bool:
        """Sleep to a time of this clock; False when shutdown came first. Raises NotInitializedException."""
        from .utilities import get_default_context

        context = get_default_context() if context is None else context
        if not context.ok():
            raise NotInitializedException()
        if until.clock_type != self._clock_type:
            raise ValueError("until's clock type does not match this clock's type")
        ended, changed = threading.Event(), threading.Event()
        context.on_shutdown(lambda: (ended.set(), changed.set()))
        jump = self.create_jump_callback(
            JumpThreshold(min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1)),
            post_callback=lambda _: changed.set())
        try:
            while not ended.is_set():
                remaining = until.nanoseconds - self._now_ns()
                if remaining <= 0:
                    return True
                simulated = isinstance(self, ROSClock) and self.ros_time_is_active
                changed.wait(None if simulated else remaining / 1e9)
                changed.clear()
            return False
        finally:
            jump.unregister()

    def sleep_for(self, rel_time: Duration, context=None) -> bool:
        """Sleep for a length of time of this clock; False when shutdown came first."""
        return self.sleep_until(self.now() + rel_time, context)


class ROSClock(Clock):
    """System time, or what `set_ros_time_override` last said while ROS time is active."""

    _active, _override_ns = False, 0

    def __new__(cls):
        return Clock.__new__(cls, clock_type=ClockType.ROS_TIME)

    def _now_ns(self) -> int:
        return self._override_ns if self._active else _time.time_ns()

    @property
    def ros_time_is_active(self):
        """Whether the time is simulated."""
        return self._active

    def _set_ros_time_is_active(self, enabled):
        if enabled != self._active:
            change = ClockChange.ROS_TIME_ACTIVATED if enabled else ClockChange.ROS_TIME_DEACTIVATED
            self._jump(change, lambda: setattr(self, '_active', enabled))

    def set_ros_time_override(self, time: Time):
        """Set the simulated time."""
        self._jump(ClockChange.ROS_TIME_NO_CHANGE, lambda: setattr(self, '_override_ns', time.nanoseconds))

    def _jump(self, change, apply):
        """Apply a change of time and tell those whose threshold it passes, before and after."""
        if not self._jumps:
            apply()
            return
        before = self._now_ns()
        waiting = list(self._jumps)
        for jump in waiting:
            if jump._pre_callback is not None and change is not ClockChange.ROS_TIME_NO_CHANGE:
                jump._pre_callback()
        apply()
        delta = Duration(nanoseconds=self._now_ns() - before)
        for jump in waiting:
            limit = jump._threshold
            passed = limit.on_clock_change if change is not ClockChange.ROS_TIME_NO_CHANGE else (
                (limit.min_forward is not None and delta >= limit.min_forward)
                or (limit.min_backward is not None and delta <= limit.min_backward))
            if passed and jump._post_callback is not None:
                jump._post_callback(TimeJump(change, delta))
