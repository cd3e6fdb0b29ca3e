"""The safety state machine of a balancing robot: what may command it, and what happens when something is
lost.

Pure: ages in, decision out; no clock, no robot. The caller runs ``update`` once per control tick and obeys
the decision. Damping is latched: it is left only through ``release`` in the hoist. Position hold is not a
state, because it does not keep a biped up; only a balancing controller does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from wbvla_core.timing import NS_PER_MS, NS_PER_S
from wbvla_core.types import Event, Reason, Source, State

_BALANCING = (State.STANDING, State.ACTIVE, State.HOLDING_LAST)
_LOST = {Source.VLA: Reason.VLA_LOST, Source.TELEOP: Reason.TELEOP_LOST}


@dataclass(frozen=True)
class SafetyConfig:
    """Time-outs in ms, angles in degrees. ``heartbeat_timeout_ms`` 0: no operator heartbeat is required.

    ``lmo_hold_ms`` counts from the last good set-point, so that a lost controller is bridged for 100 ms in
    all. ``hang_ms``: a control loop that slept longer must not go on as if nothing had been.
    """

    state_timeout_ms: float = 20.0
    imu_timeout_ms: float = 40.0
    tilt_limit_deg: float = 60.0
    source_timeout_ms: float = 200.0
    camera_timeout_ms: float = 300.0
    lmo_timeout_ms: float = 60.0
    lmo_hold_ms: float = 100.0
    lmo_bad_limit: int = 3
    lmo_return_s: float = 1.0
    last_resort_tilt_deg: float = 10.0
    heartbeat_timeout_ms: float = 0.0
    release_s: float = 2.0
    release_wait_s: float = 10.0
    hang_ms: float = 100.0

    def __post_init__(self) -> None:
        for name in self.__dataclass_fields__:
            value = getattr(self, name)
            if not math.isfinite(value) or value < 0 or (value == 0 and name != "heartbeat_timeout_ms"):
                raise ValueError(f"safety.{name} must be positive, got {value}")
        if self.lmo_hold_ms < self.lmo_timeout_ms:
            raise ValueError("safety.lmo_hold_ms must not be below safety.lmo_timeout_ms")


@dataclass(frozen=True)
class SafetyInputs:
    """What the machine looks at, once per tick. Ages in ns; None: never seen.

    ``source``: who has authority; ``source_age_ns``: age of the oldest of the streams that it sends.
    ``camera_age_ns`` None: no camera was ever seen, so none is watched. ``lmo_bad_in_row``: refused
    set-points since the last good one. ``feet_down`` is asked only when the answer decides something.
    """

    state_age_ns: int | None
    imu_age_ns: int | None
    tilt_rad: float
    source: Source = Source.NONE
    source_age_ns: int | None = None
    camera_age_ns: int | None = None
    lmo_age_ns: int | None = None
    lmo_bad_in_row: int = 0
    heartbeat_age_ns: int | None = None
    feet_down: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Decision:
    """State after this tick, why, since when, and what happened on the way."""

    state: State
    reason: Reason
    detail: str
    since_ns: int
    events: tuple[Event, ...] = ()


class SafetyMachine:
    """See the module. Starts in latched damping."""

    def __init__(self, config: SafetyConfig | None = None) -> None:
        self.config = config or SafetyConfig()
        self.state = State.DAMPING
        self.reason = Reason.NONE
        self.detail = "not released yet"
        self.since_ns = 0
        self.estop_reason: str | None = None
        self._inputs: SafetyInputs | None = None
        self._updated_ns: int | None = None
        self._lmo_good_since_ns: int | None = None
        self._events: list[Event] = []

    @property
    def damped(self) -> bool:
        """Whether the actuators must only brake."""
        return self.state == State.DAMPING

    def estop(self, why: str, now_ns: int) -> None:
        """Emergency stop, from every state, at once."""
        self.estop_reason = why or "no reason given"
        self._enter(State.DAMPING, Reason.ESTOP, f"emergency stop: {self.estop_reason}", now_ns, always=True)

    def trip(self, reason: Reason, detail: str, now_ns: int) -> None:
        """Latched damping for a reason that the caller found."""
        self._enter(State.DAMPING, reason, detail, now_ns)

    def release(self, hoisted: bool, now_ns: int) -> tuple[bool, str]:
        """Leave latched damping (in the hoist), or hand over from the last resort to a recovered controller.

        Returns (done, sentence for the operator); a refusal changes nothing.
        """
        if self.state == State.LAST_RESORT:
            return self._release_last_resort(now_ns)
        if self.state != State.DAMPING:
            return False, f"nothing to release: the state is {self.state.name}"
        if not hoisted:
            return False, "refused: hang the robot in the hoist and confirm it with hoisted=true"
        if self._inputs is None:
            return False, "refused: no robot state has been seen yet"
        fault = self._critical_fault(self._inputs)
        if fault is not None:
            return False, f"refused: {fault[1]}"
        self.estop_reason = None
        self._enter(
            State.RELEASING, Reason.OPERATOR, "blending from the measured pose into the stand", now_ns
        )
        return True, f"released; the stand is reached in {self.config.release_s:g} s"

    def update(self, inputs: SafetyInputs, now_ns: int) -> Decision:
        """Advance to ``now_ns``."""
        gap_ns = 0 if self._updated_ns is None else now_ns - self._updated_ns
        self._updated_ns = now_ns
        self._inputs = inputs
        self._watch_lmo(inputs, now_ns)
        if self.state != State.DAMPING:
            fault = self._critical_fault(inputs)
            if gap_ns > self.config.hang_ms * NS_PER_MS:
                fault = (Reason.DRIVER_LOST, f"the control loop stood still for {gap_ns / NS_PER_MS:.0f} ms")
            if fault is not None:
                self._enter(State.DAMPING, *fault, now_ns)
        if self.state == State.RELEASING:
            self._releasing(inputs, now_ns)
        if self.state in _BALANCING:
            self._balancing(inputs, now_ns)
        return Decision(self.state, self.reason, self.detail, self.since_ns, self.drain())

    def drain(self) -> tuple[Event, ...]:
        """Events since the last ``update`` or ``drain``."""
        events, self._events = tuple(self._events), []
        return events

    def _critical_fault(self, inputs: SafetyInputs) -> tuple[Reason, str] | None:
        config = self.config
        if _older(inputs.state_age_ns, config.state_timeout_ms):
            return Reason.STATE_LOST, f"robot state lost ({_ms(inputs.state_age_ns)})"
        if _older(inputs.imu_age_ns, config.imu_timeout_ms):
            return Reason.IMU_LOST, f"base IMU lost ({_ms(inputs.imu_age_ns)})"
        tilt_deg = math.degrees(inputs.tilt_rad)
        if not tilt_deg <= config.tilt_limit_deg:
            return Reason.TILT, f"tilted by {tilt_deg:.0f} deg, limit {config.tilt_limit_deg:g}"
        if config.heartbeat_timeout_ms and _older(inputs.heartbeat_age_ns, config.heartbeat_timeout_ms):
            return Reason.HEARTBEAT_LOST, f"operator heartbeat lost ({_ms(inputs.heartbeat_age_ns)})"
        return None

    def _watch_lmo(self, inputs: SafetyInputs, now_ns: int) -> None:
        if not self._lmo_good(inputs):
            self._lmo_good_since_ns = None
        elif self._lmo_good_since_ns is None:
            self._lmo_good_since_ns = now_ns

    def _lmo_good(self, inputs: SafetyInputs) -> bool:
        return inputs.lmo_bad_in_row == 0 and not _older(inputs.lmo_age_ns, self.config.lmo_timeout_ms)

    def _releasing(self, inputs: SafetyInputs, now_ns: int) -> None:
        elapsed_s = (now_ns - self.since_ns) / NS_PER_S
        if elapsed_s < self.config.release_s:
            return
        if self._lmo_good(inputs):
            self._enter(State.STANDING, Reason.OPERATOR, "released", now_ns)
        elif elapsed_s > self.config.release_s + self.config.release_wait_s:
            detail = f"no locomotion set-points {elapsed_s:.0f} s after release; start the locomotion node"
            self._enter(State.DAMPING, Reason.LMO_LOST, detail, now_ns)

    def _balancing(self, inputs: SafetyInputs, now_ns: int) -> None:
        if not self._lmo_good(inputs):
            self._bridge(inputs, now_ns)
            return
        if self.state == State.HOLDING_LAST:
            self._enter(State.STANDING, self.reason, "locomotion set-points are back", now_ns)
        lost = self._source_fault(inputs)
        if inputs.source == Source.NONE or inputs.source_age_ns is None:
            if self.state == State.ACTIVE:
                self._enter(State.STANDING, Reason.OPERATOR, "nobody commands", now_ns)
        elif lost is not None:
            if self.state == State.ACTIVE:
                self._enter(State.STANDING, *lost, now_ns)
        elif self.state == State.STANDING:
            self._enter(State.ACTIVE, Reason.NONE, f"following {inputs.source.name}", now_ns)

    def _source_fault(self, inputs: SafetyInputs) -> tuple[Reason, str] | None:
        if inputs.source == Source.NONE:
            return None
        if _older(inputs.source_age_ns, self.config.source_timeout_ms):
            return _LOST[inputs.source], f"{inputs.source.name} lost ({_ms(inputs.source_age_ns)})"
        camera_lost = inputs.camera_age_ns is not None and _older(
            inputs.camera_age_ns, self.config.camera_timeout_ms
        )
        if inputs.source == Source.VLA and camera_lost:
            return Reason.CAMERA_LOST, f"camera lost ({_ms(inputs.camera_age_ns)})"
        return None

    def _bridge(self, inputs: SafetyInputs, now_ns: int) -> None:
        """The locomotion controller is silent or talks nonsense."""
        config = self.config
        bad = inputs.lmo_bad_in_row
        reason = Reason.LMO_NOT_FINITE if bad else Reason.LMO_LOST
        detail = f"{bad} unusable set-points in a row" if bad else f"no set-point ({_ms(inputs.lmo_age_ns)})"
        if bad < config.lmo_bad_limit and not _older(inputs.lmo_age_ns, config.lmo_hold_ms):
            if self.state != State.HOLDING_LAST:
                self._enter(State.HOLDING_LAST, reason, detail, now_ns)
            return
        tilt_deg = math.degrees(inputs.tilt_rad)
        if tilt_deg < config.last_resort_tilt_deg and inputs.feet_down():
            self._enter(
                State.LAST_RESORT, reason, f"{detail}; the driver's own stand controller balances", now_ns
            )
        else:
            detail = f"{detail}; no stand possible (tilt {tilt_deg:.0f} deg or feet not down)"
            self._enter(State.DAMPING, reason, detail, now_ns)

    def _release_last_resort(self, now_ns: int) -> tuple[bool, str]:
        good_ns = 0 if self._lmo_good_since_ns is None else now_ns - self._lmo_good_since_ns
        if good_ns < self.config.lmo_return_s * NS_PER_S:
            wanted = self.config.lmo_return_s
            return False, f"refused: locomotion set-points must be good for {wanted:g} s first"
        self._enter(State.STANDING, Reason.OPERATOR, "handed back to the locomotion controller", now_ns)
        return True, "the locomotion controller balances again"

    def _enter(self, state: State, reason: Reason, detail: str, now_ns: int, always: bool = False) -> None:
        if state == self.state and not always:
            return
        if state != self.state:
            self.since_ns = now_ns
        self.state, self.reason, self.detail = state, reason, detail
        self._events.append(Event(now_ns, reason, state, detail))


def _older(age_ns: int | None, limit_ms: float) -> bool:
    return age_ns is None or age_ns > limit_ms * NS_PER_MS


def _ms(age_ns: int | None) -> str:
    return "never seen" if age_ns is None else f"{age_ns / NS_PER_MS:.0f} ms old"
