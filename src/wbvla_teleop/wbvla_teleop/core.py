"""The teleoperation node without ROS: frames of a device in; commands, and requests to other nodes, out.
 Nothing moves without the deadman. Releasing it stops locomotion and holds the arms; so does losing the
device, and then the commands cease, so that the driver knows and tells. After a loss or an emergency stop
the deadman must be released once before it counts again.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

import numpy as np
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import ArmTarget, LocoCommand, Reason, RobotState, Source

from wbvla_teleop.frame import AUTHORITY, BUTTONS, ESTOP, TeleopFrame
from wbvla_teleop.retarget import Intent, Retargeter


class Phase(enum.Enum):
    """What the operator's hands mean at present."""

    WAITING = "waiting for the device"
    READY = "device is there; hold the deadman to drive"
    DRIVING = "driving"
    HOLDING = "deadman released; holding still"
    LOST = "device lost; release the deadman once when it is back"


@dataclass(frozen=True)
class TeleopConfig:
    """Times in s. ``device_timeout_s``: a device silent for longer is lost; ``state_timeout_s``: an older
    robot state is not acted on; ``lead_s``: how far ahead of now an arm target is due; ``farewell_s``: how
    long a lost device's stand command is repeated. ``takeover``: pressing the deadman asks for the
    authority."""

    device_timeout_s: float = 0.1
    state_timeout_s: float = 0.1
    lead_s: float = 0.05
    farewell_s: float = 0.5
    takeover: bool = True
    give_back: Source = Source.NONE


@dataclass(frozen=True)
class TeleopOutput:
    """Result of one tick: the two commands (None: nothing to say), names of buttons pressed just now, and
    whom the authority is asked for (None: no request)."""

    arm: ArmTarget | None = None
    loco: LocoCommand | None = None
    pressed: tuple[str, ...] = ()
    authority: Source | None = None


