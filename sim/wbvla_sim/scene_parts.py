"""What scenes are made of: room, furniture and things to handle, each placed by one function.

Everything that can move is a body with a free joint ``<name>_joint``. Sizes are in m, masses in kg. Textures are procedural.
"""

from __future__ import annotations

from collections.abc import Sequence

import mujoco
import numpy as np

_BOX = mujoco.mjtGeom.mjGEOM_BOX
_CYLINDER = mujoco.mjtGeom.mjGEOM_CYLINDER
_FLAT = mujoco.mjtBuiltin.mjBUILTIN_FLAT
_CHECKER = mujoco.mjtBuiltin.mjBUILTIN_CHECKER
_GRADIENT = mujoco.mjtBuiltin.mjBUILTIN_GRADIENT
ROOM_HALF_M = 4.0
TABLE_HALF_M = (0.3, 0.5)
PLATFORM_HALF_M = (0.18, 0.18)
BOX_SIZE_M = (0.30, 0.25, 0.20)
BOX_FRICTION = (0.7, 1.0)
BALL_RADIUS_M = 0.032
BALL_COLOURS = {
    "red": (0.85, 0.12, 0.1),
    "green": (0.1, 0.62, 0.2),
    "blue": (0.12, 0.3, 0.85),
    "yellow": (0.95, 0.8, 0.1),
}
BOX_TONES = (
    (0.72, 0.54, 0.34),
    (0.85, 0.83, 0.78),
    (0.30, 0.45, 0.70),
    (0.35, 0.60, 0.38),
    (0.75, 0.30, 0.25),
)
"""Cartons: brown, white, blue, green, red."""


def add_material(
    scene: mujoco.MjSpec,
    name: str,
    first: Sequence[float],
    second: Sequence[float],
    *,
    checker: bool = False,
    repeat: float = 4.0,
    speckle: float = 0.0,
) -> str:
    """A material with a small procedural texture (flat or checkered, speckled by ``speckle`` 0..1)."""
    texture = scene.add_texture(name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=128, height=128)
    texture.builtin = _CHECKER if checker else _FLAT
    texture.rgb1, texture.rgb2 = first, second
    if speckle > 0.0:
        texture.mark, texture.random, texture.markrgb = mujoco.mjtMark.mjMARK_RANDOM, speckle, second
    material = scene.add_material(name=name, texrepeat=[repeat, repeat], texuniform=True, specular=0.1)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    return name


