"""Rooms that never look the same twice: walls, floor, light, doors, pictures, furniture off the walked path."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

from wbvla_sim import scene_parts as parts
from wbvla_sim.video import textures

_BOX, _CYLINDER = mujoco.mjtGeom.mjGEOM_BOX, mujoco.mjtGeom.mjGEOM_CYLINDER
CLEARANCE_M = 0.45


@dataclass(frozen=True)
class Bounds:
    """Walls of a room in m."""

    low: tuple[float, float]
    high: tuple[float, float]
    height: float

    @staticmethod
    def around(rng: np.random.Generator, points_m: np.ndarray) -> Bounds:
        """A room that holds ``points_m`` [N, 2] with room to spare on every side."""
        low = points_m.min(0) - rng.uniform(0.7, 3.0, 2)
        high = points_m.max(0) + rng.uniform(0.7, 3.0, 2)
        return Bounds(tuple(low.tolist()), tuple(high.tolist()), float(rng.uniform(2.4, 3.2)))


def add_shell(scene: mujoco.MjSpec, rng: np.random.Generator, bounds: Bounds) -> None:
    """Floor, walls with doors and pictures, lights."""
    (x0, y0), (x1, y1) = bounds.low, bounds.high
    middle = np.array([0.5 * (x0 + x1), 0.5 * (y0 + y1)])
    half = np.array([0.5 * (x1 - x0), 0.5 * (y1 - y0)])
    floor = textures.add_surface(
        scene, rng, "floor", textures.colour(rng, 0.25, 0.8), textures.FLOORS, float(rng.uniform(0.6, 2.0))
    )
    plane = scene.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, material=floor)
    plane.pos, plane.size = [*middle, 0.0], [*(half + 0.1), 0.1]
    paint = textures.add_surface(scene, rng, "wall", textures.colour(rng, 0.45, 0.95), textures.WALLS, 2.0)
    accent = textures.add_surface(scene, rng, "accent", textures.colour(rng), textures.WALLS, 1.5)
    for i, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
        wall = scene.worldbody.add_geom(type=_BOX, material=accent if rng.random() < 0.25 else paint)
        wall.pos = [middle[0] + x * half[0], middle[1] + y * half[1], 0.5 * bounds.height]
        wall.size = [0.05 if x else half[0], 0.05 if y else half[1], 0.5 * bounds.height]
        _decorate(scene, rng, i, np.array(wall.pos), np.array([x, y]), half)
    _light(scene, rng)


def _decorate(
    scene: mujoco.MjSpec,
    rng: np.random.Generator,
    wall: int,
    at: np.ndarray,
    normal: np.ndarray,
    half: np.ndarray,
) -> None:
    """Up to three doors, pictures or skirting on one wall."""
    along = np.array([abs(normal[1]), abs(normal[0])])
    length = float(half @ along)
    for k in range(int(rng.integers(0, 4))):
        door = rng.random() < 0.3
        wide, high = (0.45, 1.0) if door else (rng.uniform(0.15, 0.7), rng.uniform(0.12, 0.45))
        middle = at[:2] - 0.055 * normal + along * rng.uniform(-0.8, 0.8) * length
        panel = scene.worldbody.add_geom(type=_BOX)
        panel.pos = [*middle, high if door else rng.uniform(0.7, 1.8)]
        panel.size = [*(along * wide + np.abs(normal) * 0.012), high]
        panel.material = textures.poster(scene, rng, f"picture_{wall}_{k}") if not door else "accent"


def _light(scene: mujoco.MjSpec, rng: np.random.Generator) -> None:
    """One or two lamps, warm to cold, bright to dim."""
    warmth = rng.uniform(-0.12, 0.12)
    tone = np.array([1.0 + warmth, 1.0, 1.0 - warmth])
    for i in range(int(rng.integers(1, 3))):
        light = scene.worldbody.add_light(castshadow=False, type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL)
        direction = np.array([*rng.uniform(-1.0, 1.0, 2), -rng.uniform(0.5, 1.5)])
        light.pos, light.dir = -3.0 * direction, direction / np.linalg.norm(direction)
        light.diffuse = np.clip(rng.uniform(0.25, 0.7) * tone * (0.6 if i else 1.0), 0.0, 1.0)
        light.specular = [0.1, 0.1, 0.1]
    head = scene.visual.headlight
    head.ambient = np.clip(rng.uniform(0.25, 0.5) * tone, 0.0, 1.0)
    head.diffuse = [rng.uniform(0.05, 0.3)] * 3
    head.specular = [0.0, 0.0, 0.0]


def add_clutter(
    scene: mujoco.MjSpec, rng: np.random.Generator, bounds: Bounds, path_m: np.ndarray, taken_m: np.ndarray
) -> None:
    """Furniture and things on the floor, clear of the walked ``path_m`` [N, 2] and of ``taken_m`` [M, 2]."""
    keep_clear = np.concatenate((path_m, taken_m))
    for i in range(int(rng.integers(3, 12))):
        radius = float(rng.uniform(0.08, 0.4))
        spot = rng.uniform(np.array(bounds.low) + 0.3, np.array(bounds.high) - 0.3)
        if np.linalg.norm(keep_clear - spot, axis=1).min() < radius * 1.4 + CLEARANCE_M:
            continue
        keep_clear = np.concatenate((keep_clear, spot[None]))
        _add_thing(scene, rng, f"thing_{i}", spot, radius)


def _add_thing(
    scene: mujoco.MjSpec, rng: np.random.Generator, name: str, at: np.ndarray, radius: float
) -> None:
    height = float(rng.uniform(0.05, 0.9))
    if radius > 0.3 and rng.random() < 0.3:
        parts.add_shelf(scene, rng, name, at, tuple(np.sort(rng.uniform(0.2, 1.4, 3)).tolist()))
        return
    material = textures.add_surface(scene, rng, name, textures.colour(rng), textures.OBJECTS, 0.6)
    thing = scene.worldbody.add_geom(material=material, pos=[*at, height])
    yaw = rng.uniform(0.0, np.pi)
    thing.quat = [np.cos(0.5 * yaw), 0.0, 0.0, np.sin(0.5 * yaw)]
    if rng.random() < 0.35:
        thing.type, thing.size = _CYLINDER, [radius * 0.7, height, 0.0]
    else:
        thing.type, thing.size = _BOX, [radius, radius * rng.uniform(0.4, 1.0), height]


TARGETS = ("table", "low_box", "cart", "shelf")
_TARGET_DEPTH_M = {"table": 0.3, "low_box": 0.2, "cart": 0.3, "shelf": 0.18}


def target_depth_m(kind: str) -> float:
    """From a target's near edge to its middle."""
    return _TARGET_DEPTH_M[kind]


