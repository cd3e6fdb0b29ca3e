"""A gamepad by sensor_msgs/Joy messages, from joy_node or any other publisher."""

from __future__ import annotations

from collections.abc import Sequence

from wbvla_core.timing import NS_PER_MS

from wbvla_teleop.devices.base import Where
from wbvla_teleop.devices.layout import Layout
from wbvla_teleop.devices.pad import PadConfig, PadMapper
from wbvla_teleop.frame import TeleopFrame


class JoyDevice:
    """Fed by :meth:`take` from a subscription. joy_node repeats a pad held still (``autorepeat_rate``, 20
    Hz by default), so silence means that it is gone; 0 switches that off and must not be used."""

    def __init__(
        self,
        topic: str,
        layout: Layout,
        where: Where,
        config: PadConfig | None = None,
        silence_ms: float = 150.0,
    ) -> None:
        self.name = f"joy on {topic} ({layout.name})"
        self._layout, self._where, self._config = layout, where, config
        self._silence_ns = round(silence_ms * NS_PER_MS)
        self._newest: tuple[Sequence[float], Sequence[int], int] | None = None

    def open(self) -> None:
        self._newest = None
        self._mapper = PadMapper(self._layout, self._where, self._config)

    def take(self, axes: Sequence[float], buttons: Sequence[int], stamp_ns: int) -> None:
        """A message came; ``stamp_ns`` is when (may be called from another thread)."""
        self._newest = (axes, buttons, stamp_ns)

    def read(self, now_ns: int) -> TeleopFrame | None:
        newest = self._newest
        if newest is None or now_ns - newest[2] > self._silence_ns:
            return None
        frame = self._mapper.map(newest[0], newest[1], now_ns)
        return TeleopFrame(**{**frame.__dict__, "stamp_ns": newest[2]})

    def close(self) -> None:
        self._newest = None
