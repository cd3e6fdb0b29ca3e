"""Which model a task and a seed mean, in the plant and in whoever renders it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim.scenes import build_scene

DEFAULT_TASK = "empty"


@dataclass(frozen=True)
class World:
    """A compiled scene and the names of the bodies in it that can move, the robot's apart."""

    model: mujoco.MjModel
    movables: tuple[str, ...]


def build_world(spec: RobotSpec, task: str, seed: int) -> World:
    """The world of ``task`` (empty: the default one) and ``seed``; raises ValueError for an unknown task."""
    scene = build_scene(spec, task or DEFAULT_TASK, seed, feet="full")
    return World(scene.compile(), scene.movables)


def model_builder(spec: RobotSpec) -> Callable[[str, int], mujoco.MjModel]:
    """A function (task, seed) -> model of robot, scene and gantry; it raises ValueError for an unknown
    task.
    """
    return lambda task, seed: build_world(spec, task, seed).model
