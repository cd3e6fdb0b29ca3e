"""Which model a task and a seed mean, in the plant and in whoever renders it."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim.scenes import build_scene

DEFAULT_TASK = "empty"


def model_builder(spec: RobotSpec) -> Callable[[str, int], mujoco.MjModel]:
    """A function (task, seed) -> model of robot, scene and gantry; it raises ValueError for an unknown
    task.
    """

    def build(task: str, seed: int) -> mujoco.MjModel:
        return build_scene(spec, task or DEFAULT_TASK, seed).compile()

    return build
