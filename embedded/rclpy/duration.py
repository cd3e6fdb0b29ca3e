"""Lengths of time in nanoseconds."""

from __future__ import annotations

S_TO_NS = 1000 * 1000 * 1000
_MAX = 2**63


class Duration:
    """A signed length of time."""

    def __init__(self, *, seconds=0, nanoseconds=0):
        """Raises OverflowError beyond 64 bits of nanoseconds."""
        total = int(seconds * S_TO_NS) + int(nanoseconds)
        if not -_MAX <= total < _MAX:
            raise OverflowError('Total nanoseconds value is too large to store in C duration.')
        self._ns = total

    @property
    def nanoseconds(self):
        """The length in ns."""
        return self._ns

    def __repr__(self):
        return f'Duration(nanoseconds={self._ns})'

    def __str__(self):
        return 'Infinite' if self == Infinite else f'{self._ns} nanoseconds'

    def __eq__(self, other):
        return self._ns == other._ns if isinstance(other, Duration) else NotImplemented

    def __lt__(self, other):
        return self._ns < other._ns if isinstance(other, Duration) else NotImplemented

    def __le__(self, other):
        return self._ns <= other._ns if isinstance(other, Duration) else NotImplemented

    def __gt__(self, other):
        return self._ns > other._ns if isinstance(other, Duration) else NotImplemented

    def __ge__(self, other):
        return self._ns >= other._ns if isinstance(other, Duration) else NotImplemented

    def __hash__(self):
        return hash(self._ns)

    def to_msg(self):
        """As `builtin_interfaces/msg/Duration`."""
        from builtin_interfaces.msg import Duration as DurationMsg

        seconds, nanoseconds = divmod(self._ns, S_TO_NS)
        return DurationMsg(sec=seconds, nanosec=nanoseconds)

    @classmethod
    def from_msg(cls, msg):
        """From `builtin_interfaces/msg/Duration`; raises TypeError for another type."""
        from builtin_interfaces.msg import Duration as DurationMsg

        if not isinstance(msg, DurationMsg):
            raise TypeError('Must pass a builtin_interfaces.msg.Duration object')
        return cls(seconds=msg.sec, nanoseconds=msg.nanosec)


Infinite = Duration(nanoseconds=9223372036854775807)
