"""The locomotion command that passes on: within limits, without jumps, and coming to a stand when nobody
commands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from wbvla_core.timing import NS_PER_S
from wbvla_core.types import LocoCommand, LocoMode


class LocoShaper:
    """Shapes the command of the source with authority; with none it ramps to a stand.

    Velocities change by at most their limit per ``stand_ramp_s``, so that any speed is gone within it. Flags
    drop at once: the locomotion policy ramps them itself. The height moves at ``slew_m_s`` and stays where it
    is when a source is lost, because rising from a squat is a motion that nobody asked for.
    """

    def __init__(
        self,
        velocity_limit: tuple[float, float, float],
        height_range_m: tuple[float, float],
        stand_ramp_s: float,
        slew_m_s: float,
    ) -> None:
        self._limit = np.array(velocity_limit, float)
        self._height_range_m = height_range_m
        self._ramp_s = stand_ramp_s
        self._slew_m_s = slew_m_s
        self.limited = False
        self.reset(height_range_m[1], 0)

    def reset(self, height_m: float, now_ns: int) -> None:
        """Stand at ``height_m``."""
        low, high = self._height_range_m
        self._height_m = min(max(height_m, low), high)
        self._goal_m = self._height_m
        self._velocity = np.zeros(3)
        self._mode = LocoMode.FLAGS
        self._updated_ns = now_ns

    @property
    def height_m(self) -> float:
        """Present stance height of the command."""
        return self._height_m

    def update(self, wanted: LocoCommand | None, now_ns: int) -> LocoCommand:
        """Command now; ``wanted`` None asks for a stand. Source, session and stamps are the caller's
        business."""
        dt_s = min(max(now_ns - self._updated_ns, 0) / NS_PER_S, 0.1)
        self._updated_ns = now_ns
        goal_velocity = np.zeros(3)
        flags = (0, 0, 0)
        self.limited = False
        if wanted is not None:
            self._mode = wanted.mode
            low, high = self._height_range_m
            self._goal_m = min(max(wanted.height_m, low), high)
            self.limited = self._goal_m != wanted.height_m
            if wanted.mode == LocoMode.VELOCITY:
                asked = np.array(wanted.velocity, float)
                goal_velocity = np.clip(asked, -self._limit, self._limit)
                self.limited = self.limited or bool(np.any(goal_velocity != asked))
            else:
                flags = wanted.flags
        else:
            self._goal_m = self._height_m
        step = self._limit * (dt_s / self._ramp_s)
        self._velocity = self._velocity + np.clip(goal_velocity - self._velocity, -step, step)
        reach = self._slew_m_s * dt_s
        self._height_m += min(max(self._goal_m - self._height_m, -reach), reach)
        shaped = LocoCommand(
            height_m=float(self._height_m),
            flags=flags,
            velocity=tuple(float(v) for v in self._velocity),
            mode=self._mode,
        )
        return shaped if wanted is None else replace(shaped, observation_stamp_ns=wanted.observation_stamp_ns)
