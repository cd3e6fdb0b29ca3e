"""Ways to the actuators. ``make_backend`` picks one by name."""

from __future__ import annotations

from wbvla_core.robot_spec import RobotSpec

from wbvla_driver.backends.base import Backend, BackendError
from wbvla_driver.backends.mailbox import MailboxBackend

__all__ = ["BACKENDS", "Backend", "BackendError", "make_backend"]

BACKENDS = ("mailbox", "aimdk")


def make_backend(name: str, spec: RobotSpec, mailbox: str, timeout_s: float) -> Backend:
    """The backend ``name``; ``mailbox`` is the name of the plant's mailbox, ``timeout_s`` how long to wait
    for it.

    Raises BackendError for a backend that is unknown or does not exist yet.
    """
    if name in ("mailbox", "mujoco"):
        return MailboxBackend(spec, mailbox, timeout_s)
    if name == "aimdk":
        raise BackendError(
            "backend 'aimdk', the bridge to the drives of a real X2, does not exist yet; nothing was started on the "
            "robot. Use backend 'mailbox' with the simulated plant"
        )
    raise BackendError(f"unknown backend '{name}'; known are {', '.join(BACKENDS)}")