def add_target(
    scene: mujoco.MjSpec, rng: np.random.Generator, kind: str, at_m: np.ndarray, yaw_rad: float
) -> None:
    """What the wearer is after: a table with balls and a box, a box on the floor, a cart, or a shelf."""
    half = 0.5 * yaw_rad
    turn = [np.cos(half), 0.0, 0.0, np.sin(half)]
    across = np.array([-np.sin(yaw_rad), np.cos(yaw_rad)])
    if kind == "table":
        height = float(rng.uniform(0.5, 0.8))
        parts.add_table(scene, rng, "target", at_m, height)
        scene.body("target").quat = turn
        for colour in rng.permutation(list(parts.BALL_COLOURS))[: int(rng.integers(1, 5))]:
            spot = at_m + across * rng.uniform(-0.42, 0.42) + rng.uniform(-0.15, 0.15, 2)
            parts.add_ball(scene, rng, str(colour), (*spot, height))
        if rng.random() < 0.5:
            parts.add_box(scene, rng, "box", (*(at_m + across * rng.uniform(-0.2, 0.2)), height), yaw_rad)
    elif kind == "low_box":
        parts.add_box(scene, rng, "target", (*at_m, 0.0), yaw_rad + rng.uniform(-0.4, 0.4))
    elif kind == "cart":
        _add_trolley(scene, rng, at_m, turn)
    else:
        parts.add_shelf(scene, rng, "target", at_m, tuple(np.sort(rng.uniform(0.2, 1.3, 3)).tolist()))
        scene.body("target").quat = turn


def _add_trolley(scene: mujoco.MjSpec, rng: np.random.Generator, at_m: np.ndarray, turn: list[float]) -> None:
    """Two trays on posts with a push bar towards the wearer."""
    tone, steel = [*textures.colour(rng), 1.0], [0.5, 0.52, 0.55, 1.0]
    body = scene.worldbody.add_body(name="target", pos=[*at_m, 0.0], quat=turn)
    for height in (0.18, rng.uniform(0.4, 0.6)):
        body.add_geom(type=_BOX, rgba=tone, pos=[0.0, 0.0, height], size=[0.3, 0.21, 0.015])
    for x, y in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        top = 0.85 if x < 0 else 0.5
        body.add_geom(
            type=_CYLINDER, rgba=steel, pos=[0.28 * x, 0.19 * y, 0.5 * top], size=[0.012, 0.5 * top, 0.0]
        )
    bar = body.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, rgba=steel, size=[0.014, 0.0, 0.0])
    bar.fromto = [-0.28, -0.19, 0.85, -0.28, 0.19, 0.85]
