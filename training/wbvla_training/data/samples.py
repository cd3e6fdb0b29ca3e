"""Made-up recordings whose every value tells its own time: what benches and tests convert and then check."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import Source
from wbvla_teleop.bag import BagWriter
from wbvla_teleop.bag_metadata import TopicInfo
from wbvla_teleop.definitions import typestore

NAMESPACE = "/wbvla"
START_NS = 1_750_000_000_000_000_000
TRANSPORT_NS = 2_000_000
# The waist's yaw [rad] and the commanded height [m] grow steadily, so that a value tells its time.
RAMP_JOINT, RAMP_RAD_S = "waist_yaw_joint", 0.01
HEIGHT_M, HEIGHT_M_S = 0.5, 0.001
_BLOCK, _BITS = 16, 16


@dataclass(frozen=True)
class SampleEpisode:
    """What to record. ``silent``: (topic key, from s, to s) without messages; ``takeover_s``: the VLA drives
    until then, a person after."""

    seconds: float = 4.0
    camera_hz: float = 15.0
    state_hz: float = 200.0
    command_hz: float = 50.0
    joint_states_hz: float = 200.0
    task: str = "touch the red ball with your left hand"
    start_ns: int = START_NS
    pictures: int = 60
    silent: tuple[tuple[str, float, float], ...] = ()
    leave_out: tuple[str, ...] = ()
    takeover_s: float | None = None
    robot: str = "x2_ultra"
    outcome: str = "true"


def write_sample(folder: Path, episode: SampleEpisode, contract: Contract | None = None, close: bool = True) -> BagWriter:
    """Record ``episode`` as the bag ``folder``; with ``close`` False it stays as a killed recorder leaves it."""
    contract = contract or Contract.load("x2")
    spec = RobotSpec.load("x2_ultra")
    always = {key: topic for key, topic in contract.topics.items() if topic.record == "always"}
    topics = {key: topic for key, topic in always.items() if key not in episode.leave_out}
    names = {key: _full(topic.topic) for key, topic in topics.items()}
    about = {
        "contract": contract.name,
        "contract_hash": contract.hash,
        "robot": episode.robot,
        "robot_spec_hash": spec.hash if episode.robot == spec.name else "0" * 16,
        "namespace": NAMESPACE,
        "task": episode.task,
        "operator": "sample",
        "episode": folder.name,
    }
    bag = BagWriter(
        folder,
        [TopicInfo(names[k], t.type, t.reliable or t.latched, t.latched) for k, t in topics.items()],
        {"wbvla": about},
        {"contract.yaml": contract.text.encode()},
        created_ns=episode.start_ns,
    )
    for key, stamp_ns, data in _messages(episode, spec, contract):
        seconds = (stamp_ns - episode.start_ns) / 1e9
        if key in names and not any(k == key and a <= seconds < b for k, a, b in episode.silent):
            bag.write(names[key], data, stamp_ns + TRANSPORT_NS, stamp_ns)
    if close:
        bag.close({"wbvla_outcome": {"task_succeeded": episode.outcome, "note": ""}})
    else:
        bag.flush()
    return bag


@lru_cache(maxsize=256)
def jpeg(number: int, height: int = 480, width: int = 640) -> bytes:
    """A picture of soft colours and discs that carries ``number`` in black and white blocks at its top."""
    from PIL import Image

    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    shift = 4.0 * number
    rgb = np.stack([
        127 + 90 * np.sin((x + shift) / 60),
        127 + 90 * np.cos((y - shift) / 45),
        127 + 90 * np.sin((x + y + shift) / 80),
    ], axis=-1)  # fmt: skip
    generator = np.random.default_rng(7)
    for _ in range(8):
        centre = generator.uniform(0, (width, height))
        inside = (x - (centre[0] + shift) % width) ** 2 + (y - centre[1]) ** 2 < generator.uniform(15, 50) ** 2
        rgb[inside] = generator.uniform(40, 215, 3)
    rgb += np.random.default_rng(number).normal(0.0, 2.0, (height, width, 1))
    for bit in range(_BITS):
        rgb[:_BLOCK, bit * _BLOCK : (bit + 1) * _BLOCK] = 235 if number >> bit & 1 else 20
    stream = io.BytesIO()
    Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=90)
    return stream.getvalue()


def picture_number(rgb: np.ndarray) -> int:
    """The number that :func:`jpeg` put into a picture."""
    half = _BLOCK // 2
    return sum(1 << bit for bit in range(_BITS) if rgb[half, bit * _BLOCK + half].mean() > 127)


def _messages(episode: SampleEpisode, spec: RobotSpec, contract: Contract) -> Iterator[tuple[str, int, bytes]]:
    """(topic key, stamp [ns], CDR) in the order of time."""
    make = _Maker(spec, contract, episode)
    rates = {
        "head_camera": episode.camera_hz,
        "robot_state": episode.state_hz,
        "joint_states": episode.joint_states_hz,
        "arm_target": episode.command_hz,
        "loco_command": episode.command_hz,
    }
    plan = [(0, key, 0) for key in ("authority", "instruction")]
    if episode.takeover_s is not None:
        plan.append((round(episode.takeover_s * 1e9), "authority", 1))
    for key, rate in rates.items():
        plan += [(round(i * 1e9 / rate), key, i) for i in range(int(episode.seconds * rate))]
    for offset_ns, key, number in sorted(plan):
        yield key, episode.start_ns + offset_ns, make(key, number, episode.start_ns + offset_ns, offset_ns / 1e9)


class _Maker:
    def __init__(self, spec: RobotSpec, contract: Contract, episode: SampleEpisode) -> None:
        self._spec, self._episode = spec, episode
        self._store = typestore()
        self._types = self._store.types
        self._kinds = {key: topic.type for key, topic in contract.topics.items()}
        self._arms = list(contract.features["action"].names[:16]) if "action" in contract.features else []
        height, width, _ = next(f.shape for f in contract.features.values() if f.is_video)
        self._size = (height, width)
        self._ramp = spec.joint_names.index(RAMP_JOINT)

    def __call__(self, key: str, number: int, stamp_ns: int, seconds: float) -> bytes:
        kind = self._kinds[key]
        values = getattr(self, f"_{key}")(number, stamp_ns, seconds)
        return bytes(self._store.serialize_cdr(self._types[kind](**values), kind))

    def _time(self, ns: int):
        return self._types["builtin_interfaces/msg/Time"](sec=ns // 10**9, nanosec=ns % 10**9)

    def _header(self, ns: int, frame: str = "pelvis"):
        return self._types["std_msgs/msg/Header"](stamp=self._time(ns), frame_id=frame)

    def _joints(self, seconds: float) -> np.ndarray:
        position = self._spec.default_rad + 0.1 * np.sin(0.6 * seconds + np.arange(self._spec.n))
        position[self._ramp] = RAMP_RAD_S * seconds
        return position

    def _source(self, seconds: float) -> int:
        takeover_s = self._episode.takeover_s
        return int(Source.VLA if takeover_s is not None and seconds < takeover_s else Source.TELEOP)

    def _head_camera(self, number: int, stamp_ns: int, _seconds: float) -> dict:
        data = jpeg(number % self._episode.pictures, *self._size)
        return {"header": self._header(stamp_ns, "head_camera"), "format": "jpeg",
                "data": np.frombuffer(data, np.uint8)}  # fmt: skip

    def _robot_state(self, number: int, stamp_ns: int, seconds: float) -> dict:
        n, vector = self._spec.n, self._types["geometry_msgs/msg/Vector3"]
        half = 0.02 * np.sin(seconds)
        return {
            "header": self._header(stamp_ns), "sequence": number, "spec_hash": self._spec.hash,
            "position": self._joints(seconds), "velocity": np.zeros(n), "effort": np.zeros(n),
            "gripper_opening": np.array([0.5 + 0.4 * np.sin(seconds), 0.5]),
            "orientation": self._types["geometry_msgs/msg/Quaternion"](
                x=0.0, y=float(np.sin(half)), z=0.0, w=float(np.cos(half))),
            "angular_velocity": vector(x=0.0, y=0.0, z=0.0),
            "linear_acceleration": vector(x=0.0, y=0.0, z=9.81),
            "plant_state": 2, "fault": np.zeros(n, np.uint32), "temperature": np.zeros(n, np.float32),
        }  # fmt: skip

    def _joint_states(self, _number: int, stamp_ns: int, seconds: float) -> dict:
        n = self._spec.n
        return {"header": self._header(stamp_ns), "name": list(self._spec.joint_names),
                "position": self._joints(seconds), "velocity": np.zeros(n), "effort": np.zeros(n)}  # fmt: skip

    def _command(self, number: int, stamp_ns: int, seconds: float) -> dict:
        return {"header": self._header(stamp_ns), "source": self._source(seconds), "session": 1,
                "sequence": number, "observation_stamp": self._time(stamp_ns)}  # fmt: skip

    def _arm_target(self, number: int, stamp_ns: int, seconds: float) -> dict:
        types = self._types
        positions = 0.2 * np.sin(0.6 * seconds + np.arange(len(self._arms)))
        positions[-2:] = 0.5
        point = types["trajectory_msgs/msg/JointTrajectoryPoint"](
            positions=positions, velocities=np.zeros(0), accelerations=np.zeros(0), effort=np.zeros(0),
            time_from_start=types["builtin_interfaces/msg/Duration"](sec=0, nanosec=0))  # fmt: skip
        trajectory = types["trajectory_msgs/msg/JointTrajectory"](
            header=self._header(stamp_ns), joint_names=self._arms, points=[point])  # fmt: skip
        return {**self._command(number, stamp_ns, seconds), "trajectory": trajectory}

    def _loco_command(self, number: int, stamp_ns: int, seconds: float) -> dict:
        return {**self._command(number, stamp_ns, seconds), "mode": 0, "s_x": int(seconds) % 2, "s_y": 0,
                "s_yaw": 0, "v_x": 0.0, "v_y": 0.0, "w_z": 0.0,
                "height": HEIGHT_M + HEIGHT_M_S * seconds}  # fmt: skip

    def _authority(self, number: int, stamp_ns: int, seconds: float) -> dict:
        return {"header": self._header(stamp_ns), "source": self._source(seconds), "session": number + 1}

    def _instruction(self, _number: int, _stamp_ns: int, _seconds: float) -> dict:
        return {"data": self._episode.task}


def _full(topic: str) -> str:
    return topic if topic.startswith("/") else f"{NAMESPACE}/{topic}"
