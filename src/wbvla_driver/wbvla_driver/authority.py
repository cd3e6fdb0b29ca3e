"""Who may command: one source at a time, numbered sessions, and streams whose messages only count up."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from wbvla_core.timing import NS_PER_MS
from wbvla_core.types import Reason, Source


class Stream(enum.Enum):
    """The two command streams of a source."""

    ARM = "arm_target"
    LOCO = "loco_command"


@dataclass
class _Track:
    sequence: int
    seen_ns: int


class AuthorityMux:
    """Grants authority and tells good messages from void ones.

    A message counts when its source has authority, when it carries the present session, and when its sequence
    is above the last one of its stream. A stream that went stale may begin to count anew (its node was
    restarted); before that, a lower number means that two nodes publish on one topic.
    """

    def __init__(self, stale_ms: float) -> None:
        self._stale_ns = int(stale_ms * NS_PER_MS)
        self.source = Source.NONE
        self.session = 1
        self._tracks: dict[Stream, _Track] = {}

    def grant(self, source: Source) -> int:
        """Give authority to ``source``; returns the session that its messages must carry."""
        if source != self.source:
            self.source = source
            self.renew()
        return self.session

    def renew(self) -> int:
        """Begin a new session for the same source: what carries the old number is void."""
        self.session = (self.session + 1) % 2**32
        self._tracks.clear()
        return self.session

    def check(
        self, stream: Stream, source: Source, session: int, sequence: int, now_ns: int
    ) -> tuple[Reason, str]:
        """NONE when the message may command, else why not."""
        if source != self.source or source == Source.NONE:
            return Reason.NO_AUTHORITY, f"{source.name} has no authority ({self.source.name} has)"
        if session != self.session:
            return Reason.NO_AUTHORITY, f"session {session} is not {self.session}"
        track = self._tracks.get(stream)
        if track is not None and sequence <= track.sequence and now_ns - track.seen_ns <= self._stale_ns:
            return Reason.SECOND_PUBLISHER, f"sequence {sequence} after {track.sequence}"
        return Reason.NONE, ""

    def mark(self, stream: Stream, sequence: int, now_ns: int) -> None:
        """A good message came."""
        self._tracks[stream] = _Track(sequence, now_ns)

    def silent(self, now_ns: int) -> bool:
        """Whether the source had begun and all its streams are stale."""
        tracks = self._tracks.values()
        return bool(tracks) and all(now_ns - track.seen_ns > self._stale_ns for track in tracks)

    def age_ns(self, now_ns: int) -> int | None:
        """Age of the oldest stream that the source has begun in this session; None when it has begun none."""
        if not self._tracks:
            return None
        return now_ns - min(track.seen_ns for track in self._tracks.values())
