"""The mailbox between driver and plant: newest PlantCommand one way, newest PlantReading the other.

Arrays are fixed by the RobotSpec, whose hash both sides must share. Stamps are the ROS wall clock in
nanoseconds and are made by the callers. See ``shared_slots`` for how a message stays whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from wbvla_core.shared_slots import MailboxError, SharedSlots
from wbvla_core.types import ImuSample, PlantCommand, PlantReading, PlantState

__all__ = ["Mailbox", "MailboxError", "MailboxSpec"]

_KIND = "plant"
_IMU_FLOATS = 10
_NO_STAMP = -1


class _Named(Protocol):
    @property
    def name(self) -> str: ...


class MailboxSpec(Protocol):
    """What the mailbox needs of a RobotSpec."""

    @property
    def n(self) -> int: ...

    @property
    def hash(self) -> str: ...

    @property
    def hands(self) -> Sequence[object]: ...

    @property
    def imus(self) -> Sequence[_Named]: ...


class _Layout:
    """Sizes and names derived from the spec, and the scratch arrays that messages are put together in."""

    def __init__(self, spec: MailboxSpec) -> None:
        self.n, self.hands = spec.n, len(spec.hands)
        self.imus = tuple(imu.name for imu in spec.imus)
        self.command_ints = np.zeros(3, np.int64)
        self.command_floats = np.zeros(5 * self.n + self.hands + 1)
        self.reading_ints = np.zeros(6 + len(self.imus) + self.n, np.int64)
        self.reading_floats = np.zeros(4 * self.n + self.hands + _IMU_FLOATS * len(self.imus))

    @property
    def sizes(self) -> tuple[int, int]:
        return (
            self.command_ints.nbytes + self.command_floats.nbytes,
            self.reading_ints.nbytes + self.reading_floats.nbytes,
        )


def _fill(target: np.ndarray, parts: Sequence[tuple[str, object, int]]) -> None:
    """Copy ``parts`` (field, values, expected length) one after the other into ``target``."""
    start = 0
    for name, values, length in parts:
        array = np.asarray(values)
        if array.shape != (length,):
            raise ValueError(f"{name} has shape {array.shape}, the robot needs ({length},)")
        target[start : start + length] = array
        start += length


class Mailbox:
    """One robot's mailbox. The plant calls ``create``, the driver ``open``; see the module's text.

    A driver is the only writer of commands: the first ``write_command`` claims the mailbox for its process.
    """

    def __init__(self, shared: SharedSlots, layout: _Layout) -> None:
        self._shared = shared
        self._layout = layout
        self._command_slot, self._reading_slot = shared.slots
        self._claimed = shared.owner
        self._command: tuple[int, PlantCommand | None] = (0, None)
        self._reading: tuple[int, PlantReading | None] = (0, None)

    @classmethod
    def create(cls, name: str, spec: MailboxSpec) -> Mailbox:
        """Own the mailbox ``name``; an abandoned one is taken over and emptied.

        Raises MailboxError when another living plant owns it.
        """
        layout = _Layout(spec)
        return cls(SharedSlots.create(name, _KIND, spec.hash, layout.sizes), layout)

    @classmethod
    def open(cls, name: str, spec: MailboxSpec, timeout_s: float = 0.0) -> Mailbox:
        """Join the mailbox that a plant made, waiting up to ``timeout_s`` for it.

        Raises MailboxError when it is missing, or of another version or robot spec.
        """
        layout = _Layout(spec)
        return cls(SharedSlots.open(name, _KIND, spec.hash, layout.sizes, timeout_s), layout)

    @property
    def instance(self) -> int:
        """Rises when a new plant takes the mailbox over."""
        return self._shared.instance

    @property
    def orphaned(self) -> bool:
        """True when the plant has left and removed the mailbox; open it again to meet the next one."""
        return self._shared.orphaned

    @property
    def torn_reads(self) -> int:
        """Attempts at reading that met a write and were repeated."""
        return self._command_slot.torn + self._reading_slot.torn

    def write_command(self, command: PlantCommand) -> None:
        """Replace the command.

        Raises ValueError naming a field of the wrong length, MailboxError when another process commands.
        """
        if not self._claimed:
            self._shared.claim()
            self._claimed = True
        layout, n = self._layout, self._layout.n
        layout.command_ints[:] = command.stamp_ns, command.sequence, command.active
        _fill(
            layout.command_floats,
            (
                ("position_rad", command.position_rad, n),
                ("velocity_rad_s", command.velocity_rad_s, n),
                ("stiffness", command.stiffness, n),
                ("damping", command.damping, n),
                ("effort_feedforward_nm", command.effort_feedforward_nm, n),
                ("gripper_opening", command.gripper_opening, layout.hands),
                ("interpolation_s", (command.interpolation_s,), 1),
            ),
        )
        self._command_slot.write(layout.command_ints.tobytes() + layout.command_floats.tobytes())

    def read_command(self) -> PlantCommand | None:
        """Newest command, the same object again while nothing newer came; None before the first."""
        counter = self._command_slot.counter
        if counter == self._command[0]:
            return self._command[1]
        message = self._command_slot.read()
        if message is None:
            if counter == 0:
                self._command = (0, None)
            return self._command[1]
        ints, floats = self._split(message[1], self._layout.command_ints.size)
        fields = self._cut(floats, (self._layout.n,) * 5 + (self._layout.hands, 1))
        command = PlantCommand(
            stamp_ns=int(ints[0]),
            sequence=int(ints[1]),
            active=bool(ints[2]),
            position_rad=fields[0],
            velocity_rad_s=fields[1],
            stiffness=fields[2],
            damping=fields[3],
            effort_feedforward_nm=fields[4],
            gripper_opening=fields[5],
            interpolation_s=float(fields[6][0]),
        )
        self._command = (message[0], command)
        return command

    def write_reading(self, reading: PlantReading) -> None:
        """Replace the reading. Raises ValueError naming a field of the wrong length."""
        layout, n = self._layout, self._layout.n
        imus = [reading.imus.get(name) for name in layout.imus]
        counters = (
            reading.stamp_ns,
            reading.sequence,
            reading.plant_state,
            reading.watchdog_trips,
            reading.set_points,
            reading.last_command_sequence,
        )
        stamps = tuple(imu.stamp_ns if imu else _NO_STAMP for imu in imus)
        _fill(
            layout.reading_ints,
            (("counters", counters, 6), ("imus", stamps, len(stamps)), ("fault", reading.fault, n)),
        )
        parts = [
            ("position_rad", reading.position_rad, n),
            ("velocity_rad_s", reading.velocity_rad_s, n),
            ("effort_nm", reading.effort_nm, n),
            ("temperature_c", reading.temperature_c, n),
            ("gripper_opening", reading.gripper_opening, layout.hands),
        ]
        for name, imu in zip(layout.imus, imus, strict=True):
            if imu is None:
                parts.append((name, np.full(_IMU_FLOATS, np.nan), _IMU_FLOATS))
                continue
            parts.append((f"{name}.quaternion_wxyz", imu.quaternion_wxyz, 4))
            parts.append((f"{name}.angular_velocity_rad_s", imu.angular_velocity_rad_s, 3))
            parts.append((f"{name}.linear_acceleration_m_s2", imu.linear_acceleration_m_s2, 3))
        _fill(layout.reading_floats, parts)
        self._reading_slot.write(layout.reading_ints.tobytes() + layout.reading_floats.tobytes())

    def read_reading(self) -> PlantReading | None:
        """Newest reading, the same object again while nothing newer came; None before the first."""
        counter = self._reading_slot.counter
        if counter == self._reading[0]:
            return self._reading[1]
        message = self._reading_slot.read()
        if message is None:
            if counter == 0:
                self._reading = (0, None)
            return self._reading[1]
        layout, n = self._layout, self._layout.n
        ints, floats = self._split(message[1], layout.reading_ints.size)
        fields = self._cut(floats, (n,) * 4 + (layout.hands,) + (4, 3, 3) * len(layout.imus))
        imus = {
            name: ImuSample(int(ints[6 + i]), *fields[5 + 3 * i : 8 + 3 * i])
            for i, name in enumerate(layout.imus)
            if ints[6 + i] != _NO_STAMP
        }
        reading = PlantReading(
            stamp_ns=int(ints[0]),
            sequence=int(ints[1]),
            position_rad=fields[0],
            velocity_rad_s=fields[1],
            effort_nm=fields[2],
            gripper_opening=fields[4],
            imus=imus,
            plant_state=PlantState(int(ints[2])),
            fault=ints[6 + len(layout.imus) :],
            temperature_c=fields[3],
            watchdog_trips=int(ints[3]),
            set_points=int(ints[4]),
            last_command_sequence=int(ints[5]),
        )
        self._reading = (message[0], reading)
        return reading

    @staticmethod
    def _split(payload: bytes, ints: int) -> tuple[np.ndarray, np.ndarray]:
        return np.frombuffer(payload, np.int64, ints), np.frombuffer(payload, np.float64, offset=8 * ints)

    @staticmethod
    def _cut(floats: np.ndarray, lengths: Sequence[int]) -> list[np.ndarray]:
        ends = np.cumsum(lengths)
        return [floats[end - length : end] for end, length in zip(ends, lengths, strict=True)]

    def close(self) -> None:
        """Let go of the mailbox; the plant also calls ``unlink`` before."""
        self._shared.close()

    def unlink(self) -> None:
        """Remove the mailbox; only its owner's call has an effect."""
        self._shared.unlink()
