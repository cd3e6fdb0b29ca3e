"""Loggers that print like ROS 2's console, with filters that are kept for each place of a call."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Callable
from enum import IntEnum

_DEFAULT_FORMAT = '[{severity}] [{time}] [{name}]: {message}'
_COLORS = {10: '\033[32m', 30: '\033[33m', 40: '\033[31m', 50: '\033[31m'}
_levels: dict[str, int] = {}
_sinks: dict[str, Callable[..., None]] = {}  # logger name -> called with (severity, name, message, call site, ns)
_lock = threading.Lock()


class LoggingSeverity(IntEnum):
    """How serious a message is."""

    UNSET = 0
    DEBUG = 10
    INFO = 20
    WARN = 30
    ERROR = 40
    FATAL = 50


def _effective_level(name: str) -> LoggingSeverity:
    """Level of a logger: its own, else that of the nearest ancestor, else INFO."""
    while True:
        level = _levels.get(name, 0)
        if level or not name:
            return LoggingSeverity(level or LoggingSeverity.INFO)
        name = name.rpartition('.')[0]


class _Site:
    """Where a logger was called, and what its filters remember."""

    __slots__ = ('last_ns', 'once', 'skipped')

    def __init__(self) -> None:
        self.once, self.skipped, self.last_ns = False, False, None

    def allows(self, once: bool, skip_first: bool, throttle_duration_sec: float | None, clock) -> bool:
        """Whether the message of this call is to be shown."""
        if once:
            if self.once:
                return False
            self.once = True
        if skip_first and not self.skipped:
            self.skipped = True
            return False
        if throttle_duration_sec is not None:
            now = time.monotonic_ns() if clock is None else clock.now().nanoseconds
            if self.last_ns is not None and 0 <= now - self.last_ns < throttle_duration_sec * 1e9:
                return False
            self.last_ns = now
        return True


_sites: dict[tuple[str, int, str], _Site] = {}


class RcutilsLogger:
    """A named logger; children are `name.child`."""

    def __init__(self, name=''):
        self.name = name

    def get_child(self, name):
        """The logger below this one; raises ValueError for an empty name."""
        if not name:
            raise ValueError('Child logger name must not be empty.')
        return RcutilsLogger(f'{self.name}.{name}' if self.name else name)

    def set_level(self, level):
        """Show messages of this severity and above."""
        _levels[self.name] = LoggingSeverity(level)

    def get_effective_level(self):
        """The level that applies here."""
        return _effective_level(self.name)

    def is_enabled_for(self, severity):
        """Whether a message of this severity is shown."""
        return severity >= _effective_level(self.name)

    def log(self, message, severity, **kwargs):
        """Print; `once`, `skip_first`, `throttle_duration_sec` (with `throttle_time_source_type`) filter it.

        Returns whether the message was shown. Raises TypeError for another keyword, as a misspelt filter is.
        """
        return self._log(message, LoggingSeverity(severity), kwargs)

    def _log(self, message, severity, filters):
        name = filters.pop('name', self.name) if filters else self.name
        if severity < _effective_level(name):
            return False
        frame = sys._getframe(2)
        site = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
        if filters:
            wanted = {'once': False, 'skip_first': False, 'throttle_duration_sec': None,
                      'throttle_time_source_type': None}
            if filters.keys() - wanted.keys():
                raise TypeError(f'unknown logging options: {sorted(filters.keys() - wanted.keys())}')
            wanted.update(filters)
            with _lock:
                state = _sites.setdefault(site, _Site())
                if not state.allows(*wanted.values()):
                    return False
        _emit(severity, name, str(message), site)
        return True

    def debug(self, message, **kwargs):
        """Log with severity DEBUG."""
        return self._log(message, LoggingSeverity.DEBUG, kwargs)

    def info(self, message, **kwargs):
        """Log with severity INFO."""
        return self._log(message, LoggingSeverity.INFO, kwargs)

    def warning(self, message, **kwargs):
        """Log with severity WARN."""
        return self._log(message, LoggingSeverity.WARN, kwargs)

    def warn(self, message, **kwargs):
        """Log with severity WARN."""
        return self._log(message, LoggingSeverity.WARN, kwargs)

    def error(self, message, **kwargs):
        """Log with severity ERROR."""
        return self._log(message, LoggingSeverity.ERROR, kwargs)

    def fatal(self, message, **kwargs):
        """Log with severity FATAL."""
        return self._log(message, LoggingSeverity.FATAL, kwargs)


def _emit(severity, name, message, site):
    now = time.time_ns()
    layout = os.environ.get('RCUTILS_CONSOLE_OUTPUT_FORMAT', _DEFAULT_FORMAT)
    values = {'severity': severity.name, 'time': f'{now // 10**9}.{now % 10**9:09d}', 'name': name or 'root',
              'message': message, 'file_name': site[0], 'line_number': str(site[1]), 'function_name': site[2],
              'time_as_nanoseconds': str(now)}
    for key, value in values.items():
        if key != 'message':
            layout = layout.replace('{' + key + '}', value)
    text = layout.replace('{message}', message)
    color = _COLORS.get(int(severity)) if sys.stderr is not None and sys.stderr.isatty() else None
    # When nobody reads the console any more, that must not stop a controller.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        print(f'{color}{text}\033[0m' if color else text, file=sys.stderr, flush=True)
    sink = _sinks.get(name) or _sinks.get(name.split('.')[0])
    if sink is not None:
        sink(severity, name, message, site, now)
