"""Faults and temperatures of the joints, as warnings: a hot motor is told of, never acted on by itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from wbvla_core.types import PlantReading


class JointHealth:
    """Tells of each fault when it appears and of each motor that gets hot; a motor counts as cool again only
    below ``cooled_c``, so that a reading at the edge does not chatter."""

    def __init__(self, names: Sequence[str], hot_c: float, cooled_c: float) -> None:
        self._names = tuple(names)
        self._hot_c, self._cooled_c = hot_c, cooled_c
        self._fault = np.zeros(len(self._names), np.int64)
        self._hot = np.zeros(len(self._names), bool)
        self._warmest = (float("nan"), "")

    def update(self, reading: PlantReading) -> list[tuple[str, str]]:
        """New findings as (joint, sentence)."""
        findings = []
        fault = np.asarray(reading.fault, np.int64)
        if not np.array_equal(fault, self._fault):
            for i in np.flatnonzero((fault != self._fault) & (fault != 0)):
                findings.append((self._names[i], f"fault code {fault[i]}"))
            self._fault = fault.copy()
        temperature = reading.temperature_c
        if not np.isfinite(temperature).any():
            return findings
        warmest = int(np.nanargmax(temperature))
        self._warmest = (float(temperature[warmest]), self._names[warmest])
        hot = (temperature > self._hot_c) | (self._hot & (temperature > self._cooled_c))
        if hot.any():
            for i in np.flatnonzero(hot & ~self._hot):
                findings.append((self._names[i], f"motor at {temperature[i]:.0f} deg C"))
        self._hot = hot
        return findings

    def summary(self) -> dict[str, str]:
        """For diagnostics."""
        faulty = [f"{self._names[i]}={self._fault[i]}" for i in np.flatnonzero(self._fault)]
        celsius, name = self._warmest
        return {
            "joint_faults": ", ".join(faulty) or "none",
            "warmest_joint": f"{name} {celsius:.0f} deg C" if name else "not measured",
        }
