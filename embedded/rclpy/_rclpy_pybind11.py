"""Enumerations and errors that Humble's rclpy takes from its extension module."""

from __future__ import annotations

from collections import namedtuple
from enum import Enum, IntEnum


class RCLError(RuntimeError):
    """A call that the middleware refused."""


class InvalidHandle(RuntimeError):
    """Use of an entity after it was destroyed."""


class UnknownROSArgsError(RuntimeError):
    """Arguments after `--ros-args` that mean nothing."""


class ClockType(IntEnum):
    """Kinds of clocks."""

    UNINITIALIZED = 0
    ROS_TIME = 1
    SYSTEM_TIME = 2
    STEADY_TIME = 3


class ClockChange(IntEnum):
    """Why the time of a clock jumped."""

    ROS_TIME_NO_CHANGE = 1
    ROS_TIME_ACTIVATED = 2
    ROS_TIME_DEACTIVATED = 3
    SYSTEM_TIME_NO_CHANGE = 4


class SignalHandlerOptions(Enum):
    """Which signals `rclpy.init` handles."""

    NO = 0
    SIGINT = 1
    SIGTERM = 2
    ALL = 3


class TransitionCallbackReturnType(Enum):
    """Outcome of a lifecycle transition callback."""

    SUCCESS = 97
    FAILURE = 98
    ERROR = 99


QoSOfferedDeadlineMissedInfo = QoSRequestedDeadlineMissedInfo = namedtuple(
    'QoSDeadlineMissedInfo', ('total_count', 'total_count_change'))
QoSLivelinessLostInfo = namedtuple('QoSLivelinessLostInfo', ('total_count', 'total_count_change'))
QoSMessageLostInfo = namedtuple('QoSMessageLostInfo', ('total_count', 'total_count_change'))
QoSLivelinessChangedInfo = namedtuple('QoSLivelinessChangedInfo', (
    'alive_count', 'not_alive_count', 'alive_count_change', 'not_alive_count_change'))
QoSOfferedIncompatibleQoSInfo = QoSRequestedIncompatibleQoSInfo = namedtuple(
    'QoSIncompatibleQoSInfo', ('total_count', 'total_count_change', 'last_policy_kind'))
