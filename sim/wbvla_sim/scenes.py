"""Scenes: the robot in a room with a gantry and what the scene's name says. Same name and seed, same
scene."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import mujoco
import numpy as np
from wbvla_core.kinematics import Kinematics
from wbvla_core.model import build_mjspec, joint_addresses
from wbvla_core.robot_spec import RobotSpec

from wbvla_sim import scene_parts as parts
from wbvla_sim.gantry import add_gantry
from wbvla_sim.tasks.box_cart_scene import furnish_box_cart
from wbvla_sim.tasks.reach_scene import furnish_far, furnish_near

HOME_KEY = "home"


@dataclass(frozen=True)
class Scene:
    """A scene before compilation: ``mjspec`` with the robot first, and the bodies in it that can move by
    name.
    """

    name: str
    mjspec: mujoco.MjSpec
    movables: tuple[str, ...]

    def compile(self) -> mujoco.MjModel:
        """The compiled model, with keyframe ``home``: robot in its default pose on the floor, things in
        place.
        """
        return self.mjspec.compile()


def scene_names() -> tuple[str, ...]:
    """Names that ``build_scene`` knows."""
    return tuple(_FURNISH)


def build_scene(
    spec: RobotSpec, name: str, seed: int | np.random.Generator = 0, *, feet: str = "spheres"
) -> Scene:
    """Build a scene; looks, masses, frictions and places vary with ``seed``. The robot stands at the origin
    facing +x. ``feet`` as in ``build_mjspec``. Raises ValueError for an unknown name."""
    if name not in _FURNISH:
        raise ValueError(f"no scene {name!r}; there are {', '.join(_FURNISH)}")
    rng = seed if isinstance(seed, np.random.Generator) else np.random.default_rng(seed)
    scene = build_mjspec(spec, feet=feet)
    scene.modelname = f"{spec.name}_{name}"
    # Buffers for the largest picture; near plane close enough for a hand before the camera.
    scene.visual.global_.offwidth, scene.visual.global_.offheight = 1280, 960
    scene.visual.map.znear, scene.visual.map.zfar = 0.02, 20.0
    scene.visual.quality.shadowsize = 2048
    scene.visual.map.shadowclip = 3.0
    scene.stat.extent, scene.stat.center = 1.0, [0.0, 0.0, 0.7]
    parts.add_room(scene, rng)
    movables = _FURNISH[name](scene, rng)
    add_gantry(scene, spec)
    _add_home(scene, spec)
    return Scene(name, scene, movables)


def _empty(scene: mujoco.MjSpec, rng: np.random.Generator) -> tuple[str, ...]:
    return ()


def _table(scene: mujoco.MjSpec, rng: np.random.Generator) -> tuple[str, ...]:
    """A table before the robot with four balls and a box on it, a shelf behind."""
    height = float(rng.uniform(0.62, 0.7))
    parts.add_table(scene, rng, "table", (0.62, 0.0), height)
    parts.add_shelf(scene, rng, "shelf", (2.6, float(rng.uniform(-1.0, 1.0))), (0.35, 0.7, 1.05))
    places = rng.permutation([-0.3, -0.12, 0.12, 0.3])
    names = []
    for colour, y in zip(parts.BALL_COLOURS, places, strict=True):
        x = 0.42 + rng.uniform(-0.04, 0.06)
        names.append(parts.add_ball(scene, rng, colour, (x, y + rng.uniform(-0.03, 0.03), height)))
    parts.add_box(scene, rng, "box", (0.74, rng.uniform(-0.15, 0.15), height), rng.uniform(-0.2, 0.2))
    return (*names, "box")


_FURNISH: dict[str, Callable[[mujoco.MjSpec, np.random.Generator], tuple[str, ...]]] = {
    "empty": _empty,
    "table": _table,
    "box_cart": furnish_box_cart,
    "reach_table": furnish_far,
    "reach_table_near": furnish_near,
}


def _add_home(scene: mujoco.MjSpec, spec: RobotSpec) -> None:
    model = scene.compile()
    qpos = model.qpos0.copy()
    qpos[2] = Kinematics(spec).stance_height_m(spec.default_rad)
    qpos[joint_addresses(model, spec)[0]] = spec.default_rad
    ctrl = np.zeros(model.nu)
    ctrl[: spec.n] = spec.kp * spec.default_rad
    scene.add_key(name=HOME_KEY, qpos=qpos, ctrl=ctrl)
