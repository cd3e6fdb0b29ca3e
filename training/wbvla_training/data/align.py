"""Samples of many topics at many rates become frames at one rate, by the contract, in one pass.

A frame's time t lies on the grid t0 + i / fps. Pictures are the newest not after t. Measurements
(``observation.*``) are taken at the capture time of the frame's picture, as the VLA node does it live, so
that a frame equals what the model will see on the robot. Everything else, the action above all, is taken at
t. Nothing but the second neighbour of an interpolation may be younger than the time it is taken at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from wbvla_core.contract import Contract, Feature, Part
from wbvla_core.vla_input import state_at

from wbvla_training.data.fields import FieldError, part_values, picture, stamp_reader
from wbvla_training.data.track import BACK_NS, Sample, Track

_NS = 1_000_000_000
# How long after t a sample may arrive and still be used: far above any transport's delay.
SETTLE_NS = 300_000_000
# The grid runs this share of a frame after the first picture, so that a camera's jitter never skips one.
PHASE = 0.25


@dataclass(frozen=True)
class Frame:
    """``time_ns`` on the grid; ``vectors`` by feature; ``pictures`` JPEG by feature; ``stamps_ns`` of the
    samples used and ``received_ns`` by topic key."""

    time_ns: int
    vectors: dict[str, np.ndarray]
    pictures: dict[str, bytes]
    stamps_ns: dict[str, int]
    received_ns: dict[str, int]


@dataclass(frozen=True)
class Gap:
    """No frame could be made at ``time_ns``: the run of frames before it ends here."""

    time_ns: int
    reason: str


@dataclass
class _Missing(Exception):
    reason: str


@dataclass
class Aligner:
    """Feed messages in the order they were received; frames come out as soon as they are certain."""

    contract: Contract
    names: dict[str, str]
    tracks: dict[str, Track] = field(init=False)
    last_missing: str = ""

    def __post_init__(self) -> None:
        keys = {part.topic for feature in self.contract.features.values() for part in feature.parts}
        bounded = {p.topic for f in self.contract.features.values() for p in f.parts if p.max_age_s is not None}
        topics = self.contract.topics
        self.tracks = {
            key: Track(self.names[key], topics[key].type, stamp_reader(topics[key]), key not in bounded)
            for key in sorted(keys)
        }
        self._by_name = {track.name: track for track in self.tracks.values()}
        self._cameras = [f for f in self.contract.features.values() if f.is_video]
        self._vectors = [f for f in self.contract.features.values() if not f.is_video]
        self._period = _NS / self.contract.frame_rate_hz
        self._now = -1
        self._start: int | None = None
        self._index = 0
        self._candidate = 0
        self._held: dict[tuple[str, int], np.ndarray] = {}

    def push(self, topic: str, receive_ns: int, data: bytes) -> Iterator[Frame | Gap]:
        """Take one message of a full topic name; yields what it completes."""
        if self._now >= 0 and receive_ns < self._now - BACK_NS:
            back_s = (self._now - receive_ns) / _NS
            yield from self.finish(f"the recorder's clock jumped back by {back_s:.2f} s")
            for track in self.tracks.values():
                track.restart()
            self._now, self._candidate = receive_ns, 0
        self._now = max(self._now, receive_ns)
        self._by_name[topic].push(data, receive_ns)
        yield from self._advance(self._now - SETTLE_NS)

    def finish(self, reason: str = "the recording ended") -> Iterator[Frame | Gap]:
        """Everything that is still to come."""
        yield from self._advance(self._now)
        if self._start is not None:
            yield Gap(self._now, reason)
        self._start = None

    def _advance(self, until_ns: int) -> Iterator[Frame | Gap]:
        while (time_ns := self._next_time()) is not None and time_ns <= until_ns:
            try:
                frame = self._frame(time_ns)
            except _Missing as missing:
                self.last_missing = missing.reason
                if self._start is not None:
                    yield Gap(time_ns, missing.reason)
                self._start, self._candidate = None, time_ns + 1
                self._forget(time_ns)
                continue
            if self._start is None:
                self._start, self._index = time_ns, 0
            self._index += 1
            yield frame
            self._forget(time_ns)

    def _next_time(self) -> int | None:
        """The grid's next time, or where a new grid may begin: a little after a picture."""
        if self._start is not None:
            return self._start + round(self._index * self._period)
        lead = self._cameras[0].parts[0].topic if self._cameras else self._vectors[0].parts[0].topic
        phase = round(PHASE * self._period) if self._cameras else 0
        sample = self.tracks[lead].first_from(self._candidate - phase)
        return None if sample is None else sample.stamp_ns + phase

    def _forget(self, time_ns: int) -> None:
        oldest = max((p.max_age_s or 0.0 for f in self._cameras for p in f.parts), default=0.0)
        for track in self.tracks.values():
            track.forget_before(time_ns - round(oldest * _NS))

    def _frame(self, time_ns: int) -> Frame:
        pictures: dict[str, bytes] = {}
        vectors: dict[str, np.ndarray] = {}
        stamps: dict[str, int] = {}
        received: dict[str, int] = {}
        seen_ns = time_ns
        for number, feature in enumerate(self._cameras):
            part = feature.parts[0]
            sample, pictures[feature.name] = self._picture(feature, part, time_ns)
            stamps[part.topic], received[part.topic] = sample.stamp_ns, sample.receive_ns
            if number == 0:
                seen_ns = sample.stamp_ns
        for feature in self._vectors:
            at_ns = seen_ns if feature.name.startswith("observation.") else time_ns
            values = []
            for number, part in enumerate(feature.parts):
                row, sample = self._values(feature, number, part, at_ns)
                values.append(row)
                stamps[part.topic], received[part.topic] = sample.stamp_ns, sample.receive_ns
            vectors[feature.name] = np.concatenate(values).astype(feature.dtype)
        return Frame(time_ns, vectors, pictures, stamps, received)

    def _picture(self, feature: Feature, part: Part, time_ns: int) -> tuple[Sample, bytes]:
        track = self.tracks[part.topic]
        while True:
            sample = self._sample(feature, part, time_ns)
            try:
                return sample, picture(sample.decoded(track.type_name), part, feature)
            except FieldError as error:
                track.remove(sample, str(error))

    def _values(self, feature: Feature, number: int, part: Part, at_ns: int) -> tuple[np.ndarray, Sample]:
        track = self.tracks[part.topic]
        while True:
            sample = self._sample(feature, part, at_ns)
            following = track.after(at_ns) if part.alignment == "interpolate" else None
            around = [sample, following] if following is not None and sample.stamp_ns <= at_ns else [sample]
            rows = []
            for one in around:
                try:
                    rows.append((one.stamp_ns, part_values(one.decoded(track.type_name), part, at_ns)))
                except FieldError as error:
                    track.remove(one, str(error))
                    break
            if len(rows) == len(around):
                break
        if part.alignment == "interpolate":
            return state_at(at_ns, rows), sample
        return self._complete(feature, number, part, rows[0][1]), sample

    def _complete(self, feature: Feature, number: int, part: Part, row: np.ndarray) -> np.ndarray:
        """Names that a message leaves out keep their last value."""
        absent = np.isnan(row)
        if absent.any():
            before = self._held.get((feature.name, number))
            if before is None:
                name = part.names[int(np.argmax(absent))]
                raise _Missing(f"{feature.name}: no message on {self.names[part.topic]} has named {name} yet")
            row = np.where(absent, before, row)
        self._held[feature.name, number] = row
        return row

    def _sample(self, feature: Feature, part: Part, at_ns: int) -> Sample:
        track = self.tracks[part.topic]
        sample = track.nearest(at_ns) if part.alignment == "nearest" else track.latest(at_ns)
        if sample is None:
            raise _Missing(f"{feature.name}: nothing on {track.name} yet")
        age_s = abs(at_ns - sample.stamp_ns) / _NS
        if part.max_age_s is not None and age_s > part.max_age_s:
            limit_ms, age_ms = part.max_age_s * 1e3, age_s * 1e3
            raise _Missing(f"{feature.name}: {track.name} silent for {age_ms:.0f} ms, {limit_ms:.0f} ms allowed")
        return sample
