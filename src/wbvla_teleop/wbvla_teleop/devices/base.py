"""What every operator's device is, and what some of them need to know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from wbvla_teleop.frame import TeleopFrame, WristPose


class DeviceError(RuntimeError):
    """The device cannot be used; says which, why, and what to do."""


class Device(Protocol):
    """A source of frames. One thread calls it."""

    name: str

    def open(self) -> None:
        """Get hold of the device. Raises :class:`DeviceError`."""
        ...

    def read(self, now_ns: int) -> TeleopFrame | None:
        """The newest reading at ``now_ns`` (the clock of the stamps), at once; None while the device is
        silent or gone. It may come back by itself."""
        ...

    def close(self) -> None:
        """Let go of the device. May be called twice."""
        ...


@dataclass(frozen=True)
class Whereabouts:
    """Where the robot's hands (in the torso's frame) and its stance height are, as commanded last: devices
    that give rates, not places, start from here."""

    left: WristPose
    right: WristPose
    height_m: float


Where = Callable[[], Whereabouts]


class Guarded:
    """A device that drives by itself (a replay, a scripted operator) with the deadman in a person's hand:
    nothing moves unless ``guard``'s deadman is held. Buttons of both count."""

    def __init__(self, device: Device, guard: Device) -> None:
        self._device, self._guard = device, guard
        self.parts = (device, guard)
        self.name = f"{device.name} guarded by {guard.name}"

    def open(self) -> None:
        self._guard.open()
        self._device.open()

    def read(self, now_ns: int) -> TeleopFrame | None:
        safe = self._guard.read(now_ns)
        if safe is None:
            return None
        if not safe.deadman:
            # Not read, a replay stands still; it goes on from there.
            return safe
        frame = self._device.read(now_ns)
        if frame is None:
            return replace(safe, deadman=False)
        return replace(frame, buttons=frame.buttons | safe.buttons)

    def close(self) -> None:
        self._device.close()
        self._guard.close()
