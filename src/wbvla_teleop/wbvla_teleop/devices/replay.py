"""A recorded episode as a device: its arms, head, grippers, flags and height again, at the recorded times."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from wbvla_core.robot_spec import RobotSpec

from wbvla_teleop.definitions import typestore
from wbvla_teleop.devices.base import DeviceError
from wbvla_teleop.frame import TeleopFrame

ARM, LOCO = "arm_target", "loco_command"
_FLAGS_MODE = 0
_LONGEST_STEP_NS = 100_000_000


@dataclass(frozen=True)
class Episode:
    """What was commanded: arm targets (times [A] ns, dict each) and locomotion commands (times [L] ns, flags,
    height each). Times count from the first message."""

    arm_ns: np.ndarray
    arms: tuple[dict[str, float], ...]
    loco_ns: np.ndarray
    locos: tuple[tuple[tuple[int, int, int], float], ...]

    @property
    def duration_ns(self) -> int:
        """Until the last command."""
        ends = [int(times[-1]) for times in (self.arm_ns, self.loco_ns) if len(times)]
        return max(ends, default=0)


def load_episode(bag: Path) -> Episode:
    """The commands that passed the driver's mux in ``bag`` (a rosbag2 folder). Raises :class:`DeviceError`."""
    if not (bag / "metadata.yaml").is_file():
        raise DeviceError(f"replay: '{bag}' is no rosbag2 folder (it has no metadata.yaml)")
    arms: list[tuple[int, dict[str, float]]] = []
    locos: list[tuple[int, tuple[tuple[int, int, int], float]]] = []
    try:
        with AnyReader([bag], default_typestore=typestore()) as reader:
            wanted = {}
            for connection in reader.connections:
                name = _mux_topic(connection.topic)
                if name is not None:
                    wanted[connection.id] = name
            chosen = [c for c in reader.connections if c.id in wanted]
            for connection, stamp_ns, data in reader.messages(connections=chosen):
                message = reader.deserialize(data, connection.msgtype)
                if wanted[connection.id] == ARM:
                    arms.append((stamp_ns, _positions(message)))
                else:
                    locos.append((stamp_ns, _locomotion(message, bag)))
    except AnyReaderError as error:
        raise DeviceError(f"replay: '{bag}' cannot be read: {error}") from None
    if not arms and not locos:
        raise DeviceError(f"replay: '{bag}' holds no {ARM} and no {LOCO}; record with the stack's recorder")
    start = min(entry[0] for entry in (*arms[:1], *locos[:1]))
    return Episode(
        np.array([t - start for t, _ in arms], dtype=np.int64),
        tuple(pose for _, pose in arms),
        np.array([t - start for t, _ in locos], dtype=np.int64),
        tuple(command for _, command in locos),
    )


def _mux_topic(topic: str) -> str | None:
    """ARM or LOCO for the topics behind the mux (``/robot/arm_target``), None for others (``/robot/vla/...``)."""
    parts = topic.strip("/").split("/")
    source = parts[-2] if len(parts) > 1 else ""
    return parts[-1] if parts[-1] in (ARM, LOCO) and source not in ("vla", "teleop") else None


def _positions(message) -> dict[str, float]:
    trajectory = message.trajectory
    return dict(zip(trajectory.joint_names, map(float, trajectory.points[0].positions), strict=True))


def _locomotion(message, bag: Path) -> tuple[tuple[int, int, int], float]:
    moving = any((message.v_x, message.v_y, message.w_z))
    if message.mode != _FLAGS_MODE and moving:
        raise DeviceError(f"replay: '{bag}' commands velocities; only flags can be replayed")
    return (int(message.s_x), int(message.s_y), int(message.s_yaw)), float(message.height)


class ReplayDevice:
    """Plays an episode once, beginning with the first reading; then its deadman is released. Its time stands still
    while it is not read."""

    def __init__(self, bag: Path, spec: RobotSpec) -> None:
        self.name = f"replay of {bag.name}"
        self._bag, self._spec = bag, spec
        self._episode: Episode | None = None
        self._read_ns: int | None = None
        self._elapsed_ns = 0

    def open(self) -> None:
        self._episode = load_episode(self._bag)
        known = {*self._spec.joint_names, *self._spec.hand_names}
        odd = sorted({name for pose in self._episode.arms for name in pose} - known)
        if odd:
            raise DeviceError(
                f"replay: '{self._bag}' commands joints that {self._spec.name} lacks: {', '.join(odd)}"
            )
        self._read_ns, self._elapsed_ns = None, 0

    def read(self, now_ns: int) -> TeleopFrame | None:
        episode = self._episode
        if episode is None:
            return None
        if self._read_ns is None:
            # One frame without deadman comes first: it must be seen released before it counts.
            self._read_ns = now_ns
            return TeleopFrame(now_ns, False)
        self._elapsed_ns += min(max(now_ns - self._read_ns, 0), _LONGEST_STEP_NS)
        self._read_ns = now_ns
        elapsed = self._elapsed_ns
        if elapsed > episode.duration_ns:
            return TeleopFrame(now_ns, False)
        pose = _at(episode.arm_ns, episode.arms, elapsed) or {}
        flags, height = _at(episode.loco_ns, episode.locos, elapsed) or ((0, 0, 0), None)
        hands = self._spec.hand_names
        grippers = tuple(pose[name] for name in hands) if all(name in pose for name in hands) else None
        return TeleopFrame(
            now_ns,
            True,
            joints={name: angle for name, angle in pose.items() if name not in hands} or None,
            grippers=grippers,
            flags=flags,
            height_m=height,
        )

    def close(self) -> None:
        self._episode = None


def _at(times_ns: np.ndarray, values: tuple, elapsed_ns: int):
    """The newest value not after ``elapsed_ns``, None before the first."""
    i = int(np.searchsorted(times_ns, elapsed_ns, side="right")) - 1
    return values[i] if i >= 0 else None
