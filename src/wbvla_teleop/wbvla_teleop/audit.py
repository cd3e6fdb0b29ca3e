"""Watches the recorded topics while an episode runs: rates, gaps, drops and skew. Pure; times are
arguments."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

SKEW_ALARM_MS = 50.0
# Below this share of the contract's rate a topic raises an alarm; a gap is this many expected periods of
# silence.
_LOW_RATE = 0.8
_GAP_PERIODS = 5.0


@dataclass
class TopicAudit:
    """What was seen of one topic since the episode began. ``expected_hz`` 0: no rate is promised."""

    expected_hz: float
    count: int = 0
    first_ns: int = 0
    last_ns: int = 0
    gaps: int = 0
    longest_gap_ms: float = 0.0
    missing: int = 0
    lost: int = 0
    last_sequence: int | None = None

    @property
    def dropped(self) -> int:
        """Messages published but not received: what sequence numbers miss, or what the middleware said it
        lost."""
        return max(self.missing, self.lost)

    def rate_hz(self) -> float:
        """Mean rate between the first and the last message [Hz]; 0 before the second."""
        span = self.last_ns - self.first_ns
        return (self.count - 1) * 1e9 / span if self.count > 1 and span > 0 else 0.0

    def saw(self, receive_ns: int, sequence: int | None) -> None:
        if self.count == 0:
            self.first_ns = receive_ns
        else:
            gap_ms = (receive_ns - self.last_ns) / 1e6
            self.longest_gap_ms = max(self.longest_gap_ms, gap_ms)
            if self.expected_hz and gap_ms > _GAP_PERIODS * 1000.0 / self.expected_hz:
                self.gaps += 1
        if sequence is not None:
            # A smaller number is a new session or publisher, which begins its own count.
            if self.last_sequence is not None and sequence > self.last_sequence:
                self.missing += sequence - self.last_sequence - 1
            self.last_sequence = sequence
        self.count += 1
        self.last_ns = receive_ns


@dataclass
class _Skew:
    """Arm targets against the nearest locomotion command of the same source."""

    arm_stamps: deque[int] = field(default_factory=lambda: deque(maxlen=64))
    loco_stamps: deque[int] = field(default_factory=lambda: deque(maxlen=64))

    def worst_ms(self) -> float:
        """Largest distance [ms] over recent arm targets that have a later locomotion command; 0 without
        any."""
        # Copies, because the writer's thread adds stamps while another one asks.
        arms, locos = tuple(self.arm_stamps), tuple(self.loco_stamps)
        if not arms or not locos:
            return 0.0
        oldest, newest = locos[0], locos[-1]
        distances = [min(abs(arm - loco) for loco in locos) for arm in arms if oldest <= arm <= newest]
        return max(distances, default=0) / 1e6


class Audit:
    """Rates, gaps, drops by topic, and the skew of each (arm topic, locomotion topic) pair."""

    def __init__(self, expected_hz: dict[str, float], pairs: Iterable[tuple[str, str]] = ()) -> None:
        self.topics = {name: TopicAudit(rate) for name, rate in expected_hz.items()}
        self._skews: dict[tuple[str, str], _Skew] = {pair: _Skew() for pair in pairs}

    def saw(self, topic: str, receive_ns: int, stamp_ns: int | None, sequence: int | None) -> None:
        """One message of ``topic`` with its own stamp and sequence number where it has them."""
        self.topics[topic].saw(receive_ns, sequence)
        if stamp_ns is None:
            return
        for (arm, loco), skew in self._skews.items():
            if topic == arm:
                skew.arm_stamps.append(stamp_ns)
            elif topic == loco:
                skew.loco_stamps.append(stamp_ns)

    def lost(self, topic: str, total: int) -> None:
        """The middleware's own count of lost samples of ``topic`` since the subscription was made."""
        self.topics[topic].lost = total

    @property
    def dropped(self) -> int:
        return sum(topic.dropped for topic in self.topics.values())

    @property
    def skew_ms(self) -> float:
        return max((skew.worst_ms() for skew in self._skews.values()), default=0.0)

    def alarms(self, now_ns: int) -> list[str]:
        """One sentence for each thing that makes the episode doubtful."""
        found = []
        for name, topic in self.topics.items():
            if topic.dropped:
                found.append(f"{name}: {topic.dropped} messages were published but not received")
            if not topic.expected_hz or topic.count < 2:
                continue
            silence_ms = (now_ns - topic.last_ns) / 1e6
            if silence_ms > max(500.0, _GAP_PERIODS * 1000.0 / topic.expected_hz):
                found.append(f"{name}: silent for {silence_ms:.0f} ms")
            elif now_ns - topic.first_ns > 2_000_000_000 and topic.rate_hz() < _LOW_RATE * topic.expected_hz:
                found.append(
                    f"{name}: {topic.rate_hz():.1f} Hz, the contract promises {topic.expected_hz:.1f} Hz"
                )
            if topic.gaps:
                found.append(f"{name}: {topic.gaps} gaps, the longest {topic.longest_gap_ms:.0f} ms")
        if self.skew_ms > SKEW_ALARM_MS:
            found.append(f"arm target and locomotion command are {self.skew_ms:.0f} ms apart")
        return found

    def summary(self) -> dict[str, dict[str, float]]:
        """Figures by topic for the bag's metadata."""
        return {
            name: {
                "count": topic.count,
                "rate_hz": round(topic.rate_hz(), 3),
                "expected_hz": topic.expected_hz,
                "gaps": topic.gaps,
                "longest_gap_ms": round(topic.longest_gap_ms, 3),
                "dropped": topic.dropped,
            }
            for name, topic in self.topics.items()
        }
