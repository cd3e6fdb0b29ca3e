"""Timers with an absolute grid: a late call does not shift those after it."""

from __future__ import annotations

import time

from .clock import ClockChange, JumpThreshold, ROSClock
from .duration import Duration
from .utilities import get_default_context


class Timer:
    """Made by `Node.create_timer`. While time is not simulated, calls are due on the monotonic clock."""

    _wait_handle = 0

    def __init__(self, callback, callback_group, timer_period_ns, clock, *, context=None):
        if int(timer_period_ns) < 0:
            raise ValueError('timer period must not be negative')
        self._context = get_default_context() if context is None else context
        self._clock, self._period, self._canceled = clock, int(timer_period_ns), False
        self.callback, self.callback_group = callback, callback_group
        self._wake = lambda: None  # set by the executor that has the timer
        self._jump = None
        if isinstance(clock, ROSClock):
            self._jump = clock.create_jump_callback(
                JumpThreshold(min_forward=Duration(nanoseconds=1), min_backward=Duration(nanoseconds=-1)),
                post_callback=self._on_jump)
        self.reset()

    @property
    def _simulated(self):
        """Whether it follows simulated time."""
        return isinstance(self._clock, ROSClock) and self._clock.ros_time_is_active

    def _now(self):
        return self._clock.now().nanoseconds if self._simulated else time.monotonic_ns()

    def _on_jump(self, jump):
        # A new source of time, time that ran back, or the first time of a clock that was not set: a period from now.
        first = jump.delta.nanoseconds == self._clock.now().nanoseconds
        if first or jump.clock_change is not ClockChange.ROS_TIME_NO_CHANGE or jump.delta.nanoseconds < 0:
            self._last = self._now()
            self._next = self._last + self._period
        self._wake()

    @property
    def clock(self):
        """The clock that it was made with."""
        return self._clock

    @property
    def timer_period_ns(self):
        """The period in ns."""
        return self._period

    @timer_period_ns.setter
    def timer_period_ns(self, value):
        self._period = int(value)
        self._wake()

    def is_ready(self):
        """Whether a call is due."""
        return not self._canceled and self._now() >= self._next

    def is_canceled(self):
        """Whether it was cancelled."""
        return self._canceled

    def cancel(self):
        """Stop calling."""
        self._canceled = True

    def reset(self):
        """Begin a new period now, also after `cancel`."""
        self._last = self._now()
        self._next, self._canceled = self._last + self._period, False
        self._wake()

    def time_since_last_call(self):
        """In ns."""
        return self._now() - self._last

    def time_until_next_call(self):
        """In ns, negative when overdue, None when cancelled."""
        return None if self._canceled else self._next - self._now()

    def _take(self):
        now = self._now()
        if self._canceled or now < self._next:
            return None
        self._last = now
        self._next += self._period
        if self._next < now:
            self._next = now if self._period == 0 else \
                self._next + (1 + (now - self._next - 1) // self._period) * self._period
        return self.callback, ()

    def destroy(self):
        """Stop for good."""
        self._canceled = True
        if self._jump is not None:
            self._jump.unregister()
