"""Points in time of one of the three kinds of clock."""

from __future__ import annotations

from ._rclpy_pybind11 import ClockType
from .duration import S_TO_NS, Duration

CONVERSION_CONSTANT = S_TO_NS
_MAX = 2**63


class Time:
    """A point in time; only times of the same kind of clock can be compared or subtracted."""

    def __init__(self, *, seconds=0, nanoseconds=0, clock_type: ClockType = ClockType.SYSTEM_TIME):
        """Raises TypeError for a wrong clock type, ValueError for a negative time, OverflowError beyond 63 bits."""
        if not isinstance(clock_type, ClockType):
            raise TypeError('Clock type must be a ClockType enum')
        if seconds < 0:
            raise ValueError('Seconds value must not be negative')
        if nanoseconds < 0:
            raise ValueError('Nanoseconds value must not be negative')
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if total >= _MAX:
            raise OverflowError('Total nanoseconds value is too large to store in C time point.')
        self._ns, self._clock_type = total, clock_type

    @property
    def nanoseconds(self):
        """Nanoseconds since the epoch of the clock."""
        return self._ns

    def seconds_nanoseconds(self):
        """The same as (seconds, nanoseconds)."""
        return divmod(self._ns, S_TO_NS)

    @property
    def clock_type(self):
        """The kind of clock."""
        return self._clock_type

    def __repr__(self):
        return f'Time(nanoseconds={self._ns}, clock_type={self._clock_type.name})'

    def _same_clock(self, other, verb):
        if self._clock_type != other._clock_type:
            raise TypeError(f"Can't {verb} times with different clock types")

    def __add__(self, other):
        if not isinstance(other, Duration):
            return NotImplemented
        try:
            return Time(nanoseconds=self._ns + other.nanoseconds, clock_type=self._clock_type)
        except OverflowError as error:
            raise OverflowError('Addition leads to overflow in C storage.') from error

    def __radd__(self, other):
        return self.__add__(other)

    def __sub__(self, other):
        if isinstance(other, Time):
            self._same_clock(other, 'subtract')
            return Duration(nanoseconds=self._ns - other._ns)
        if isinstance(other, Duration):
            try:
                return Time(nanoseconds=self._ns - other.nanoseconds, clock_type=self._clock_type)
            except ValueError as error:
                raise ValueError('Subtraction leads to negative time') from error
        return NotImplemented

    def __eq__(self, other):
        if not isinstance(other, Time):
            return NotImplemented
        self._same_clock(other, 'compare')
        return self._ns == other._ns

    def __lt__(self, other):
        if not isinstance(other, Time):
            return NotImplemented
        self._same_clock(other, 'compare')
        return self._ns < other._ns

    def __le__(self, other):
        return self < other or self == other

    def __gt__(self, other):
        if not isinstance(other, Time):
            return NotImplemented
        self._same_clock(other, 'compare')
        return self._ns > other._ns

    def __ge__(self, other):
        return self > other or self == other

    def __hash__(self):
        return hash((self._ns, self._clock_type))

    def to_msg(self):
        """As `builtin_interfaces/msg/Time`."""
        from builtin_interfaces.msg import Time as TimeMsg

        seconds, nanoseconds = self.seconds_nanoseconds()
        return TimeMsg(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg, clock_type: ClockType = ClockType.ROS_TIME):
        """From `builtin_interfaces/msg/Time`; raises TypeError for another type."""
        from builtin_interfaces.msg import Time as TimeMsg

        if not isinstance(msg, TimeMsg):
            raise TypeError('Must pass a builtin_interfaces.msg.Time object')
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec, clock_type=clock_type)
