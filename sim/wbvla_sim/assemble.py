"""Puts a lock-step run together from bundles: the stack as it runs on the graph, in one process."""

from __future__ import annotations

import numpy as np
from wbvla_core.bundle import load_bundle
from wbvla_core.grounding import GroundedController
from wbvla_core.kinematics import Kinematics
from wbvla_core.lmo import LmoController
from wbvla_core.paths import bundle_path
from wbvla_core.robot_spec import RobotSpec
from wbvla_driver.config import DriverConfig
from wbvla_driver.core import DriverCore
from wbvla_lmo_node.core import LmoConfig, LmoCore
from wbvla_vla_node.backend import InlineBackend
from wbvla_vla_node.bundle_policy import BundlePolicy
from wbvla_vla_node.core import VlaConfig, VlaCore

from wbvla_sim.lockstep import LockStep, Timing, pass_on
from wbvla_sim.plant import Plant, PlantConfig
from wbvla_sim.render import Renderer
from wbvla_sim.world import model_builder

LMO, LAST_RESORT = "lmo/x2", "lmo/stand"


class HeadCamera:
    """Pictures of a robot camera straight from a plant; follows it through resets."""

    def __init__(self, spec: RobotSpec, name: str) -> None:
        self._camera = next(camera for camera in spec.cameras if camera.name == name)
        self._renderer: Renderer | None = None
        self._model: object = None

    def __call__(self, plant: Plant) -> np.ndarray:
        """RGB picture [H, W, 3]; raises NoOpenGLError where there is no OpenGL."""
        if self._renderer is None or self._model is not plant.model:
            self.close()
            self._renderer = Renderer(plant.model, self._camera.width, self._camera.height)
            self._model = plant.model
        return self._renderer.camera(plant.data, self._camera.name)

    def close(self) -> None:
        """Free the GL resources."""
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def controller(spec: RobotSpec, bundle: str) -> LmoController:
    """The locomotion controller of a bundle, by name below ``models/`` or by path. Raises BundleError."""
    return LmoController(load_bundle(bundle_path(bundle), "lmo", spec), spec)


def assemble(
    spec: RobotSpec,
    *,
    task: str = "",
    seed: int = 0,
    lmo: str = LMO,
    vla: str | None = "vla/hold",
    camera: str | None = None,
    plant_config: PlantConfig | None = None,
    driver_config: DriverConfig | None = None,
    timing: Timing | None = None,
) -> LockStep:
    """A lock-step run of ``task`` and ``seed`` with the bundles ``lmo`` and ``vla`` (None: no VLA).

    ``camera`` names the robot's camera that is rendered for the VLA; None sends black frames. Raises
    BundleError, DriverConfigError or ValueError when something does not fit the robot.
    """
    build = model_builder(spec)
    plant = Plant(build(task, seed), spec, plant_config, seed, task=task, build=build)
    driver = DriverCore(spec, driver_config or DriverConfig(), Kinematics(spec), controller(spec, LAST_RESORT))
    core = None
    if vla is not None:
        policy = BundlePolicy.load(bundle_path(vla), spec)
        core = VlaCore(InlineBackend(policy), VlaConfig(), check=policy.check)
    picture = None if camera is None else HeadCamera(spec, camera)
    legs = LmoCore(GroundedController(controller(spec, lmo), spec), LmoConfig(), pass_on)
    return LockStep(plant, driver, legs, core, timing=timing, picture=picture)
