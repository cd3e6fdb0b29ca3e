"""A terminal's keyboard. Terminals report no key-up, so each key is a lease of 0.5 s that the key's repeat
renews; a held key is the deadman too."""

from __future__ import annotations

import contextlib
import os
import termios
import tty
from dataclasses import replace

import numpy as np
from wbvla_core.timing import NS_PER_S

from wbvla_teleop.devices.base import DeviceError, Where
from wbvla_teleop.devices.pad import PadConfig
from wbvla_teleop.frame import (
    AUTHORITY,
    EPISODE_DISCARD,
    EPISODE_FAIL,
    EPISODE_START,
    EPISODE_STOP,
    ESTOP,
    TORSO,
    TeleopFrame,
    WristPose,
)

HELP = (
    "w/s walk  a/d turn  q/e sideways  r/f height | 1/2 hand, i/k j/l u/o move it, g/h close/open | "
    "space STOP  x E-STOP  t authority  n start  m success  , fail  b discard  ? help"
)
WALK = {"w": (0, 1), "s": (0, -1), "q": (1, 1), "e": (1, -1), "a": (2, 1), "d": (2, -1)}
HEIGHT = {"r": 1.0, "f": -1.0}
HAND = {
    "i": (1.0, 0.0, 0.0),
    "k": (-1.0, 0.0, 0.0),
    "j": (0.0, 1.0, 0.0),
    "l": (0.0, -1.0, 0.0),
    "u": (0.0, 0.0, 1.0),
    "o": (0.0, 0.0, -1.0),
}
GRIP = {"g": -1.0, "h": 1.0}
BUTTON = {
    "x": ESTOP,
    "t": AUTHORITY,
    "n": EPISODE_START,
    "m": EPISODE_STOP,
    ",": EPISODE_FAIL,
    "b": EPISODE_DISCARD,
}
LEASE_NS = NS_PER_S // 2
GRIP_SPEED = 1.5
_MOTIONS = frozenset(WALK) | frozenset(HEIGHT) | frozenset(HAND) | frozenset(GRIP)


class KeyMapper:
    """Keys and times in, frames out. Height, wrist targets and grippers stay where the keys left them."""

    def __init__(self, where: Where, config: PadConfig | None = None) -> None:
        self._where, self.config = where, config or PadConfig()
        self._until: dict[str, int] = {}
        self._hand = 1
        self._targets: list[WristPose | None] = [None, None]
        self._height_m: float | None = None
        self._openings: list[float] | None = None
        self._stamp_ns: int | None = None

    def press(self, key: str, now_ns: int) -> None:
        """A key came (pressed, or repeated while held)."""
        key = key.lower()
        if key == " ":
            self._until.clear()
        elif key in "12":
            self._hand = int(key) - 1
        elif key in _MOTIONS or key in BUTTON:
            self._until[key] = now_ns + LEASE_NS

    def frame(self, now_ns: int) -> TeleopFrame:
        """What the keys mean now."""
        dt_s = 0.0 if self._stamp_ns is None else min(max(now_ns - self._stamp_ns, 0) / NS_PER_S, 0.1)
        self._stamp_ns = now_ns
        self._until = {key: until for key, until in self._until.items() if until > now_ns}
        held = self._until.keys()
        buttons = frozenset(name for key, name in BUTTON.items() if key in held)
        if not held & _MOTIONS:
            self._targets, self._height_m, self._openings = [None, None], None, None
            return TeleopFrame(now_ns, False, buttons=buttons)
        flags = [0, 0, 0]
        for key, (axis, sign) in WALK.items():
            if key in held:
                flags[axis] = max(-1, min(1, flags[axis] + sign))
        where = self._where()
        if self._height_m is None:
            self._height_m = where.height_m
        rise = sum(sign for key, sign in HEIGHT.items() if key in held)
        self._height_m += rise * self.config.height_speed_m_s * dt_s
        self._move_hand(held, dt_s)
        return TeleopFrame(
            now_ns,
            True,
            left=self._targets[0],
            right=self._targets[1],
            grippers=self._grip(held, dt_s),
            flags=(flags[0], flags[1], flags[2]),
            height_m=self._height_m,
            buttons=buttons,
        )

    def _move_hand(self, held, dt_s: float) -> None:
        rate = sum((np.array(way) for key, way in HAND.items() if key in held), start=np.zeros(3))
        if not rate.any() and self._targets[self._hand] is None:
            return
        where = self._where()
        present = (where.left, where.right)[self._hand]
        target = self._targets[self._hand] or WristPose(present.position_m, None, TORSO)
        position = target.position_m + rate * self.config.hand_speed_m_s * dt_s
        ahead = position - present.position_m
        distance = float(np.linalg.norm(ahead))
        if distance > self.config.leash_m:
            position = present.position_m + ahead * (self.config.leash_m / distance)
        self._targets[self._hand] = replace(target, position_m=position)

    def _grip(self, held, dt_s: float) -> tuple[float, float] | None:
        """None until a gripper key came: then the driver leaves the grippers as they are."""
        way = sum(sign for key, sign in GRIP.items() if key in held)
        if way == 0 and self._openings is None:
            return None
        if self._openings is None:
            self._openings = [0.5, 0.5]
        opening = self._openings[self._hand] + way * GRIP_SPEED * dt_s
        self._openings[self._hand] = min(max(opening, 0.0), 1.0)
        return self._openings[0], self._openings[1]


class KeyboardDevice:
    """Reads keys from a terminal, by default the one the node runs in."""

    def __init__(self, where: Where, config: PadConfig | None = None, path: str = "/dev/tty") -> None:
        self.name = f"keyboard on {path}"
        self._path = path
        self._where, self._config = where, config
        self._file: int | None = None

    def open(self) -> None:
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_NOCTTY)
            self._saved = termios.tcgetattr(self._file)
            tty.setcbreak(self._file)
        except (OSError, termios.error) as error:
            self.close()
            raise DeviceError(
                f"keyboard: {self._path} is no terminal ({error}); run it in a terminal of its own: "
                "wbvla teleop keyboard"
            ) from None
        self._mapper = KeyMapper(self._where, self._config)
        self._say(HELP)

    def read(self, now_ns: int) -> TeleopFrame | None:
        if self._file is None:
            return None
        try:
            keys = os.read(self._file, 256).decode("utf-8", "replace")
        except BlockingIOError:
            keys = ""
        except OSError:  # the terminal was closed
            self.close()
            return None
        for key in keys:
            if key == "?":
                self._say(HELP)
            else:
                self._mapper.press(key, now_ns)
        return self._mapper.frame(now_ns)

    def close(self) -> None:
        if self._file is None:
            return
        file, self._file = self._file, None
        if hasattr(self, "_saved"):
            # A terminal that is gone needs no settings back.
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(file, termios.TCSANOW, self._saved)
        os.close(file)

    def _say(self, text: str) -> None:
        assert self._file is not None
        os.write(self._file, f"{text}\r\n".encode())
