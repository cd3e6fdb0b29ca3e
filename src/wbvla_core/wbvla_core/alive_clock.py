"""The time during which a control loop was awake, for the ages by which it judges others."""

from __future__ import annotations


class AliveClock:
    """Monotonic time less the pauses of the whole machine.

    When a machine stops for a moment (a hypervisor, a suspend, a page storm), every process on it stops: on waking, a
    loop would find all its inputs old at once although nobody failed. A gap between two ticks from ``pause_ns`` up to
    ``limit_ns`` therefore counts as one period. A longer one counts in full: then the loop itself was hung, and whoever
    watches it has acted. Raises ValueError unless period < pause < limit.
    """

    def __init__(self, period_ns: int, pause_ns: int, limit_ns: int) -> None:
        if not 0 < period_ns < pause_ns < limit_ns:
            raise ValueError(
                f"needs 0 < period < pause < limit, got {period_ns}, {pause_ns} and {limit_ns} ns"
            )
        self._period_ns, self._pause_ns, self._limit_ns = period_ns, pause_ns, limit_ns
        self._last_ns: int | None = None
        self.forgiven_ns = 0
        self.pauses = 0

    def tick(self, raw_ns: int) -> int:
        """Awake time [ns] of a tick that begins at ``raw_ns``."""
        gap_ns = 0 if self._last_ns is None else raw_ns - self._last_ns
        self._last_ns = raw_ns
        if self._pause_ns <= gap_ns <= self._limit_ns:
            self.forgiven_ns += gap_ns - self._period_ns
            self.pauses += 1
        return raw_ns - self.forgiven_ns

    def at(self, raw_ns: int) -> int:
        """Awake time [ns] of another instant after the last tick."""
        return raw_ns - self.forgiven_ns
