"""Does the robot stand on its feet, or hang? A balancing policy that treads air only flails."""

from __future__ import annotations

from dataclasses import dataclass

from wbvla_core.timing import NS_PER_MS, NS_PER_S


@dataclass(frozen=True)
class FootingConfig:
    """On the ground once the feet carry ``grounded_share`` of the weight for ``grounded_ms``.

    In the air once they carry less than ``air_share`` for ``air_part`` of the time, as a low-pass of
    ``air_filter_s`` sees it: after 0.35 s without any load, after a second of legs that flail (which look
    loaded half of the time), and not in a step or a push.
    """

    grounded_share: float = 0.2
    grounded_ms: float = 40.0
    air_share: float = 0.1
    air_part: float = 0.35
    air_filter_s: float = 0.8


class Footing:
    """Watches the load on the feet, as share of the weight."""

    def __init__(self, config: FootingConfig) -> None:
        self._config = config
        self.reset()

    def reset(self) -> None:
        """Hanging, until the feet say otherwise."""
        self.grounded = False
        self._loaded_since_ns: int | None = None
        self._airy = 0.0
        self._updated_ns: int | None = None

    def update(self, load_share: float, now_ns: int) -> bool:
        """True when it changed."""
        dt_s = 0.0 if self._updated_ns is None else (now_ns - self._updated_ns) / NS_PER_S
        self._updated_ns = now_ns
        return self._lift_off(load_share, dt_s) if self.grounded else self._touch_down(load_share, now_ns)

    def _touch_down(self, load_share: float, now_ns: int) -> bool:
        if load_share < self._config.grounded_share:
            self._loaded_since_ns = None
            return False
        if self._loaded_since_ns is None:
            self._loaded_since_ns = now_ns
        self.grounded = now_ns - self._loaded_since_ns >= self._config.grounded_ms * NS_PER_MS
        self._airy = 0.0
        return self.grounded

    def _lift_off(self, load_share: float, dt_s: float) -> bool:
        light = 1.0 if load_share < self._config.air_share else 0.0
        self._airy += (light - self._airy) * min(1.0, dt_s / self._config.air_filter_s)
        if self._airy < self._config.air_part:
            return False
        self.grounded, self._loaded_since_ns = False, None
        return True
