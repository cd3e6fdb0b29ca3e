"""From a serialised message to the numbers that the contract asks for."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from rosbags.serde import SerdeError
from rosbags.typesys import get_types_from_msg
from wbvla_core.contract import Feature, Part, Topic
from wbvla_core.rotations import projected_gravity
from wbvla_core.types import LocoMode
from wbvla_teleop.definitions import typestore

_STAMP = struct.Struct("<iI")
_FLAGS = {"s_x", "s_y", "s_yaw"}


class FieldError(ValueError):
    """A message does not hold what the contract says; it counts as if it had never come."""


def decode(data: bytes, type_name: str) -> Any:
    """The message as an object; raises FieldError for bytes that are none."""
    try:
        return typestore().deserialize_cdr(data, type_name)
    except (SerdeError, ValueError, IndexError) as error:
        raise FieldError(f"is no {type_name} ({type(error).__name__})") from None


def stamp_reader(topic: Topic) -> Callable[[bytes, int], int]:
    """Function (CDR, receive time [ns]) -> stamp [ns], by the contract's ``stamp`` entry."""
    if topic.stamp == "receive":
        return lambda _data, receive_ns: receive_ns
    first = typestore().fielddefs[topic.type][1][0]
    if topic.stamp == "header.stamp" and first[0] == "header":
        # The header is the first field: after four bytes of encapsulation come seconds and nanoseconds.
        def of_header(data: bytes, _receive_ns: int) -> int:
            if len(data) < 12:
                raise FieldError(f"of {len(data)} bytes has no header")
            seconds, nanoseconds = _STAMP.unpack_from(data, 4)
            return seconds * 1_000_000_000 + nanoseconds

        return of_header
    return lambda data, _receive_ns: _nanoseconds(_value(decode(data, topic.type), topic.stamp))


def same_definition(type_name: str, text: str) -> bool:
    """Whether a bag's definition of a type has the fields that this software knows."""
    try:
        found = get_types_from_msg(text, type_name)
    except (ValueError, KeyError, SyntaxError):
        return False
    ours = typestore().fielddefs
    return all(name in ours and list(fields[1]) == list(ours[name][1]) for name, fields in found.items())


def part_values(message: Any, part: Part, time_ns: int) -> np.ndarray:
    """Values float64 [len(part.names)] of one message; NaN for names that a ``select`` message leaves out.

    A trajectory is read at ``time_ns``: its newest point that is due then, else its first.

    Raises:
        FieldError: wrong size, not finite, or another command mode than the contract's.
    """
    if part.select:
        return _selected(message, part, time_ns)
    if part.transform == "projected_gravity":
        q = _value(message, part.fields[0])
        quaternion = np.array([q.w, q.x, q.y, q.z], np.float64)
        if not np.linalg.norm(quaternion) > 0.5:
            raise FieldError(f"has {part.fields[0]} {quaternion.tolist()}, which is no rotation")
        return projected_gravity(quaternion)
    if len(part.fields) == 1:
        values = np.atleast_1d(np.asarray(_value(message, part.fields[0]), np.float64))
    else:
        values = np.array([_value(message, name) for name in part.fields], np.float64)
    if _FLAGS & set(part.fields) and getattr(message, "mode", LocoMode.FLAGS) != LocoMode.FLAGS:
        raise FieldError("is in velocity mode, the contract asks for flags")
    if values.shape != (len(part.names),):
        raise FieldError(f"has {values.size} values in {part.fields[0]}, expected {len(part.names)}")
    if not np.isfinite(values).all():
        raise FieldError(f"is not finite in {part.fields[0]}")
    return values


def picture(message: Any, part: Part, feature: Feature) -> bytes:
    """JPEG bytes of a camera message; raises FieldError unless whole and of the contract's size."""
    from PIL import Image, UnidentifiedImageError

    data = bytes(_value(message, part.fields[0]))
    if data[:2] != b"\xff\xd8" or data[-2:] != b"\xff\xd9":
        raise FieldError("is not a whole JPEG picture")
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            size = image.size
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise FieldError(f"is not a JPEG picture ({error})") from None
    height, width, _ = feature.shape
    if size != (width, height):
        raise FieldError(f"is {size[0]} x {size[1]} pixels, the contract says {width} x {height}")
    return data


def _selected(message: Any, part: Part, time_ns: int) -> np.ndarray:
    value = _value(message, part.fields[0])
    if hasattr(value, "joint_names"):
        names, row = list(value.joint_names), _due_point(message, value, time_ns)
    else:
        names, row = list(message.name), np.asarray(value, np.float64)
    if len(row) != len(names):
        raise FieldError(f"has {len(row)} values for {len(names)} names")
    if not np.isfinite(row).all():
        raise FieldError(f"is not finite in {part.fields[0]}")
    place = {name: i for i, name in enumerate(names)}
    return np.array([row[place[name]] if name in place else np.nan for name in part.names])


def _due_point(message: Any, trajectory: Any, time_ns: int) -> np.ndarray:
    if not trajectory.points:
        raise FieldError("has a trajectory without points")
    since_ns = time_ns - _nanoseconds(message.observation_stamp)
    due = [i for i, point in enumerate(trajectory.points) if _nanoseconds(point.time_from_start) <= since_ns]
    return np.asarray(trajectory.points[due[-1] if due else 0].positions, np.float64)


def _value(message: Any, path: str) -> Any:
    for name in path.split("."):
        try:
            message = getattr(message, name)
        except AttributeError:
            raise FieldError(f"has no field {path}") from None
    return message


def _nanoseconds(stamp: Any) -> int:
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
