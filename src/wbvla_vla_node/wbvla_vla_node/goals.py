"""When an ``ExecuteInstruction`` goal is over, and how it ended. Pure; times are arguments."""

from __future__ import annotations

from dataclasses import dataclass

from wbvla_core.types import Reason

from wbvla_vla_node.core import Progress

# A fault that lasts for this long ends the goal; shorter ones are bridged by the driver.
GIVE_UP_S = 5.0
# One picture may mislead the policy; it must say so many times in a row, over 0.2 s at 10 Hz, that it is done.
DONE_CHUNKS = 3


@dataclass(frozen=True)
class Outcome:
    """Result of a goal. ``end`` is succeeded, aborted or canceled."""

    end: str
    reason: Reason
    message: str
    elapsed_s: float

    @property
    def success(self) -> bool:
        return self.end == "succeeded"


class GoalTracker:
    """Follows one goal from its acceptance to its end."""

    def __init__(self, progress: Progress, timeout_s: float, now_ns: int) -> None:
        """``progress`` is the core's account of the goal's instruction; ``timeout_s`` 0 means no limit."""
        self._progress = progress
        self._timeout_s = timeout_s
        self._start_ns = now_ns
        self._well_ns = now_ns

    def elapsed_s(self, now_ns: int) -> float:
        return (now_ns - self._start_ns) / 1e9

    @property
    def chunks(self) -> int:
        return self._progress.chunks

    def update(
        self, progress: Progress | None, reason: Reason, detail: str, cancel: bool, now_ns: int
    ) -> Outcome | None:
        """The outcome once the goal is over. ``progress``, ``reason``, ``detail`` are the core's now."""
        elapsed_s = self.elapsed_s(now_ns)
        if reason == Reason.NONE:
            self._well_ns = now_ns
        if cancel:
            return Outcome("canceled", Reason.OPERATOR, "cancelled on request", elapsed_s)
        if progress is not self._progress:
            text = "replaced by another instruction" if progress else "the node stopped"
            return Outcome("aborted", Reason.OPERATOR, text, elapsed_s)
        if progress.done_chunks >= DONE_CHUNKS:
            return Outcome("succeeded", Reason.NONE, "the policy reports that it is done", elapsed_s)
        if self._timeout_s and elapsed_s >= self._timeout_s:
            return Outcome("aborted", reason, f"not done within {self._timeout_s:g} s", elapsed_s)
        if (now_ns - self._well_ns) / 1e9 > GIVE_UP_S:
            return Outcome("aborted", reason, f"no chunks for {GIVE_UP_S:g} s: {detail}", elapsed_s)
        return None
