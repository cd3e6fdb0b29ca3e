"""The recent samples of one topic, in the order of their stamps."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wbvla_training.data.fields import FieldError, decode

# A sample whose stamp and receive time are further apart is of another clock.
CLOCKS_AGREE_NS = 5_000_000_000
FUTURE_NS = 50_000_000
BACK_NS = 100_000_000


@dataclass(slots=True)
class Sample:
    """One message; decoded when its values are first wanted."""

    stamp_ns: int
    receive_ns: int
    data: bytes
    message: Any = None

    def decoded(self, type_name: str) -> Any:
        if self.message is None:
            self.message = decode(self.data, type_name)
        return self.message


@dataclass
class Track:
    """Samples of a topic. ``events``: it speaks only when something changes, so its last word holds."""

    name: str
    type_name: str
    stamp_of: Callable[[bytes, int], int]
    events: bool
    faults: Counter[str] = field(default_factory=Counter)
    received: int = 0
    _stamps: list[int] = field(default_factory=list)
    _samples: list[Sample] = field(default_factory=list)

    def push(self, data: bytes, receive_ns: int) -> None:
        """Take a message; one with an impossible stamp is counted in ``faults`` and forgotten."""
        self.received += 1
        try:
            stamp_ns = self.stamp_of(data, receive_ns)
        except FieldError as error:
            self.faults[str(error)] += 1
            return
        if self._stamps and stamp_ns < self._stamps[-1]:
            jumped = stamp_ns < self._stamps[-1] - BACK_NS
            self.faults["is stamped before its predecessor" + (": its clock jumped back" if jumped else "")] += 1
            return
        if not self.events and abs(receive_ns - stamp_ns) > CLOCKS_AGREE_NS:
            self.faults["is stamped by another clock than the recorder's; synchronise the clocks"] += 1
            return
        if stamp_ns - receive_ns > FUTURE_NS:
            self.faults["is stamped in the future"] += 1
            return
        self._stamps.append(stamp_ns)
        self._samples.append(Sample(stamp_ns, receive_ns, data))

    def latest(self, time_ns: int) -> Sample | None:
        """The newest sample not after ``time_ns``."""
        i = bisect_right(self._stamps, time_ns)
        return self._samples[i - 1] if i else None

    def after(self, time_ns: int) -> Sample | None:
        """The first sample after ``time_ns``."""
        i = bisect_right(self._stamps, time_ns)
        return self._samples[i] if i < len(self._samples) else None

    def nearest(self, time_ns: int) -> Sample | None:
        before, after = self.latest(time_ns), self.after(time_ns)
        if before is None or after is None:
            return before or after
        return before if time_ns - before.stamp_ns <= after.stamp_ns - time_ns else after

    def first_from(self, time_ns: int) -> Sample | None:
        """The first sample at or after ``time_ns``."""
        i = bisect_left(self._stamps, time_ns)
        return self._samples[i] if i < len(self._samples) else None

    def remove(self, sample: Sample, fault: str) -> None:
        """Forget a sample that turned out to be unusable."""
        self.faults[fault] += 1
        i = self._samples.index(sample)
        del self._samples[i], self._stamps[i]

    def forget_before(self, time_ns: int) -> None:
        """Drop what no frame from ``time_ns`` on can need: all but the newest sample not after it."""
        i = bisect_right(self._stamps, time_ns) - 1
        if i > 0:
            del self._samples[:i], self._stamps[:i]

    def restart(self) -> None:
        """The clock was set back: of old samples only the last word of an event topic holds on."""
        last = self._samples[-1:] if self.events else []
        self._samples, self._stamps = [], []
        for sample in last:
            self._samples.append(Sample(0, sample.receive_ns, sample.data, sample.message))
            self._stamps.append(0)
