"""A toy model and toy examples: two coloured squares in a picture, the named one says what to do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.vla_bundle import ImageSection
from wbvla_training.vla.configuration import CodebookConfig, VlaConfig, tiny
from wbvla_training.vla.examples import PICTURE, SCENE_NAMES, Examples, Piece, Shape, write_examples

SPEC, CONTRACT = RobotSpec.load("x2_ultra"), Contract.load("x2")
STATES, ACTIONS, ROWS, SIDE = 36, 20, 4, 56
COLOURS = {"red": (220, 30, 30), "blue": (30, 60, 220)}
NAMES = CONTRACT.features["action"].names


def toy_config(**changes) -> VlaConfig:
    """The classes of ``tiny`` at a size that learns in seconds."""
    config = tiny()
    small = {"width": 32, "depth": 1, "heads": 2, "mlp": 64}
    language = replace(config.language, width=32, depth=2, heads=2, mlp=64, length=12)
    decoder = replace(config.decoder, width=32, heads=2, queries=2, depth=1, chunk=ROWS, state_dropout=0.0)
    config = replace(
        config,
        name="toy",
        image=ImageSection((0.0, 0.0, 1.0, 1.0), SIDE, SIDE, config.image.mean, config.image.std),
        dinov2=replace(config.dinov2, **small),
        siglip=replace(config.siglip, **small),
        language=language,
        codebooks={"mani": CodebookConfig(2, 4), "loco": CodebookConfig(2, 4)},
        decoder=decoder,
    )
    return replace(config, **changes)


def toy_examples(folder: Path, episodes: int = 6, each: int = 20, seed: int = 0) -> Examples:
    """The named square's place is the goal of one joint and the sign of a flag; codes tell its quarter. Each picture
    comes with both sentences, so that no picture gives away what to do."""
    pieces = []
    for episode in range(episodes):
        rng = np.random.default_rng((seed, episode // 2))
        colour = ("red", "blue")[episode % 2]
        pictures = np.full((each, SIDE, SIDE, 3), 110, np.uint8)
        action = np.zeros((each, ROWS, ACTIONS), np.float32)
        codes = np.zeros((each, 4), np.int16)
        scene = np.full((each, len(SCENE_NAMES)), np.nan, np.float32)
        for i in range(each):
            columns = rng.permutation([4, 16, 28, 40])[:2]
            for name, x in zip(COLOURS, columns, strict=True):
                pictures[i, 24:34, x : x + 10] = COLOURS[name]
                if name == colour:
                    action[i, :, 0] = x / 40.0
                    action[i, :, -4] = np.sign(x - 22)
                    action[i, :, -1] = 0.64
                    codes[i] = (x - 4) // 12
                    scene[i, PICTURE] = (x + 5) / SIDE - 0.5, 29 / SIDE - 0.5
        sentence = f"touch the {colour} ball with your left hand"
        state = rng.normal(0.0, 0.1, (each, STATES))
        pieces.append(Piece(pictures, sentence, episode, state, action, np.linspace(0, 1, each), scene, codes))
    return write_examples(folder, Shape(SIDE, STATES, ROWS, ACTIONS, 4), pieces, {"toy": seed})


class FakeLabeller:
    """Codes that say how bright the upper left of the picture is."""

    def __init__(self, tokens: int = 4, codes: int = 16, codebook_hash: str = "aaaabbbbccccdddd") -> None:
        self.tokens, self.codes, self.codebook_hash, self.gap_s = tokens, codes, codebook_hash, 0.3

    def label_sequence(self, frames_rgb: np.ndarray, rate_hz: float) -> np.ndarray:
        level = frames_rgb[:, :8, :8].mean(axis=(1, 2, 3)).astype(np.int64)
        return np.stack([(level + i) % self.codes for i in range(self.tokens)], axis=1)
