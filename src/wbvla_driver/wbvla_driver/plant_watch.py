"""Does the plant do what it is told? Its own watchdog may have damped the robot while this process slept."""

from __future__ import annotations

from wbvla_core.timing import NS_PER_MS
from wbvla_core.types import PlantReading, PlantState


class PlantWatch:
    """Compares what was commanded with what the plant reports."""

    def __init__(self, obeys_ms: float) -> None:
        self._patience_ns = int(obeys_ms * NS_PER_MS)
        self._trips = 0
        self._since_ns: int | None = None

    def start(self, reading: PlantReading | None) -> None:
        """From now on the plant is told to be active; earlier trips of its watchdog do not count."""
        self._trips = 0 if reading is None else reading.watchdog_trips
        self._since_ns = None

    def fault(self, reading: PlantReading, now_ns: int) -> str | None:
        """Why the robot must be damped, or None. Call with each new reading while commanding it to be
        active."""
        if reading.watchdog_trips > self._trips:
            return "the plant's watchdog damped the robot: no command reached it in time"
        if reading.plant_state == PlantState.ACTIVE:
            self._since_ns = None
        elif self._since_ns is None:
            self._since_ns = now_ns
        elif now_ns - self._since_ns > self._patience_ns:
            return f"the plant stays {reading.plant_state.name} although it is told to be active"
        return None
