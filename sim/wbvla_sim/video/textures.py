"""Procedural surfaces: tiles, planks, carpet, checkers, plain paint, posters."""

from __future__ import annotations

from collections.abc import Callable

import mujoco
import numpy as np

_SIDE = 128


def _smooth_noise(rng: np.random.Generator, cells: int) -> np.ndarray:
    """Noise [128, 128] in -1..1 that varies over 128 / ``cells`` pixels and joins at its edges."""
    coarse = rng.uniform(-1.0, 1.0, (cells, cells))
    coarse = np.pad(coarse, ((0, 1), (0, 1)), mode="wrap")
    at = np.arange(_SIDE) * cells / _SIDE
    low, share = at.astype(int), at % 1.0
    rows = coarse[low] * (1.0 - share)[:, None] + coarse[low + 1] * share[:, None]
    return rows[:, low] * (1.0 - share) + rows[:, low + 1] * share


def _plain(rng: np.random.Generator) -> np.ndarray:
    return 0.05 * _smooth_noise(rng, 8) + rng.normal(0.0, 0.02, (_SIDE, _SIDE))


def _carpet(rng: np.random.Generator) -> np.ndarray:
    noise = sum(_smooth_noise(rng, cells) / (i + 1) for i, cells in enumerate((4, 16, 64)))
    return rng.uniform(0.1, 0.25) * noise + rng.normal(0.0, 0.05, (_SIDE, _SIDE))


def _tiles(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.choice([2, 4]))
    cell = _SIDE // count
    shades = np.kron(rng.uniform(-1.0, 1.0, (count, count)), np.ones((cell, cell)))
    place = np.arange(_SIDE) % cell
    joint = (place < 3)[:, None] | (place < 3)[None, :]
    return 0.05 * shades + rng.uniform(-0.35, 0.3) * joint + 0.04 * _smooth_noise(rng, 32)


def _planks(rng: np.random.Generator) -> np.ndarray:
    count = int(rng.choice([4, 8]))
    cell = _SIDE // count
    shades = np.repeat(rng.uniform(-1.0, 1.0, count), cell)[:, None]
    seam = (np.arange(_SIDE) % cell < 2)[:, None]
    ends = np.zeros((_SIDE, _SIDE), bool)
    for row, column in enumerate(rng.integers(0, _SIDE, count)):
        ends[row * cell : (row + 1) * cell, column : column + 2] = True
    grain = np.repeat(rng.normal(0.0, 0.04, (_SIDE, 1)), _SIDE, 1)
    return 0.12 * shades - 0.3 * (seam | ends) + grain + 0.04 * _smooth_noise(rng, 16)


def _checker(rng: np.random.Generator) -> np.ndarray:
    cell = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((_SIDE // 4, _SIDE // 4)))
    return rng.uniform(0.1, 0.35) * (cell - 0.5) + 0.04 * _smooth_noise(rng, 32)


FLOORS: tuple[Callable[[np.random.Generator], np.ndarray], ...] = (_carpet, _tiles, _planks, _checker, _plain)
WALLS = (_plain, _plain, _tiles, _planks)
OBJECTS = (_plain, _planks, _carpet)


def colour(rng: np.random.Generator, low: float = 0.2, high: float = 0.9) -> np.ndarray:
    """A colour [3] between grey and moderately saturated."""
    return np.clip(
        rng.uniform(low, high) * (1.0 + rng.uniform(0.0, 0.45) * rng.uniform(-1.0, 1.0, 3)), 0.03, 1.0
    )


def add_surface(
    scene: mujoco.MjSpec,
    rng: np.random.Generator,
    name: str,
    tint: np.ndarray,
    kinds: tuple[Callable[[np.random.Generator], np.ndarray], ...],
    size_m: float = 1.0,
) -> str:
    """A material of ``tint`` [3] with a pattern of one of ``kinds`` that repeats every ``size_m``; its name."""
    pattern = kinds[int(rng.integers(len(kinds)))](rng)
    rgb = tint[None, None] * (1.0 + pattern[..., None])
    pixels = np.clip(rgb * 255.0, 0.0, 255.0).astype(np.uint8)
    texture = scene.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=_SIDE, height=_SIDE, nchannel=3
    )
    texture.data = pixels.tobytes()
    material = scene.add_material(name=name, texrepeat=[1.0 / size_m] * 2, texuniform=True, specular=0.05)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    return name


def poster(scene: mujoco.MjSpec, rng: np.random.Generator, name: str) -> str:
    """A material with a few coloured patches, stretched over a face."""
    pixels = np.empty((_SIDE, _SIDE, 3), np.uint8)
    pixels[:] = np.clip(255.0 * colour(rng), 0, 255)
    for _ in range(int(rng.integers(2, 7))):
        (top, left), (high, wide) = rng.integers(0, 100, 2), rng.integers(10, 80, 2)
        pixels[top : top + high, left : left + wide] = np.clip(255.0 * rng.uniform(0.1, 1.0, 3), 0, 255)
    texture = scene.add_texture(
        name=name, type=mujoco.mjtTexture.mjTEXTURE_2D, width=_SIDE, height=_SIDE, nchannel=3
    )
    texture.data = pixels.tobytes()
    material = scene.add_material(name=name, specular=0.05)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
    return name
