"""What the node does with each tick, without ROS and without a clock: watch the inputs, run the policy,
count."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from wbvla_core.grounding import GroundedController
from wbvla_core.lmo import LmoNotFinite
from wbvla_core.timing import NS_PER_MS
from wbvla_core.types import LegWaistCommand, LocoCommand, LocoMode, PlantState, Reason, RobotState


@dataclass(frozen=True)
class LmoConfig:
    """Ages [ms] beyond which the robot state stops the policy and a silent command becomes a stand; stamps
    further ahead than ``max_future_ms`` are bad; ``nominal_height_m`` is where it stands before the first
    command."""

    max_state_age_ms: float = 40.0
    max_command_age_ms: float = 200.0
    max_future_ms: float = 20.0
    nominal_height_m: float = 0.64


@dataclass
class LmoCounters:
    """Since activation: set-points made, ticks without a usable state, outputs not finite, messages
    refused."""

    published: int = 0
    without_state: int = 0
    not_finite: int = 0
    bad_messages: int = 0

    @property
    def dropped(self) -> int:
        """Ticks and messages that led to no set-point."""
        return self.without_state + self.not_finite + self.bad_messages


class LmoCore:
    """One locomotion policy between ``robot_state`` and ``leg_waist_command``.

    States come as bytes and are decoded by ``decode`` (which raises ValueError for bytes that are none) in
    the control thread, the newest only. ``on_state`` and ``on_command`` may be called from another thread.
    """

    def __init__(
        self, controller: GroundedController, config: LmoConfig, decode: Callable[[bytes], RobotState]
    ) -> None:
        self._controller, self._config, self._decode = controller, config, decode
        self._bytes: bytes | None = None
        self._decoded: tuple[bytes, RobotState] | None = None
        self._command: tuple[LocoCommand, int] | None = None
        self._running = False
        self.counters = LmoCounters()
        self.reason = Reason.NONE
        self.detail = "waiting for robot_state"

    @property
    def has_state(self) -> bool:
        """Whether any state has come."""
        return self._bytes is not None

    @property
    def policy(self) -> GroundedController:
        """The policy's controller."""
        return self._controller

    def on_state(self, data: bytes) -> None:
        """The newest robot state, as it came."""
        self._bytes = data

    def on_command(self, command: LocoCommand, now_ns: int) -> None:
        """The newest locomotion command, which came at ``now_ns``."""
        self._command = (command, now_ns)

    def restart(self) -> None:
        """Forget inputs and counters; the next tick starts the policy anew."""
        self._bytes = self._decoded = self._command = None
        self._running = False
        self.counters = LmoCounters()
        self.reason, self.detail = Reason.NONE, "waiting for robot_state"

    def tick(self, now_ns: int) -> LegWaistCommand | None:
        """Set-points at ``now_ns`` (the clock of the stamps), or None when there is nothing safe to say.

        None without a state younger than ``max_state_age_ms``, and when state, command or output is not
        finite. A command older than ``max_command_age_ms`` stands: its height stays, its motion ramps out."""
        state = self._state(now_ns)
        if state is None:
            self._running = False
            self.counters.without_state += 1
            return None
        command = self._present_command(now_ns)
        try:
            # While the joints only brake, the policy's memory would fill with actions that never happened.
            if not self._running or state.plant_state != PlantState.ACTIVE:
                self._controller.reset(state, command.height_m)
                self._running = True
            made = self._controller.step(state, command)
        except LmoNotFinite as error:
            self.counters.not_finite += 1
            self.reason, self.detail = Reason.LMO_NOT_FINITE, str(error)
            return None
        self.counters.published += 1
        return replace(made, sequence=self.counters.published, stamp_ns=now_ns)

    def _state(self, now_ns: int) -> RobotState | None:
        data = self._bytes
        if data is None:
            self.reason, self.detail = Reason.STATE_LOST, "no robot_state yet"
            return None
        if self._decoded is None or self._decoded[0] is not data:
            try:
                self._decoded = (data, self._decode(data))
            except ValueError as error:
                self.counters.bad_messages += 1
                self._bytes = None
                self.reason, self.detail = Reason.BAD_MESSAGE, str(error)
                return None
        state = self._decoded[1]
        age_ms = (now_ns - state.stamp_ns) / NS_PER_MS
        if not -self._config.max_future_ms <= age_ms <= self._config.max_state_age_ms:
            limit = self._config.max_state_age_ms
            self.reason = Reason.STATE_LOST
            self.detail = f"robot_state is {age_ms:.0f} ms old, at most {limit:.0f} ms is allowed"
            return None
        return state

    def _present_command(self, now_ns: int) -> LocoCommand:
        self.reason, self.detail = Reason.NONE, self._controller.name
        if self._command is None:
            self.detail = f"{self._controller.name}: no loco_command yet, standing"
            return LocoCommand(height_m=self._config.nominal_height_m)
        command, came_ns = self._command
        age_ms = (now_ns - came_ns) / NS_PER_MS
        if age_ms <= self._config.max_command_age_ms:
            return command
        self.reason = Reason.DRIVER_LOST
        self.detail = f"no loco_command for {age_ms / 1e3:.1f} s, standing"
        return replace(command, flags=(0, 0, 0), velocity=(0.0, 0.0, 0.0), mode=LocoMode.FLAGS)
