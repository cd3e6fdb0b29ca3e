"""How long something has been so, for judges: a pure account of times and flickers."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Spell:
    """Since when something holds, and when it was last seen; gaps of up to ``gap_s`` do not break it, because contacts
    flicker."""

    gap_s: float = 0.1
    since_s: float | None = None
    seen_s: float | None = None

    def look(self, holds: bool, time_s: float) -> Spell:
        """The spell after a look at ``time_s``."""
        if holds:
            return replace(self, since_s=time_s if self.since_s is None else self.since_s, seen_s=time_s)
        if self.seen_s is None or time_s - self.seen_s > self.gap_s:
            return Spell(self.gap_s)
        return self

    @property
    def lasts_s(self) -> float:
        """How long it has been so."""
        return 0.0 if self.since_s is None or self.seen_s is None else self.seen_s - self.since_s
