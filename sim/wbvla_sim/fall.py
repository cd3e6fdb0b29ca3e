"""When a robot has fallen: base too low, or anything but its feet on the floor, while no rope carries it."""

from __future__ import annotations

import mujoco
import numpy as np
from wbvla_core.model import ROOT_JOINT
from wbvla_core.robot_spec import RobotSpec

FALLEN_HEIGHT_M = 0.35
FLOOR = "floor"
_OTHER, _FLOOR, _BODY, _FOOT = 0, 1, 2, 4


class FallDetector:
    """Watches one robot in one model whose floor geom is called ``floor``; what it found stays until
    ``reset``.
    """

    def __init__(self, model: mujoco.MjModel, spec: RobotSpec) -> None:
        self._model = model
        self._height = int(model.joint(ROOT_JOINT).qposadr[0]) + 2
        base = model.body(spec.base_link).id
        feet = [model.body(foot.link).id for foot in spec.feet]
        kinds = np.where(model.body_rootid[model.geom_bodyid] == base, _BODY, _OTHER)
        kinds[np.isin(model.geom_bodyid, feet)] = _FOOT
        self._floor = model.geom(FLOOR).id
        kinds[self._floor] = _FLOOR
        self._kinds = kinds
        touches = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        self._soles = np.flatnonzero(
            (kinds == _FOOT) & touches & (model.geom_type == mujoco.mjtGeom.mjGEOM_SPHERE)
        )
        self.reset()

    def reset(self) -> None:
        """Forget a fall."""
        self.fell = False
        self.reason = ""

    def lowest_sole_m(self, data: mujoco.MjData) -> float:
        """Height of the lowest point of the soles above the floor; ``data`` needs current kinematics."""
        heights = data.geom_xpos[self._soles, 2] - self._model.geom_size[self._soles, 0]
        return float(heights.min() - data.geom_xpos[self._floor, 2])

    def update(self, data: mujoco.MjData, hoisted: bool) -> None:
        """Look at the state after a physics step."""
        if hoisted or self.fell:
            return
        if data.qpos[self._height] < FALLEN_HEIGHT_M:
            self._fall(data, f"base below {FALLEN_HEIGHT_M} m")
            return
        pairs = self._kinds[data.contact.geom]
        hits = np.flatnonzero(pairs.sum(axis=1) == _FLOOR + _BODY)
        if hits.size:
            geoms = data.contact.geom[hits[0]]
            body = int(geoms[0] if self._kinds[geoms[0]] == _BODY else geoms[1])
            name = self._model.body(int(self._model.geom_bodyid[body])).name
            self._fall(data, f"{name} touched the floor")

    def _fall(self, data: mujoco.MjData, reason: str) -> None:
        self.fell = True
        self.reason = f"{reason} at {data.time:.3f} s"
