"""A plant behind the shared-memory mailbox: the MuJoCo twin, or any other process that speaks it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from wbvla_core.mailbox import Mailbox, MailboxError
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import PlantCommand, PlantReading

from wbvla_driver.backends.base import BackendError, Capabilities

REOPEN_NS = 500_000_000


class MailboxBackend:
    """Opens the mailbox that the plant made. A plant that leaves is noticed, and the next one met."""

    def __init__(
        self, spec: RobotSpec, name: str, timeout_s: float, clock: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._spec, self._name, self._timeout_s = spec, name, timeout_s
        self._clock = clock
        self._mailbox: Mailbox | None = None
        self._tried_ns = 0
        self.capabilities = Capabilities(
            groups=tuple(spec.groups), impedance=True, head="head" in spec.groups, hands=bool(spec.hands)
        )

    @property
    def clock_offset_ns(self) -> int:
        """0: the plant runs on this host."""
        return 0

    def acquire(self) -> Iterator[str]:
        """Opens the mailbox (waiting for the plant) and waits for the first reading."""
        try:
            mailbox = Mailbox.open(self._name, self._spec, self._timeout_s)
        except MailboxError as error:
            raise BackendError(str(error)) from None
        self._mailbox = mailbox
        yield f"mailbox '{self._name}' of {self._spec.name} opened"
        give_up_ns = self._clock() + int(self._timeout_s * 1e9)
        while mailbox.read_reading() is None:
            if self._clock() > give_up_ns:
                raise BackendError(f"the plant of mailbox '{self._name}' gives no readings; is it running?")
            time.sleep(0.01)
        yield "the plant gives readings"

    def release(self) -> Iterator[str]:
        """Closes the mailbox."""
        if self._mailbox is not None:
            self._mailbox.close()
            self._mailbox = None
            yield f"mailbox '{self._name}' closed"

    def read(self) -> PlantReading | None:
        """None while no plant is there."""
        if self._mailbox is None or self._mailbox.orphaned:
            self._reopen()
        return None if self._mailbox is None else self._mailbox.read_reading()

    def write(self, command: PlantCommand) -> None:
        """Does nothing while no plant is there; raises BackendError when another driver commands it."""
        if self._mailbox is None:
            return
        try:
            self._mailbox.write_command(command)
        except MailboxError as error:
            raise BackendError(str(error)) from None

    def _reopen(self) -> None:
        """Look for the next plant now and then, without waiting."""
        if self._mailbox is not None:
            self._mailbox.close()
            self._mailbox = None
        now_ns = self._clock()
        if now_ns - self._tried_ns < REOPEN_NS:
            return
        self._tried_ns = now_ns
        try:
            self._mailbox = Mailbox.open(self._name, self._spec, 0.0)
        except MailboxError:
            # No plant yet, or one of another robot: the robot state stays lost, which is told already.
            self._mailbox = None
