"""The simulator's own mailbox: the whole scene for renderers and judges, and requests to the plant.

It is named after the robot's mailbox with ``-sim`` behind. The plant owns it and writes ``SimSnapshot``; any
process may read, or send one of the requests below and get an answer.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass

import numpy as np
from wbvla_core.mailbox import MailboxError, MailboxSpec
from wbvla_core.shared_slots import SharedSlots

CAPACITY = 512
"""Most coordinates (nq, nv) a scene may have."""
TEXT_BYTES = 1024
_KIND = "sim"
_INTS = 6
_FLOATS = 3 + 7 + 2 * CAPACITY


@dataclass(frozen=True)
class SimSnapshot:
    """The scene at ``stamp_ns`` (wall clock): ``qpos`` [nq], ``qvel`` [nv], pose of the gantry's bar [7]
    (xyz, wxyz).

    ``task`` and ``seed`` say which model it belongs to; ``resets`` rises with each reset.
    """

    stamp_ns: int
    resets: int
    seed: int
    task: str
    sim_time_s: float
    real_time_factor: float
    fell: bool
    hoisted: bool
    gantry_height_m: float
    bar_pose: np.ndarray
    qpos: np.ndarray
    qvel: np.ndarray


@dataclass(frozen=True)
class GantryRequest:
    """Hook on and move the bar to ``height_m`` at ``speed_m_s``, or unhook."""

    hooked: bool
    height_m: float = 0.0
    speed_m_s: float = 0.1


@dataclass(frozen=True)
class PushRequest:
    """See ``Plant.push``."""

    body: str
    force_n: tuple[float, float, float]
    duration_s: float


@dataclass(frozen=True)
class ResetRequest:
    """See ``Plant.reset``."""

    task: str
    seed: int


@dataclass(frozen=True)
class FaultRequest:
    """Injected fault: ``kind`` "joint" (``value`` = JointFault bits), "imu" or "state" (``value`` 1 lost, 0
    healed).
    """

    kind: str
    name: str = ""
    value: int = 1


Request = GantryRequest | PushRequest | ResetRequest | FaultRequest
_REQUESTS = {kind.__name__: kind for kind in (GantryRequest, PushRequest, ResetRequest, FaultRequest)}


@dataclass(frozen=True)
class Reply:
    """What the plant answered."""

    success: bool
    message: str


class SimMailbox:
    """Both ends of the simulator's mailbox; the plant calls ``create``, everyone else ``open``."""

    def __init__(self, shared: SharedSlots) -> None:
        self._shared = shared
        self._state, self._request, self._reply = shared.slots
        self._ints, self._floats = np.zeros(_INTS, np.int64), np.zeros(_FLOATS)
        self._answered = self._request.counter

    @staticmethod
    def _sizes() -> tuple[int, int, int]:
        return 8 * (_INTS + _FLOATS) + TEXT_BYTES, TEXT_BYTES, TEXT_BYTES

    @classmethod
    def create(cls, name: str, spec: MailboxSpec) -> SimMailbox:
        """Own the simulator's mailbox of robot ``name``. Raises MailboxError when a living plant owns it."""
        return cls(SharedSlots.create(f"{name}-sim", _KIND, spec.hash, cls._sizes()))

    @classmethod
    def open(cls, name: str, spec: MailboxSpec, timeout_s: float = 0.0) -> SimMailbox:
        """Join it, waiting up to ``timeout_s``. Raises MailboxError as ``Mailbox.open`` does."""
        return cls(SharedSlots.open(f"{name}-sim", _KIND, spec.hash, cls._sizes(), timeout_s))

    def write(self, snapshot: SimSnapshot) -> None:
        """Replace the snapshot. Raises ValueError when the scene has more than ``CAPACITY`` coordinates."""
        nq, nv = snapshot.qpos.size, snapshot.qvel.size
        if max(nq, nv) > CAPACITY:
            raise ValueError(f"scene of {nq} coordinates; the simulator's mailbox takes {CAPACITY}")
        flags = int(snapshot.fell) | int(snapshot.hoisted) << 1
        self._ints[:] = snapshot.stamp_ns, snapshot.resets, snapshot.seed, nq, nv, flags
        self._floats[:3] = snapshot.sim_time_s, snapshot.real_time_factor, snapshot.gantry_height_m
        self._floats[3:10] = snapshot.bar_pose
        self._floats[10 : 10 + nq] = snapshot.qpos
        self._floats[10 + CAPACITY : 10 + CAPACITY + nv] = snapshot.qvel
        self._state.write(self._ints.tobytes() + self._floats.tobytes() + _pack(snapshot.task))

    def read(self) -> SimSnapshot | None:
        """Newest snapshot; None before the first."""
        message = self._state.read()
        if message is None:
            return None
        payload = message[1]
        stamp_ns, resets, seed, nq, nv, flags = np.frombuffer(payload, np.int64, _INTS).tolist()
        floats = np.frombuffer(payload, np.float64, _FLOATS, offset=8 * _INTS)
        return SimSnapshot(
            stamp_ns=stamp_ns,
            resets=resets,
            seed=seed,
            task=_unpack(payload[-TEXT_BYTES:]),
            sim_time_s=float(floats[0]),
            real_time_factor=float(floats[1]),
            fell=bool(flags & 1),
            hoisted=bool(flags & 2),
            gantry_height_m=float(floats[2]),
            bar_pose=floats[3:10],
            qpos=floats[10 : 10 + nq],
            qvel=floats[10 + CAPACITY : 10 + CAPACITY + nv],
        )

    def ask(self, request: Request, timeout_s: float = 2.0) -> Reply:
        """Send ``request`` and wait for the plant's answer.

        Raises MailboxError when another process keeps the line busy or the plant does not answer in time.
        """
        deadline = time.monotonic() + timeout_s
        self._claim(deadline)
        try:
            text = json.dumps([type(request).__name__, asdict(request)])
            self._request.write(_pack(text))
            number = self._request.counter
            while True:
                message = self._reply.read()
                if message is not None:
                    answer = json.loads(_unpack(message[1]))
                    if answer["number"] == number:
                        return Reply(answer["success"], answer["message"])
                if time.monotonic() > deadline:
                    raise MailboxError(f"the plant did not answer within {timeout_s} s; is it still running?")
                time.sleep(0.001)
        finally:
            self._shared.unclaim()

    def _claim(self, deadline: float) -> None:
        while True:
            try:
                return self._shared.claim()
            except MailboxError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.001)

    def next_request(self) -> Request | None:
        """For the plant: a request that came since the last call, to be answered with ``answer``."""
        if self._request.counter == self._answered:
            return None
        message = self._request.read()
        if message is None:
            return None
        self._answered = message[0]
        try:
            name, fields = json.loads(_unpack(message[1]))
            request = _REQUESTS[name](**fields)
        except (ValueError, KeyError, TypeError) as error:
            self.answer(Reply(False, f"request not understood ({error!r}); run both sides from one source"))
            return None
        return request

    def answer(self, reply: Reply) -> None:
        """For the plant: answer the request that ``next_request`` gave last."""
        text = {"number": self._answered, "success": reply.success, "message": reply.message[:600]}
        self._reply.write(_pack(json.dumps(text)))

    @property
    def orphaned(self) -> bool:
        """True when the plant has left."""
        return self._shared.orphaned

    def close(self) -> None:
        """Let go of the mailbox."""
        self._shared.close()

    def unlink(self) -> None:
        """Remove the mailbox; only its owner's call has an effect."""
        self._shared.unlink()


def _pack(text: str) -> bytes:
    data = text.encode()
    if len(data) > TEXT_BYTES:
        raise ValueError(f"text of {len(data)} bytes; the simulator's mailbox takes {TEXT_BYTES}")
    return data.ljust(TEXT_BYTES, b"\0")


def _unpack(data: bytes) -> str:
    return data.rstrip(b"\0").decode()
