"""Pictures that teach a small model what its sentence speaks of: the twin's tasks seen from everywhere, a named thing,
and where it is.

A published language model that sees knows red from blue before it meets a robot. A model trained from scratch does not,
and a hundred demonstrations show it a hundred tables. Here scenes are drawn without physics, the robot's body posed at
random before the thing; seeds are apart from those of any trial.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from wbvla_core.robot_spec import RobotSpec

from .configuration import VlaConfig
from .examples import SCENE_NAMES, Examples, Piece, Shape, cached, write_examples
from .grounding_views import box_cart_views, reach_table_views

_FIRST_SEED = 7_000_000
"""Far from the seeds of trials."""
ROBOT = "x2_ultra"
"""Whose body and camera the pictures show."""
_VIEWS = (reach_table_views, box_cart_views)
"""Scenes take turns: every task gets the same number of them."""


def grounding_examples(
    config: VlaConfig,
    folder: Path,
    count: int,
    seed: int = 0,
    states: int = 36,
    actions: int = 20,
    say: Callable[[str], None] = lambda _text: None,
) -> Examples:
    """``count`` examples in ``folder``, made once. Raises wbvla_sim.gl.NoOpenGLError without OpenGL."""
    source = {
        "grounding": count,
        "seed": seed,
        "image": [*config.image.crop, config.image.width],
        "version": 2,
    }
    shape = Shape(
        config.image.width, states, config.decoder.chunk, actions, config.code_tokens, len(SCENE_NAMES)
    )
    found = cached(folder, source, shape)
    if found is not None:
        return found
    pieces = _pieces(config, RobotSpec.load(ROBOT), count, seed, say)
    return write_examples(folder, shape, pieces, source)


def _pieces(config: VlaConfig, spec: RobotSpec, count: int, seed: int, say: Callable) -> Iterator[Piece]:
    made = number = 0
    while made < count:
        rng = np.random.default_rng((seed, number, 3))
        views = _VIEWS[number % len(_VIEWS)](spec, config.image, _FIRST_SEED + 100_000 * seed + number, rng)
        for sentence, pictures, states, scenes in views:
            kept = min(len(pictures), count - made)
            if kept:
                yield Piece(pictures[:kept], sentence, number, states[:kept], scene=scenes[:kept])
            made += kept
        number += 1
        say(f"{made} of {count} pictures")
