"""Scripts: what an operator, a supervisor and fate do to the robot, as typed steps.

The same script runs on the real graph and in lock-step: a ``Stage`` is whatever can carry the steps out.
Angles are in rad, grippers 0..1, heights in m, times in s of the stage's own clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from wbvla_core.types import Reason, Source, State


class ScriptError(RuntimeError):
    """A step did not come true; says what was awaited and what was seen."""


@dataclass(frozen=True)
class Change:
    """The driver changed its state or its reason at ``time_ns`` (the driver's own stamp)."""

    time_ns: int
    state: State
    reason: Reason
    detail: str


@dataclass(frozen=True)
class Reaction:
    """An injected fault, when and how the driver noticed it, and the state it ended in."""

    reason: Reason
    injected_ns: int
    noticed: Change
    end_state: State

    @property
    def detected_ms(self) -> float:
        """From injection to the driver's stamp."""
        return (self.noticed.time_ns - self.injected_ns) / 1e6


class Stage(Protocol):
    """Where a script is played. Calls block until done; those that wait raise ScriptError (or a kin of it)."""

    def say(self, text: str) -> None: ...

    def now_ns(self) -> int:
        """Clock of the driver's stamps."""
        ...

    def wait(self, seconds: float) -> None: ...

    def wait_for(self, what: str, condition: Callable[[], bool], timeout_s: float) -> None: ...

    def wait_for_state(self, *states: State, timeout_s: float = 10.0) -> None: ...

    def first_change_since(self, time_ns: int, reasons: tuple[Reason, ...], timeout_s: float) -> Change: ...

    def hoisted(self) -> bool:
        """Whether the gantry carries the robot."""
        ...

    def release(self) -> None: ...

    def estop(self, reason: str) -> None: ...

    def set_authority(self, source: Source) -> None: ...

    def instruct(self, sentence: str) -> None: ...

    def loco(self, height_m: float, flags: tuple[int, int, int] = (0, 0, 0)) -> None:
        """Keep sending this as teleoperator."""

    def arms(self, targets: dict[str, float]) -> None:
        """Keep sending this as teleoperator."""

    def gantry(self, height_m: float, speed_m_s: float = 0.1, hooked: bool = True) -> None: ...

    def push(
        self, force_n: tuple[float, float, float], duration_s: float, body: str = "torso_link"
    ) -> None: ...

    def kill(self, node: str, back_after_s: float | None) -> None:
        """End a node at once; ``back_after_s``: when the supervisor has it back (None: never)."""


class Step(Protocol):
    """One step of a script."""

    def perform(self, stage: Stage) -> Reaction | None:
        """Do it; a fault step returns the driver's reaction."""
        ...


def play(script: Sequence[Step], stage: Stage) -> list[Reaction]:
    """Perform all steps in order; returns the reactions to the faults in it. Raises what the stage raises."""
    reactions = [step.perform(stage) for step in script]
    return [reaction for reaction in reactions if reaction is not None]


@dataclass(frozen=True)
class Say:
    """Tell people what comes."""

    text: str

    def perform(self, stage: Stage) -> None:
        stage.say(self.text)


@dataclass(frozen=True)
class Wait:
    """Let time pass."""

    seconds: float

    def perform(self, stage: Stage) -> None:
        stage.wait(self.seconds)


@dataclass(frozen=True)
class Hoist:
    """Hook on and move the gantry's bar to ``height_m``; wait until the robot hangs (``carried``) or the
    rope is slack.
    """

    height_m: float
    speed_m_s: float = 0.15
    carried: bool = True
    timeout_s: float = 15.0

    def perform(self, stage: Stage) -> None:
        stage.gantry(self.height_m, self.speed_m_s)
        what = "the rope to carry the robot" if self.carried else "the rope to hang loose"
        stage.wait_for(what, lambda: stage.hoisted() == self.carried, self.timeout_s)


@dataclass(frozen=True)
class Unhook:
    """Take the ropes off."""

    def perform(self, stage: Stage) -> None:
        stage.gantry(0.0, 0.1, hooked=False)


@dataclass(frozen=True)
class Release:
    """Leave damping in the hoist and wait for the stand."""

    timeout_s: float = 10.0

    def perform(self, stage: Stage) -> None:
        stage.release()
        stage.wait_for_state(State.STANDING, timeout_s=self.timeout_s)


@dataclass(frozen=True)
class Authority:
    """Give a source the authority."""

    source: Source

    def perform(self, stage: Stage) -> None:
        stage.set_authority(self.source)


@dataclass(frozen=True)
class Instruct:
    """Give the VLA a sentence."""

    sentence: str

    def perform(self, stage: Stage) -> None:
        stage.instruct(self.sentence)


@dataclass(frozen=True)
class Loco:
    """From now on the teleoperator asks for this."""

    height_m: float
    flags: tuple[int, int, int] = (0, 0, 0)

    def perform(self, stage: Stage) -> None:
        stage.loco(self.height_m, self.flags)


@dataclass(frozen=True)
class Arms:
    """From now on the teleoperator asks for these joint positions."""

    targets: dict[str, float]

    def perform(self, stage: Stage) -> None:
        stage.arms(self.targets)


@dataclass(frozen=True)
class Push:
    """A constant force on a body, in the pelvis' yaw frame."""

    force_n: tuple[float, float, float]
    duration_s: float = 0.1
    body: str = "torso_link"

    def perform(self, stage: Stage) -> None:
        stage.push(self.force_n, self.duration_s, self.body)


@dataclass(frozen=True)
class AwaitState:
    """Wait for the driver to be in one of ``states``."""

    states: tuple[State, ...]
    timeout_s: float = 10.0

    def perform(self, stage: Stage) -> None:
        stage.wait_for_state(*self.states, timeout_s=self.timeout_s)


@dataclass(frozen=True)
class EStop:
    """Pull the emergency stop; the reaction is damping."""

    why: str = "script"
    within_s: float = 2.0

    def perform(self, stage: Stage) -> Reaction:
        begin_ns = stage.now_ns()
        stage.estop(self.why)
        return _reaction(stage, begin_ns, Reason.ESTOP, State.DAMPING, self.within_s)


@dataclass(frozen=True)
class Kill:
    """End a node at once and wait for the driver's reaction."""

    node: str
    reason: Reason
    end_state: State
    back_after_s: float | None = None
    within_s: float = 3.0

    def perform(self, stage: Stage) -> Reaction:
        begin_ns = stage.now_ns()
        stage.kill(self.node, self.back_after_s)
        return _reaction(stage, begin_ns, self.reason, self.end_state, self.within_s)


def _reaction(stage: Stage, begin_ns: int, reason: Reason, end_state: State, within_s: float) -> Reaction:
    noticed = stage.first_change_since(begin_ns, (reason,), within_s)
    stage.wait_for_state(end_state, timeout_s=within_s)
    return Reaction(reason, begin_ns, noticed, end_state)
