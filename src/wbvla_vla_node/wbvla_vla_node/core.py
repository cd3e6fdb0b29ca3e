"""The VLA node without ROS: assembles observations at 10 Hz and turns chunks into commands.

Every time is an argument: integer ns of the clock that stamps camera frames and robot states.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from wbvla_core.types import ArmTarget, LatentAction, LocoCommand, LocoMode, Reason, RobotState, Source
from wbvla_core.vla_input import check_sentence, state_at, state_vector

from wbvla_vla_node.backend import Backend, Result
from wbvla_vla_node.policy import Chunk, Observation

_NS = 1_000_000_000


@dataclass(frozen=True)
class VlaConfig:
    """Ages in s. ``camera_max_age_s``: an older frame is no observation; ``state_max_gap_s``: largest age of
    a state at the frame's stamp; ``result_max_age_s``: an answer to an older frame is void;
    ``future_s``: stamps further ahead of now are refused."""

    camera_max_age_s: float = 0.3
    state_max_age_s: float = 0.1
    state_max_gap_s: float = 0.04
    result_max_age_s: float = 0.5
    inference_timeout_s: float = 1.0
    future_s: float = 0.05
    nominal_height_m: float = 0.64


@dataclass(frozen=True)
class Commands:
    """What one answer leads to. ``arm`` and ``loco`` are None while the VLA has no authority."""

    arm: ArmTarget | None
    loco: LocoCommand | None
    latent: LatentAction | None
    result: Result


@dataclass
class Counters:
    """Since construction. ``stale`` answers came too late, ``refused`` ones were not finite or out of shape,
    ``busy`` ticks found the backend still at work."""

    submitted: int = 0
    chunks: int = 0
    published: int = 0
    failed: int = 0
    stale: int = 0
    refused: int = 0
    busy: int = 0
    bad_inputs: int = 0

    @property
    def dropped(self) -> int:
        return self.failed + self.stale + self.refused + self.bad_inputs


@dataclass
class Progress:
    """How far the present instruction is. ``done``, ``share`` 0..1: the policy says so; None: it cannot tell.
    ``done_chunks``: how many times in a row it said last that it is done."""

    instruction: str
    start_ns: int
    chunks: int = 0
    done: bool | None = None
    share: float | None = None
    done_chunks: int = 0


@dataclass
class _Flight:
    id: int
    submitted_ns: int


@dataclass(frozen=True)
class _Frame:
    jpeg: bytes | None
    rgb: np.ndarray | None
    stamp_ns: int


class VlaCore:
    """Not thread-safe except for ``on_image`` and ``on_state``, which only store."""

    def __init__(
        self,
        backend: Backend,
        config: VlaConfig,
        decode_state: Callable[[object], RobotState] | None = None,
        check: Callable[[str], str] = check_sentence,
    ) -> None:
        """``decode_state`` makes a RobotState of what ``on_state`` stored, so that of hundreds of states a
        second only those that meet a frame are decoded; None: they are stored decoded. ``check`` gives the
        sentence as the model can take it, or raises InputError."""
        self.backend = backend
        self.config = config
        self.check = check
        self.counters = Counters()
        self.progress: Progress | None = None
        self.reason, self.detail = Reason.NONE, ""
        self._decode_state = decode_state
        self._frame: _Frame | None = None
        self._states: deque[tuple[int, object]] = deque(maxlen=200)
        self._source, self._session, self._sequence = Source.NONE, 0, 0
        self._flights: deque[_Flight] = deque()
        self._next_id = 0
        self._newest_used = -1
        self._height_m = config.nominal_height_m

    # Inputs.

    def on_image(self, stamp_ns: int, *, jpeg: bytes | None = None, rgb: np.ndarray | None = None) -> None:
        """The newest camera frame."""
        self._frame = _Frame(jpeg, rgb, stamp_ns)

    def on_state(self, stamp_ns: int, state: object) -> None:
        """A robot state, decoded or not (see ``decode_state``)."""
        self._states.append((stamp_ns, state))

    def on_authority(self, source: Source, session: int) -> None:
        """Who commands; commands count from 1 in each session."""
        if session != self._session:
            self._sequence = 0
        self._source, self._session = source, session

    def set_instruction(self, sentence: str, now_ns: int) -> None:
        """Follow a new sentence from the next tick on; raises InputError when it cannot be used."""
        sentence = self.check(sentence)
        self.progress = Progress(sentence, now_ns)
        self._forget_flights(sentence)

    def clear_instruction(self) -> None:
        """Do nothing until a new sentence comes."""
        self.progress = None
        self._forget_flights("")

    @property
    def has_authority(self) -> bool:
        return self._source == Source.VLA

    @property
    def waiting(self) -> bool:
        """Whether an observation is under way."""
        return bool(self._flights)

    # The tick.

    def begin(self, now_ns: int) -> bool:
        """Hand the newest observation to the backend; False when there is none, with ``reason`` saying
        why."""
        if self._flights and now_ns - self._flights[0].submitted_ns > self.config.inference_timeout_s * _NS:
            self._flights.popleft()
            self.counters.failed += 1
            self._say(Reason.INFERENCE_FAILED, f"no answer within {self.config.inference_timeout_s} s")
        if self.progress is None:
            self._say(Reason.NONE, "waits for an instruction")
            return False
        observation = self._observe(now_ns)
        if observation is None:
            return False
        value, stamp_ns = observation
        if not self.backend.submit(value, self._next_id, stamp_ns):
            self.counters.busy += 1
            return False
        self._flights.append(_Flight(self._next_id, now_ns))
        self._next_id += 1
        self.counters.submitted += 1
        return True

    def collect(self, now_ns: int) -> list[Commands]:
        """Commands of the answers that are ready."""
        commands = [self._commands(result, now_ns) for result in self.backend.poll()]
        return [command for command in commands if command is not None]

    def tick(self, now_ns: int) -> list[Commands]:
        """``begin`` and ``collect`` at one instant: the whole tick with an inline backend."""
        self.begin(now_ns)
        return self.collect(now_ns)

    def safe_command(self, now_ns: int) -> LocoCommand | None:
        """Stand at the present height; None without authority. To be sent before the node leaves."""
        if not self.has_authority:
            return None
        self._sequence += 1
        return LocoCommand(
            self._height_m,
            source=Source.VLA,
            session=self._session,
            sequence=self._sequence,
            stamp_ns=now_ns,
            observation_stamp_ns=now_ns,
        )

    # Helpers.

    def _observe(self, now_ns: int) -> tuple[Observation, int] | None:
        frame, config = self._frame, self.config
        if frame is None or now_ns - frame.stamp_ns > config.camera_max_age_s * _NS:
            age = "never came" if frame is None else f"is {(now_ns - frame.stamp_ns) / 1e6:.0f} ms old"
            return self._say(Reason.CAMERA_LOST, f"the newest camera frame {age}")
        if frame.stamp_ns - now_ns > config.future_s * _NS:
            self.counters.bad_inputs += 1
            ahead_ms = (frame.stamp_ns - now_ns) / 1e6
            return self._say(
                Reason.BAD_MESSAGE, f"the camera frame is stamped {ahead_ms:.0f} ms in the future"
            )
        states = list(self._states)
        if not states or now_ns - states[-1][0] > config.state_max_age_s * _NS:
            age = "never came" if not states else f"is {(now_ns - states[-1][0]) / 1e6:.0f} ms old"
            return self._say(Reason.STATE_LOST, f"the newest robot state {age}")
        after = bisect_right(states, frame.stamp_ns, key=lambda item: item[0])
        if after == 0 or frame.stamp_ns - states[after - 1][0] > config.state_max_gap_s * _NS:
            limit_ms = config.state_max_gap_s * 1e3
            return self._say(
                Reason.STATE_LOST, f"no robot state within {limit_ms:.0f} ms before the camera frame"
            )
        try:
            around = [(stamp_ns, self._vector(state)) for stamp_ns, state in states[after - 1 : after + 1]]
        except ValueError as error:
            self.counters.bad_inputs += 1
            return self._say(Reason.MISMATCH, str(error))
        vector = state_at(frame.stamp_ns, around)
        if not np.isfinite(vector).all():
            self.counters.bad_inputs += 1
            return self._say(Reason.BAD_MESSAGE, "the robot state is not finite")
        return Observation(self.progress.instruction, vector, frame.jpeg, frame.rgb), frame.stamp_ns

    def _vector(self, state: object) -> np.ndarray:
        return state_vector(self._decode_state(state) if self._decode_state else state)

    def _commands(self, result: Result, now_ns: int) -> Commands | None:
        self._flights = deque(flight for flight in self._flights if flight.id > result.id)
        chunk = result.chunk
        if chunk is None:
            self.counters.failed += 1
            return self._say(Reason.INFERENCE_FAILED, result.error)
        age_s = (now_ns - result.capture_stamp_ns) / _NS
        if age_s > self.config.result_max_age_s or result.id <= self._newest_used:
            self.counters.stale += 1
            return self._say(
                Reason.INFERENCE_FAILED, f"the answer is {age_s * 1e3:.0f} ms old, too late to use"
            )
        fault = _fault(chunk)
        if fault:
            self.counters.refused += 1
            return self._say(Reason.INFERENCE_FAILED, fault)
        self._newest_used = result.id
        self.counters.chunks += 1
        if self.progress is not None:
            self.progress.chunks += 1
            self.progress.done, self.progress.share = chunk.done, chunk.progress
            self.progress.done_chunks = self.progress.done_chunks + 1 if chunk.done else 0
        self._say(Reason.NONE, "")
        arm = loco = None
        if self.has_authority:
            self._sequence += 1
            self.counters.published += 1
            arm, loco = self._arm(chunk, result, now_ns), self._loco(chunk, result, now_ns)
            self._height_m = loco.height_m
        return Commands(arm, loco, chunk.latent, result)

    def _arm(self, chunk: Chunk, result: Result, now_ns: int) -> ArmTarget:
        steps = np.arange(len(chunk.positions), dtype=np.int64) * round(chunk.step_s * _NS)
        return ArmTarget(
            chunk.joint_names,
            chunk.positions,
            steps,
            result.capture_stamp_ns,
            Source.VLA,
            self._session,
            self._sequence,
            now_ns,
        )

    def _loco(self, chunk: Chunk, result: Result, now_ns: int) -> LocoCommand:
        row = int(np.ceil((now_ns - result.capture_stamp_ns) / _NS / chunk.step_s))
        values = chunk.loco[min(max(row, 0), len(chunk.loco) - 1)]
        flags, velocity = (0, 0, 0), (0.0, 0.0, 0.0)
        if chunk.mode == LocoMode.FLAGS:
            flags = tuple(int(v) for v in np.clip(np.rint(values[:3]), -1, 1))
        else:
            velocity = tuple(float(v) for v in values[:3])
        return LocoCommand(
            float(values[3]),
            flags,
            velocity,
            chunk.mode,
            Source.VLA,
            self._session,
            self._sequence,
            now_ns,
            result.capture_stamp_ns,
        )

    def _forget_flights(self, sentence: str) -> None:
        self.backend.reset(sentence)
        self._flights.clear()
        self._newest_used = self._next_id - 1

    def _say(self, reason: Reason, detail: str) -> None:
        self.reason, self.detail = reason, detail


def _fault(chunk: Chunk) -> str:
    """Why a chunk must not move the robot; empty when it may."""
    rows, columns = chunk.positions.shape[0], len(chunk.joint_names)
    if rows < 1 or chunk.positions.shape != (rows, columns) or chunk.loco.shape != (rows, 4):
        return f"the chunk has shapes {chunk.positions.shape} and {chunk.loco.shape} for {columns} joints"
    if not (np.isfinite(chunk.positions).all() and np.isfinite(chunk.loco).all()):
        return "the chunk is not finite"
    return ""
