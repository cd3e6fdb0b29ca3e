"""A gamepad straight from the kernel's joystick device (Linux /dev/input/jsN), without a ROS joy node."""

from __future__ import annotations

import errno
import os
import struct

from wbvla_core.timing import NS_PER_S

from wbvla_teleop.devices.base import DeviceError, Where
from wbvla_teleop.devices.layout import Layout
from wbvla_teleop.devices.pad import PadConfig, PadMapper
from wbvla_teleop.frame import TeleopFrame

# struct js_event of linux/joystick.h: time [ms], value, type, number.
_EVENT = struct.Struct("<IhBB")
_BUTTON, _AXIS, _INIT = 0x01, 0x02, 0x80
_FULL = 32767.0
_REOPEN_NS = NS_PER_S // 2


class JoystickDevice:
    """Reads events without blocking; a pad that was unplugged is looked for twice a second."""

    def __init__(self, path: str, layout: Layout, where: Where, config: PadConfig | None = None) -> None:
        self.path = path
        self.name = f"joystick {path} ({layout.name})"
        self._layout, self._where, self._config = layout, where, config
        self._file: int | None = None
        self._tried_ns: int | None = None

    def open(self) -> None:
        try:
            self._file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK)
        except OSError as error:
            raise DeviceError(
                f"joystick '{self.path}': {error.strerror}; plug the pad in, see 'ls /dev/input/js*', "
                "and be in the group 'input'"
            ) from None
        self._mapper = PadMapper(self._layout, self._where, self._config)
        self._axes: list[float] = []
        self._buttons: list[int] = []

    def read(self, now_ns: int) -> TeleopFrame | None:
        if self._file is None and not self._reopen(now_ns):
            return None
        assert self._file is not None
        try:
            while True:
                data = os.read(self._file, 64 * _EVENT.size)
                if not data:
                    raise OSError(errno.ENODEV, "the pad is gone")
                for _time_ms, value, kind, number in _EVENT.iter_unpack(data[: len(data) // 8 * 8]):
                    self._take(value, kind, number)
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return None
        return self._mapper.map(self._axes, self._buttons, now_ns)

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _reopen(self, now_ns: int) -> bool:
        if self._tried_ns is not None and now_ns - self._tried_ns < _REOPEN_NS:
            return False
        self._tried_ns = now_ns
        try:
            self.open()
        except DeviceError:
            return False
        return True

    def _take(self, value: int, kind: int, number: int) -> None:
        kind &= ~_INIT
        if kind == _BUTTON:
            _put(self._buttons, number, value, 0)
        elif kind == _AXIS:
            # The kernel counts right and down up, sensor_msgs/Joy left and up.
            _put(self._axes, number, -value / _FULL, 0.0)


def _put(values: list, number: int, value, empty) -> None:
    values.extend([empty] * (number + 1 - len(values)))
    values[number] = value
