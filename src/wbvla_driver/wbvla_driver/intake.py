"""Messages come in here: the fit ones are kept for the next tick, the others are dropped, counted and told
of."""

from __future__ import annotations

from collections.abc import Callable, Collection

from wbvla_core.timing import NS_PER_MS
from wbvla_core.types import ArmTarget, LegWaistCommand, LocoCommand, Reason, Source

from wbvla_driver.authority import AuthorityMux, Stream
from wbvla_driver.checks import check_arm_target, check_leg_waist, check_loco_command
from wbvla_driver.config import DriverConfig
from wbvla_driver.legs import LegRoom

Tell = Callable[[Reason, str, str, int], None]
"""(reason, topic, sentence, now_ns)"""


class CommandIntake:
    """Checks authority, session, order, stamps and contents of commands. Holds what the next tick obeys."""

    # Left arm, right arm, head and grippers may come as chunks of their own; more than this within one tick
    # is a flood.
    MAX_CHUNKS = 8

    def __init__(self, config: DriverConfig, upper_names: Collection[str], legs: LegRoom, tell: Tell) -> None:
        self._config = config
        self._upper_names = frozenset(upper_names)
        self._legs = legs
        self._tell = tell
        self._lmo_stale_ns = int(config.safety.lmo_timeout_ms * NS_PER_MS)
        self.mux = AuthorityMux(config.safety.source_timeout_ms)
        self.clock_offset_ns = 0
        self.loco: LocoCommand | None = None
        self._chunks: list[ArmTarget] = []
        self.dropped: dict[str, int] = {}

    def arm_target(self, target: ArmTarget, now_ns: int) -> bool:
        """A chunk of a source; True when it is kept."""
        reason, why = self.mux.check(Stream.ARM, target.source, target.session, target.sequence, now_ns)
        if reason == Reason.NONE:
            reason, why = check_arm_target(
                target, self._upper_names, now_ns + self.clock_offset_ns, self._config
            )
        if reason == Reason.NONE and len(self._chunks) >= self.MAX_CHUNKS:
            reason, why = Reason.BAD_MESSAGE, f"more than {self.MAX_CHUNKS} chunks within one tick"
        if reason != Reason.NONE:
            return self.drop(reason, _topic(target.source, "arm_target"), why, now_ns)
        self.mux.mark(Stream.ARM, target.sequence, now_ns)
        self._chunks.append(target)
        return True

    def loco_command(self, command: LocoCommand, now_ns: int) -> bool:
        """A locomotion command of a source; True when it is kept."""
        reason, why = self.mux.check(Stream.LOCO, command.source, command.session, command.sequence, now_ns)
        if reason == Reason.NONE:
            reason, why = check_loco_command(command, now_ns + self.clock_offset_ns, self._config)
        if reason != Reason.NONE:
            return self.drop(reason, _topic(command.source, "loco_command"), why, now_ns)
        self.mux.mark(Stream.LOCO, command.sequence, now_ns)
        self.loco = command
        return True

    def leg_waist_command(self, command: LegWaistCommand, now_ns: int) -> bool:
        """A set-point of the locomotion policy; True when it is taken."""
        reason, why = check_leg_waist(command, self._legs.wanted, now_ns + self.clock_offset_ns, self._config)
        if reason == Reason.NONE and self._legs.stale_sequence(command.sequence, now_ns, self._lmo_stale_ns):
            reason, why = Reason.SECOND_PUBLISHER, f"sequence {command.sequence} is not above the last one"
        if reason == Reason.NONE:
            self._legs.take(command, now_ns)
            return True
        if reason == Reason.LMO_NOT_FINITE:
            self._legs.bad_in_row += 1
        return self.drop(reason, "leg_waist_command", why, now_ns)

    def chunks(self) -> list[ArmTarget]:
        """Chunks since the last call, oldest first."""
        chunks, self._chunks = self._chunks, []
        return chunks

    def forget(self) -> None:
        """What was kept counts no more: the authority or the session changed."""
        self.loco = None
        self._chunks = []

    def drop(self, reason: Reason, topic: str, why: str, now_ns: int) -> bool:
        """Count and tell; always False."""
        self.dropped[reason.name] = self.dropped.get(reason.name, 0) + 1
        self._tell(reason, topic, why, now_ns)
        return False


def _topic(source: Source, stream: str) -> str:
    return f"{source.name.lower()}/{stream}"
