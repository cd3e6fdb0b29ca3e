"""Loggers by name, and their levels."""

from __future__ import annotations

import os
from pathlib import Path

from .impl.rcutils_logger import LoggingSeverity, RcutilsLogger, _effective_level, _levels

__all__ = ['LoggingSeverity', 'clear_config', 'get_logger', 'get_logger_effective_level', 'get_logging_directory',
           'get_logging_severity_from_string', 'initialize', 'set_logger_level', 'shutdown']


def get_logger(name):
    """The logger of that name; raises ValueError for an empty name."""
    if not name:
        raise ValueError('Logger name must not be empty.')
    return RcutilsLogger(name)


def initialize():
    """Begin with default levels."""
    clear_config()


def shutdown():
    """Forget all levels."""
    clear_config()


def clear_config():
    """Forget all levels."""
    _levels.clear()


def set_logger_level(name, level):
    """Show messages of a logger from this severity on; the empty name is the root."""
    _levels[name] = LoggingSeverity(level)


def get_logger_effective_level(name):
    """The level that applies to a logger."""
    return _effective_level(name)


def get_logging_severity_from_string(log_severity):
    """The severity of that name; raises RuntimeError for an unknown one."""
    try:
        return LoggingSeverity[log_severity.upper()]
    except KeyError:
        raise RuntimeError(f"failed to get severity from '{log_severity}'") from None


def get_logging_directory() -> Path:
    """Where log files belong: ROS_LOG_DIR, else log/ in ROS_HOME or ~/.ros."""
    if os.environ.get('ROS_LOG_DIR'):
        return Path(os.environ['ROS_LOG_DIR']).expanduser()
    return Path(os.environ.get('ROS_HOME') or '~/.ros').expanduser() / 'log'
