"""Makes the planned faults of one trial happen on the running graph, and sees to it that they end."""

from __future__ import annotations

import time
from dataclasses import dataclass

import psutil
from geometry_msgs.msg import Vector3
from wbvla_core.types import Reason, State
from wbvla_sim.script import Change
from wbvla_sim.tasks.graph_collect import Session

from wbvla_cli.soak_plan import Fault, Kind

CAMERA_PROCESS = "sim_node"
PUSHED = "torso_link"
LOSSES = (Reason.VLA_LOST, Reason.TELEOP_LOST, Reason.CAMERA_LOST)


@dataclass(frozen=True)
class Injected:
    """A fault that was made to happen: when (wall clock), and until when (same as the begin for a push)."""

    fault: Fault
    begin_ns: int
    end_ns: int


@dataclass(frozen=True)
class Answer:
    """What the driver did about a fault: after how long it noticed [ms] and why, the state it went to, and how long after
    the fault's end the robot followed again [ms]. None: it did not (a push or a short silence needs no reaction)."""

    detected_ms: float | None = None
    reason: str | None = None
    state: str | None = None
    back_ms: float | None = None


class Injector:
    """To be called with the trial's time; never blocks for longer than a service call. ``close`` in any case."""

    def __init__(self, session: Session, actor: str, faults: tuple[Fault, ...]) -> None:
        """``actor``: name of the process that commands the robot."""
        self._session, self._actor = session, actor
        self._left = list(faults)
        self._stalled: tuple[psutil.Process, Fault, int] | None = None
        self.injected: list[Injected] = []

    def __call__(self, time_s: float) -> None:
        """Raises ScriptError when a push is refused, GraphError when a process is not there."""
        if (
            self._stalled is not None
            and time.time_ns() >= self._stalled[2] + self._stalled[1].duration_s * 1e9
        ):
            self._end_stall()
        if self._left and self._stalled is None and time_s >= self._left[0].at_s:
            self._begin(self._left.pop(0))

    def close(self) -> None:
        """Let go on whoever was stopped."""
        if self._stalled is not None:
            self._end_stall()

    def _begin(self, fault: Fault) -> None:
        now_ns = time.time_ns()
        if fault.kind is Kind.PUSH:
            x, y, z = fault.force_n
            force = Vector3(x=x, y=y, z=z)
            self._session.supervisor.call("sim/push", body=PUSHED, force=force, duration=fault.duration_s)
            self.injected.append(Injected(fault, now_ns, now_ns))
            return
        name = self._actor if fault.kind is Kind.ACTOR_STALLED else CAMERA_PROCESS
        process = self._session.graph.process_named(name)
        process.suspend()
        self._stalled = process, fault, now_ns

    def _end_stall(self) -> None:
        assert self._stalled is not None
        process, fault, begin_ns = self._stalled
        self._stalled = None
        end_ns = time.time_ns()
        process.resume()
        self.injected.append(Injected(fault, begin_ns, end_ns))


def answer(injected: Injected, changes: list[Change], until_ns: int) -> Answer:
    """What the driver's ``changes`` say about ``injected``, up to ``until_ns`` (the next fault, or the trial's end)."""
    relevant = [change for change in changes if injected.begin_ns <= change.time_ns < until_ns]
    noticed = next((change for change in relevant if change.reason in LOSSES), None)
    if noticed is None or injected.fault.kind is Kind.PUSH:
        return Answer()
    back = next((c for c in relevant if c.time_ns > noticed.time_ns and c.state is State.ACTIVE), None)
    return Answer(
        detected_ms=(noticed.time_ns - injected.begin_ns) / 1e6,
        reason=noticed.reason.name,
        state=noticed.state.name,
        back_ms=None if back is None else (back.time_ns - injected.end_ns) / 1e6,
    )
