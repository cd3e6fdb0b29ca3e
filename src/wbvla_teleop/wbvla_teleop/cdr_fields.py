"""Reads the first fields of a serialised message without deserialising the rest.

The recorder wants each message's header stamp and sequence number, at hundreds of messages a second and
without paying for arrays and images. Both stand before the first array in our messages, so a walk over a few
fixed fields and at most a string or two is enough.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from rosbags.interfaces import Nodetype
from rosbags.typesys.store import Typestore

_SIZES = {
    "bool": 1,
    "byte": 1,
    "char": 1,
    "int8": 1,
    "uint8": 1,
    "int16": 2,
    "uint16": 2,
    "int32": 4,
    "uint32": 4,
    "float32": 4,
    "int64": 8,
    "uint64": 8,
    "float64": 8,
}
_STRING = 0
_WANTED = ("header.stamp.nanosec", "sequence")


@dataclass(frozen=True)
class HeadFields:
    """What the head of a message says; None where the type has no such field in reach."""

    stamp_ns: int | None
    sequence: int | None


class HeadReader:
    """Reader of ``header.stamp`` and ``sequence`` for one message type."""

    def __init__(self, store: Typestore, type_name: str) -> None:
        self._steps: list[tuple[str, int]] = []
        self._walk(store, type_name, "")
        wanted = [i for i, (name, _) in enumerate(self._steps) if name in _WANTED]
        self._steps = self._steps[: wanted[-1] + 1] if wanted else []

    def _walk(self, store: Typestore, type_name: str, prefix: str) -> bool:
        """Append the fixed fields and strings of a type; False once something of unknown length comes."""
        for name, (kind, info) in store.fielddefs[type_name][1]:
            path = prefix + name
            if kind == Nodetype.BASE:
                base = info[0]
                self._steps.append((path, _STRING if base == "string" else _SIZES[base]))
            elif kind == Nodetype.NAME:
                if not self._walk(store, info, path + "."):
                    return False
            else:
                return False
        return True

    def read(self, data: bytes | memoryview) -> HeadFields:
        """Head fields of one CDR message (4 bytes of encapsulation first).

        Raises:
            ValueError: the message is shorter than its head.
        """
        if len(data) < 4:
            raise ValueError(f"a message of {len(data)} bytes has no CDR encapsulation")
        order = "<" if data[1] & 1 else ">"
        values: dict[str, int] = {}
        at = 4
        try:
            for name, size in self._steps:
                if size == _STRING:
                    at += -(at - 4) % 4
                    (length,) = struct.unpack_from(order + "I", data, at)
                    at += 4 + length
                    continue
                at += -(at - 4) % size
                if name == "header.stamp.sec":
                    (values["sec"],) = struct.unpack_from(order + "i", data, at)
                elif name == "header.stamp.nanosec":
                    (values["nanosec"],) = struct.unpack_from(order + "I", data, at)
                elif name == "sequence":
                    (values["sequence"],) = struct.unpack_from(order + "Q", data, at)
                at += size
        except struct.error:
            raise ValueError(f"a message of {len(data)} bytes ends within its head") from None
        stamp = values["sec"] * 1_000_000_000 + values["nanosec"] if "nanosec" in values else None
        return HeadFields(stamp, values.get("sequence"))
