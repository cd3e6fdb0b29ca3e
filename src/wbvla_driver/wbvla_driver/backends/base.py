"""What the driver asks of whatever owns the actuators."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from wbvla_core.types import PlantCommand, PlantReading


class BackendError(RuntimeError):
    """The actuators cannot be had; says why and what to do."""


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do. ``groups``: joint groups that it drives; ``impedance``: takes stiffness, damping
    and feed-forward torque per joint; ``velocity``, ``height``: takes body velocity or height because a
    controller behind it balances; ``head``, ``hands``: takes them."""

    groups: tuple[str, ...]
    impedance: bool
    velocity: bool = False
    height: bool = False
    head: bool = False
    hands: bool = False

    def describe(self) -> str:
        """One line for logs and diagnostics."""
        able = [name for name in ("impedance", "velocity", "height", "head", "hands") if getattr(self, name)]
        return f"groups {', '.join(self.groups)}; {', '.join(able)}"


class Backend(Protocol):
    """Owner of the actuators. Only the control thread calls ``read`` and ``write``; both return at once."""

    @property
    def capabilities(self) -> Capabilities:
        """What it can do."""
        ...

    @property
    def clock_offset_ns(self) -> int:
        """Clock of the plant minus the wall clock of this host; readings are already in the latter."""
        ...

    def acquire(self) -> Iterator[str]:
        """Take the actuators over, step by step: yields a sentence after each step, raises BackendError when
        one fails. Nothing may move."""
        ...

    def release(self) -> Iterator[str]:
        """Give the actuators back, step by step, as ``acquire``."""
        ...

    def read(self) -> PlantReading | None:
        """Newest reading, the same one again while there is none newer; None when there is none."""
        ...

    def write(self, command: PlantCommand) -> None:
        """Hand over a command; raises BackendError when the plant would not take it."""
        ...
