"""A bare floor with the robot and its gantry, and drivers as simple as a constant pose."""

import mujoco
import numpy as np
import pytest
from wbvla_core.model import build_mjspec
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import PlantCommand
from wbvla_sim.gantry import add_gantry
from wbvla_sim.plant import Plant, PlantConfig

MS = 1_000_000


class Bench:
    """A plant on a bare floor with its own virtual clock; ``hold`` makes it follow a constant pose."""

    def __init__(self, config=None, seed=0):
        self.spec = RobotSpec.load("x2_ultra")
        scene = build_mjspec(self.spec)
        scene.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, size=[5, 5, 0.1])
        add_gantry(scene, self.spec)
        self.plant = Plant(scene.compile(), self.spec, config or PlantConfig(), seed)
        self.now_ns = 0
        self.sequence = 0

    def command(self, active=True, **changes):
        self.sequence += 1
        spec = self.spec
        fields = {
            "stamp_ns": self.now_ns,
            "sequence": self.sequence,
            "active": active,
            "position_rad": spec.default_rad,
            "velocity_rad_s": np.zeros(spec.n),
            "stiffness": spec.kp,
            "damping": spec.kd,
            "effort_feedforward_nm": np.zeros(spec.n),
            "gripper_opening": np.zeros(len(spec.hands)),
        }
        return PlantCommand(**{**fields, **changes})

    def run(self, seconds, every=None, period_s=0.005):
        """Step for ``seconds``, applying the command that ``every`` makes each ``period_s``; returns the
        readings.
        """
        readings = []
        for _ in range(round(seconds * 1000)):
            if every is not None and (self.now_ns // MS) % round(period_s * 1000) == 0:
                self.plant.apply(every())
            if self.plant.step(self.now_ns):
                readings.append(self.plant.reading())
            self.now_ns += MS
        return readings

    def activate(self):
        """Inactive, then active commands for a while: the drives follow the default pose."""
        self.run(0.02, lambda: self.command(active=False))
        self.run(0.05, self.command)

    def hold(self, seconds, **changes):
        return self.run(seconds, lambda: self.command(**changes))


@pytest.fixture
def make_bench():
    return Bench


@pytest.fixture
def bench():
    return Bench()