def add_room(scene: mujoco.MjSpec, rng: np.random.Generator) -> None:
    """Floor, four walls (seen, never touched), sky and two lights, all varied by ``rng``."""
    sky = scene.add_texture(name="sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=64, height=384)
    sky.builtin, sky.rgb1, sky.rgb2 = _GRADIENT, [0.75, 0.82, 0.9], [0.45, 0.5, 0.56]
    tint = rng.uniform(0.35, 0.75) * rng.uniform(0.85, 1.0, 3)
    floor = add_material(
        scene,
        "floor",
        tint,
        tint * rng.uniform(0.75, 0.95),
        checker=bool(rng.integers(2)),
        repeat=1.0,
        speckle=0.02,
    )
    plane = scene.worldbody.add_geom(name="floor", type=mujoco.mjtGeom.mjGEOM_PLANE, material=floor)
    plane.size = [ROOM_HALF_M, ROOM_HALF_M, 0.1]
    plane.friction = [rng.uniform(0.8, 1.1), 0.005, 1e-4]
    paint = rng.uniform(0.55, 0.9) * rng.uniform(0.85, 1.0, 3)
    wall = add_material(scene, "wall", paint, paint * 0.9, repeat=0.5, speckle=float(rng.uniform(0.0, 0.05)))
    for i, (x, y) in enumerate(((1, 0), (-1, 0), (0, 1), (0, -1))):
        side = scene.worldbody.add_geom(
            name=f"wall_{i}", type=_BOX, material=wall, contype=0, conaffinity=0, group=1
        )
        side.pos = [x * ROOM_HALF_M, y * ROOM_HALF_M, 1.4]
        side.size = [0.05 if x else ROOM_HALF_M, 0.05 if y else ROOM_HALF_M, 1.4]
    brightness = rng.uniform(0.5, 0.75)
    for i, position in enumerate(((1.0, 1.5, 3.5), (-1.5, -1.0, 3.5))):
        light = scene.worldbody.add_light(name=f"light_{i}", castshadow=i == 0)
        light.pos = np.array(position) + rng.uniform(-0.8, 0.8, 3) * [1.0, 1.0, 0.3]
        light.dir = -light.pos / np.linalg.norm(light.pos)
        light.type = mujoco.mjtLightType.mjLIGHT_DIRECTIONAL
        light.diffuse = brightness * (1.0 if i == 0 else 0.5) * rng.uniform(0.92, 1.0, 3)
        light.specular = [0.15, 0.15, 0.15]
    scene.visual.headlight.ambient = [0.33, 0.33, 0.33]
    scene.visual.headlight.diffuse = [0.25, 0.25, 0.25]
    scene.visual.headlight.specular = [0.0, 0.0, 0.0]


def add_table(
    scene: mujoco.MjSpec, rng: np.random.Generator, name: str, position: Sequence[float], height_m: float
) -> None:
    """A fixed table, its middle above ``position`` (x, y), its top at ``height_m``."""
    wood = rng.uniform(0.4, 0.85) * np.array([0.95, 0.8, 0.62]) * rng.uniform(0.9, 1.1, 3)
    material = add_material(scene, name, np.clip(wood, 0, 1), np.clip(wood * 0.85, 0, 1), speckle=0.15)
    table = scene.worldbody.add_body(name=name, pos=[*position[:2], 0.0])
    top = table.add_geom(name=f"{name}_top", type=_BOX, material=material, pos=[0.0, 0.0, height_m - 0.015])
    top.size = [*TABLE_HALF_M, 0.015]
    for i, (x, y) in enumerate(((1, 1), (1, -1), (-1, 1), (-1, -1))):
        leg = table.add_geom(name=f"{name}_leg_{i}", type=_BOX, rgba=[0.25, 0.25, 0.27, 1.0])
        leg.pos = [x * (TABLE_HALF_M[0] - 0.03), y * (TABLE_HALF_M[1] - 0.03), 0.5 * (height_m - 0.03)]
        leg.size = [0.02, 0.02, 0.5 * (height_m - 0.03)]


def add_platform(
    scene: mujoco.MjSpec,
    rng: np.random.Generator,
    name: str,
    position: Sequence[float],
    yaw_rad: float,
    height_m: float,
) -> None:
    """A fixed low stand open at its -x side (knees go below it), its middle above ``position`` (x, y)."""
    tone = rng.uniform(0.35, 0.8) * rng.uniform(0.85, 1.1, 3)
    material = add_material(scene, name, np.clip(tone, 0, 1), np.clip(tone * 0.85, 0, 1), speckle=0.1)
    stand = scene.worldbody.add_body(name=name, pos=[*position[:2], 0.0])
    stand.quat = [np.cos(0.5 * yaw_rad), 0.0, 0.0, np.sin(0.5 * yaw_rad)]
    top = stand.add_geom(name=f"{name}_top", type=_BOX, material=material, pos=[0.0, 0.0, height_m - 0.01])
    top.size, top.friction = [*PLATFORM_HALF_M, 0.01], [0.7, 0.01, 1e-4]
    back = stand.add_geom(name=f"{name}_back", type=_BOX, material=material)
    back.pos = [PLATFORM_HALF_M[0] - 0.04, 0.0, 0.5 * height_m - 0.01]
    back.size = [0.02, PLATFORM_HALF_M[1] - 0.03, 0.5 * height_m - 0.01]


def add_shelf(
    scene: mujoco.MjSpec,
    rng: np.random.Generator,
    name: str,
    position: Sequence[float],
    heights_m: Sequence[float],
) -> None:
    """A fixed open shelf 0.8 m wide with one board at each height; it faces -x."""
    tone = rng.uniform(0.5, 0.9) * rng.uniform(0.9, 1.0, 3)
    material = add_material(scene, name, tone, tone * 0.85, speckle=0.05)
    shelf = scene.worldbody.add_body(name=name, pos=[*position[:2], 0.0])
    top = max(heights_m) + 0.3
    for i, side in enumerate((1.0, -1.0)):
        post = shelf.add_geom(name=f"{name}_side_{i}", type=_BOX, material=material)
        post.pos, post.size = [0.0, side * 0.41, 0.5 * top], [0.18, 0.01, 0.5 * top]
    for i, height in enumerate(heights_m):
        board = shelf.add_geom(name=f"{name}_board_{i}", type=_BOX, material=material)
        board.pos, board.size = [0.0, 0.0, height - 0.01], [0.18, 0.4, 0.01]


def add_box(
    scene: mujoco.MjSpec, rng: np.random.Generator, name: str, position: Sequence[float], yaw_rad: float = 0.0
) -> None:
    """A carton 0.30 x 0.25 x 0.20 m of 0.5 to 1.5 kg with a tape across, in one of BOX_TONES; ``position`` is the
    middle of its bottom.
    """
    tone = np.array(BOX_TONES[rng.integers(len(BOX_TONES))]) * rng.uniform(0.8, 1.15)
    material = add_material(scene, name, np.clip(tone, 0, 1), np.clip(tone * 0.8, 0, 1), speckle=0.1)
    half = 0.5 * np.array(BOX_SIZE_M)
    body = scene.worldbody.add_body(name=name, pos=[position[0], position[1], position[2] + half[2]])
    body.quat = [np.cos(0.5 * yaw_rad), 0.0, 0.0, np.sin(0.5 * yaw_rad)]
    body.add_freejoint(name=f"{name}_joint")
    geom = body.add_geom(name=name, type=_BOX, size=half, material=material, mass=rng.uniform(0.5, 1.5))
    # Rubber on carton, whatever it touches. Palms touch in a patch that resists turning where the engine has points:
    # torsion as of a patch of 3 cm. Stiff, because the engine's default lets a box that is held creep down.
    geom.friction, geom.condim, geom.priority = [rng.uniform(*BOX_FRICTION), 0.02, 1e-4], 4, 2
    geom.solref, geom.solimp = [0.004, 1.0], [0.99, 0.999, 0.001, 0.5, 2.0]
    tape = body.add_geom(name=f"{name}_tape", type=_BOX, contype=0, conaffinity=0, mass=0.0, group=2)
    tape.size, tape.rgba = [half[0] + 5e-4, 0.025, half[2] + 5e-4], [0.85, 0.82, 0.7, 1.0]


def add_ball(
    scene: mujoco.MjSpec,
    rng: np.random.Generator,
    colour: str,
    position: Sequence[float],
    name: str | None = None,
) -> str:
    """A ball of a colour of BALL_COLOURS, resting on ``position``; returns its name, ``ball_<colour>``."""
    name = name or f"ball_{colour}"
    body = scene.worldbody.add_body(name=name, pos=[position[0], position[1], position[2] + BALL_RADIUS_M])
    # Damped in spin, as by the rolling resistance of a soft ball: it stays where it was put and costs few
    # constraints.
    body.add_joint(name=f"{name}_joint", type=mujoco.mjtJoint.mjJNT_FREE, damping=[5e-4, 0, 0])
    geom = body.add_geom(name=name, type=mujoco.mjtGeom.mjGEOM_SPHERE, mass=rng.uniform(0.04, 0.09))
    geom.size, geom.rgba = [BALL_RADIUS_M, 0.0, 0.0], [*BALL_COLOURS[colour], 1.0]
    geom.friction = [0.9, 0.01, 1e-4]
    return name
