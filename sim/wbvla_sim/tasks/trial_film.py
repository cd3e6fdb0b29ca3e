"""A film of one lock-step trial: third person with the head camera's view inset."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from wbvla_sim.assemble import HeadCamera
from wbvla_sim.film import Film
from wbvla_sim.plant import Plant
from wbvla_sim.render import Renderer

SIZE = (640, 480)
RATE_HZ = 15
INSET_WIDTH = 200
CAMERA = "head_cam"


class TrialFilm:
    """H.264 in MP4. ``look`` as often as one likes; it draws at RATE_HZ of virtual time."""

    def __init__(self, path: Path, plant: Plant) -> None:
        """Raises NoOpenGLError where there is no OpenGL."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self._renderer = Renderer(plant.model, *SIZE, shadows=True)
        self._eyes = HeadCamera(plant.spec, CAMERA)
        self._film = Film(path, *SIZE, RATE_HZ)
        self._due_ns: int | None = None

    def look(self, plant: Plant, now_ns: int) -> None:
        """Add a frame when one is due."""
        if self._due_ns is not None and now_ns < self._due_ns:
            return
        self._due_ns = (now_ns if self._due_ns is None else self._due_ns) + 1_000_000_000 // RATE_HZ
        x, y, _ = plant.truth.pelvis_position_m
        picture = self._renderer.third_person(
            plant.data, (x + 0.2, y, 0.6), distance_m=2.6, azimuth_deg=120.0
        )
        seen = self._eyes(plant)
        size = (INSET_WIDTH, round(INSET_WIDTH * seen.shape[0] / seen.shape[1]))
        picture[8 : 8 + size[1], 8 : 8 + size[0]] = np.asarray(Image.fromarray(seen).resize(size))
        self._film.add(picture)

    def close(self) -> None:
        """Finish the file."""
        self._film.close()
        self._eyes.close()
        self._renderer.close()