class TeleopCore:
    """See the module. One thread calls it; ``now_ns`` is the clock of all stamps."""

    def __init__(self, retargeter: Retargeter, config: TeleopConfig | None = None) -> None:
        self.config = config or TeleopConfig()
        self.retargeter = retargeter
        self.phase = Phase.WAITING
        self.reason, self.detail = Reason.NONE, ""
        self.published = 0
        self._state: RobotState | None = None
        self._frame: TeleopFrame | None = None
        self._seen_ns: int | None = None
        self._source, self._session = Source.NONE, 0
        self._robot_height_m: float | None = None
        self._armed = False
        self._engaged_session: int | None = None
        self._down: frozenset[str] = frozenset()
        self._grasped = False
        self._lost_ns: int | None = None
        self._last_ns: int | None = None
        self._sequence = 0

    def on_state(self, state: RobotState) -> None:
        """The robot's newest state."""
        self._state = state

    def on_authority(self, source: Source, session: int) -> None:
        """Who may command, by the driver."""
        self._source, self._session = source, session

    def on_height(self, height_m: float) -> None:
        """The stance height that the driver passes on: where a takeover begins."""
        self._robot_height_m = height_m

    @property
    def has_authority(self) -> bool:
        """Whether teleoperation may command."""
        return self._source == Source.TELEOP

    def tick(self, frame: TeleopFrame | None, now_ns: int) -> TeleopOutput:
        """One control cycle, 50 times a second. ``frame``: the device's newest reading, None when it has
        none new."""
        if frame is not None:
            self._frame, self._seen_ns = frame, now_ns
        dt_s = 0.02 if self._last_ns is None else min(max((now_ns - self._last_ns) / NS_PER_S, 0.001), 0.1)
        self._last_ns = now_ns
        state = self._fresh_state(now_ns)
        if state is not None and not self._engaged:
            # Devices that give rates begin where the robot is.
            self.retargeter.reset(state, self._robot_height_m)
        if self._frame is None or self._seen_ns is None:
            self.phase = Phase.WAITING
            return TeleopOutput()
        if now_ns - self._seen_ns > self.config.device_timeout_s * NS_PER_S:
            return self._lose(now_ns)
        return self._follow(self._frame, state, now_ns, dt_s)

    def farewell(self, now_ns: int) -> TeleopOutput:
        """The safe command of a node that leaves: stand, arms where they are; nothing when it did not
        drive."""
        if not self._engaged:
            return TeleopOutput()
        return self._commands(self.retargeter.hold(), now_ns, now_ns)

    @property
    def _engaged(self) -> bool:
        return self.has_authority and self._engaged_session == self._session

    def _lose(self, now_ns: int) -> TeleopOutput:
        if self._lost_ns is None:
            self._lost_ns = now_ns
        self._armed, self._grasped, self._down = False, False, frozenset()
        self.phase, self.reason = Phase.LOST, Reason.TELEOP_LOST
        self.detail = f"no reading from the device for {self.config.device_timeout_s:g} s"
        if self._engaged and now_ns - self._lost_ns <= self.config.farewell_s * NS_PER_S:
            return self._commands(self.retargeter.hold(), now_ns, now_ns)
        return TeleopOutput()

    def _follow(self, frame: TeleopFrame, state: RobotState | None, now_ns: int, dt_s: float) -> TeleopOutput:
        pressed = tuple(name for name in BUTTONS if name in frame.buttons - self._down)
        self._down = frame.buttons
        if ESTOP in pressed:
            self._armed = False
        elif not frame.deadman:
            self._armed = True
        if not frame.deadman:
            self._lost_ns = None
        holding = frame.deadman and self._armed
        authority = self._wanted_authority(pressed, grasped=holding and not self._grasped)
        self._grasped = holding
        self.reason, self.detail = Reason.NONE, ""
        if self._lost_ns is not None:
            self.phase = Phase.LOST
            return TeleopOutput(pressed=pressed, authority=authority)
        if not self.has_authority or (not holding and not self._engaged):
            self.phase = Phase.READY
            return TeleopOutput(pressed=pressed, authority=authority)
        if not holding:
            self.phase = Phase.HOLDING
            commands = self._commands(self.retargeter.hold(), frame.stamp_ns, now_ns)
        elif state is None:
            self.phase, self.reason = Phase.READY, Reason.STATE_LOST
            self.detail = f"no robot state for {self.config.state_timeout_s:g} s"
            return TeleopOutput(pressed=pressed, authority=authority)
        else:
            self._engaged_session = self._session
            self.phase = Phase.DRIVING
            intent = self.retargeter.step(frame, state, dt_s)
            if intent.problem:
                self.reason, self.detail = Reason.LIMITED, intent.problem
            commands = self._commands(intent, frame.stamp_ns, now_ns)
        return TeleopOutput(commands.arm, commands.loco, pressed, authority)

    def _wanted_authority(self, pressed: tuple[str, ...], grasped: bool) -> Source | None:
        if AUTHORITY in pressed:
            return self.config.give_back if self.has_authority else Source.TELEOP
        # Only the moment of grasping asks: whoever takes the authority away from a held deadman keeps it.
        if self.config.takeover and grasped and not self.has_authority:
            return Source.TELEOP
        return None

    def _fresh_state(self, now_ns: int) -> RobotState | None:
        state = self._state
        if state is None or now_ns - state.stamp_ns > self.config.state_timeout_s * NS_PER_S:
            return None
        return state

    def _commands(self, intent: Intent, stamp_ns: int, now_ns: int) -> TeleopOutput:
        self._sequence += 1
        self.published += 1
        stamps = {
            "source": Source.TELEOP,
            "session": self._session,
            "sequence": self._sequence,
            "stamp_ns": now_ns,
            "observation_stamp_ns": stamp_ns,
        }
        arm = None
        if intent.positions:
            # Due after now, however old the reading is: a step that is already past would be a jump.
            due_ns = now_ns - stamp_ns + round(self.config.lead_s * NS_PER_S)
            arm = ArmTarget(
                joint_names=tuple(intent.positions),
                positions=np.array([list(intent.positions.values())]),
                time_from_start_ns=np.array([max(0, due_ns)], dtype=np.int64),
                **stamps,
            )
        return TeleopOutput(arm, LocoCommand(height_m=intent.height_m, flags=intent.flags, **stamps))
