"""Simulated time: while a node's `use_sim_time` is true, its clocks follow `/clock`."""

from __future__ import annotations

from rosgraph_msgs.msg import Clock as ClockMsg

from .clock import ROSClock
from .qos import QoSProfile, ReliabilityPolicy
from .time import Time

CLOCK_TOPIC = '/clock'
USE_SIM_TIME_NAME = 'use_sim_time'


class TimeSource:
    """Sets the clocks that are attached to it."""

    def __init__(self, *, node):
        self._node, self._clocks, self._subscription, self._active = node, [], None, False
        self._last = Time(clock_type=ROSClock().clock_type)

    @property
    def ros_time_is_active(self):
        """Whether time is simulated."""
        return self._active

    @ros_time_is_active.setter
    def ros_time_is_active(self, enabled):
        if enabled == self._active:
            return
        self._active = enabled
        for clock in self._clocks:
            clock._set_ros_time_is_active(enabled)
        if enabled:
            self._subscription = self._node.create_subscription(
                ClockMsg, CLOCK_TOPIC, self.clock_callback,
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT))
        elif self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def attach_clock(self, clock):
        """Steer a clock; raises ValueError for one that is not a ROSClock."""
        if not isinstance(clock, ROSClock):
            raise ValueError('Only clocks with type ROS_TIME can be attached.')
        clock.set_ros_time_override(self._last)
        clock._set_ros_time_is_active(self._active)
        self._clocks.append(clock)

    def clock_callback(self, msg):
        """A message of `/clock`."""
        self._last = Time.from_msg(msg.clock)
        for clock in self._clocks:
            clock.set_ros_time_override(self._last)
