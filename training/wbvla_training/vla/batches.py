"""Batches of examples. Which examples, and how pictures are varied, follows from seed and step alone, so that a run
that was killed goes on with the same batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from wbvla_core.robot_spec import RobotSpec

from .errors import VlaError
from .examples import SCENE_MEAN, SCENE_NAMES, SCENE_STD, Examples, mix
from .losses import Batch
from .mirror import mirror_of, mirror_pictures, mirror_sentence
from .processing import VlaProcessor

FLAG_TO_CLASS = 1


@dataclass(frozen=True)
class Augmentation:
    """Of pictures, in training. ``shift_px``: moved by up to this (small: where things are is what is learned);
    ``brightness``, ``contrast``: factors 1 +- this; ``tint``: of each colour channel, too little to confuse named
    colours; ``noise``: of 0..1; ``blur``: share, up to this, of the mean over neighbouring pixels that is mixed in, as
    lenses and the codecs of camera and dataset do; ``mirror``: share of the examples whose sentence names a side shown
    with left and right exchanged (they have no codes then), ``mirror_shift_px`` because the camera is not quite in the
    middle. Noise on states is the decoder's."""

    shift_px: int = 1
    brightness: float = 0.2
    contrast: float = 0.15
    tint: float = 0.05
    noise: float = 0.02
    blur: float = 0.7
    mirror: float = 0.5
    mirror_shift_px: int = 1


@dataclass(frozen=True)
class Part:
    """Examples that take part in a training: those numbered ``rows``, ``share`` of each batch."""

    examples: Examples
    rows: np.ndarray
    share: float


class Batches:
    """Batches out of several parts."""

    def __init__(
        self,
        parts: Sequence[Part],
        processor: VlaProcessor,
        batch: int,
        seed: int,
        augmentation: Augmentation | None,
    ) -> None:
        """``augmentation`` None: pictures as they are."""
        self._parts, self._processor, self._batch, self._seed = tuple(parts), processor, batch, seed
        self._augmentation = augmentation
        if any(len(part.rows) == 0 for part in parts):
            raise VlaError("a part of the training data has no examples; give more episodes or clips")
        self._tokens = [np.stack([processor.tokens(s) for s in part.examples.sentences]) for part in parts]
        self._mirrored = [
            np.stack([processor.tokens(mirror_sentence(s)) for s in part.examples.sentences])
            for part in parts
        ]
        # Who is not told a side may go by the side on which things are: such a world is not shown reversed.
        self._sided = [
            np.array([mirror_sentence(s) != s for s in part.examples.sentences]) for part in parts
        ]
        about = processor.about
        spec = RobotSpec.load(about.robot)
        self._state, self._action = mirror_of(about.state_names, spec), mirror_of(about.action_names, spec)
        self._scene = mirror_of(SCENE_NAMES, spec)

    def draw(self, step: int, micro: int = 0, rank: int = 0) -> Batch:
        """The batch of a step."""
        rng = np.random.default_rng((self._seed, step, micro, rank))
        chosen = mix(rng, [len(p.rows) for p in self._parts], [p.share for p in self._parts], self._batch)
        drawn = []
        for i, rows in enumerate(chosen):
            rows = self._parts[i].rows[np.sort(rows)]
            turned = rng.random(len(rows)) < (self._augmentation.mirror if self._augmentation else 0.0)
            turned &= self._sided[i][self._parts[i].examples.sentence[rows]]
            drawn += [
                self._take(i, rows[which], rng, mirror)
                for mirror, which in ((False, ~turned), (True, turned))
            ]
        return Batch(**{name: torch.cat([getattr(b, name) for b in drawn]) for name in drawn[0].__dict__})

    def take(self, rows: np.ndarray, part: int = 0, pictures: bool = True) -> Batch:
        """Given examples of a part, as they are; without ``pictures`` there are none of them in the batch."""
        return self._take(part, rows, None, False, pictures)

    def _take(
        self,
        part: int,
        rows: np.ndarray,
        rng: np.random.Generator | None,
        mirror: bool,
        pictures: bool = True,
    ) -> Batch:
        """Examples ``rows``, varied by ``rng``, as their mirror image when ``mirror``."""
        examples, processor, augmentation = self._parts[part].examples, self._processor, self._augmentation
        small = np.asarray(examples.pictures[rows if pictures else rows[:0]])
        state, action = np.asarray(examples.state[rows]), np.asarray(examples.action[rows])
        scene, codes = np.asarray(examples.scene[rows]), np.asarray(examples.codes[rows], np.int64)
        tokens = self._tokens[part]
        if mirror and augmentation is not None:
            small = mirror_pictures(small, augmentation.mirror_shift_px)
            state, action, scene = self._state(state), self._action(action), self._scene(scene)
            codes, tokens = np.full_like(codes, -1), self._mirrored[part]
        if rng is not None and augmentation is not None and len(small):
            small = augment(small, augmentation, rng)
        flags = np.where(
            np.isnan(action[..., -4:-1]), -100, np.rint(np.nan_to_num(action[..., -4:-1])) + FLAG_TO_CLASS
        )
        return Batch(
            image=processor.pictures(small),
            tokens=torch.from_numpy(tokens[examples.sentence[rows]]),
            state=torch.from_numpy(np.nan_to_num(processor.state(state))),
            action=torch.from_numpy(processor.action(action)),
            flags=torch.from_numpy(flags.astype(np.int64)),
            progress=torch.from_numpy(np.array(examples.progress[rows])),
            scene=torch.from_numpy((scene - SCENE_MEAN) / SCENE_STD),
            codes=torch.from_numpy(np.where(codes < 0, -100, codes)),
        )


def augment(pictures: np.ndarray, cfg: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Varied copies of pictures uint8 [B, h, w, 3]."""
    count, height, width = pictures.shape[:3]
    values = pictures.astype(np.float32)
    size = (count, 1, 1, 1)
    brightness = rng.uniform(1 - cfg.brightness, 1 + cfg.brightness, size).astype(np.float32)
    contrast = rng.uniform(1 - cfg.contrast, 1 + cfg.contrast, size).astype(np.float32)
    tint = rng.uniform(1 - cfg.tint, 1 + cfg.tint, (count, 1, 1, 3)).astype(np.float32)
    middle = values.mean(axis=(1, 2, 3), keepdims=True)
    values = ((values - middle) * contrast + middle) * (brightness * tint)
    if cfg.blur > 0.0:
        share = rng.uniform(0.0, cfg.blur, size).astype(np.float32)
        values += share * (_smooth(_smooth(values, 1), 2) - values)
    if cfg.noise > 0.0:
        level = rng.uniform(0.0, cfg.noise, size).astype(np.float32)
        values += level * 255.0 * rng.standard_normal(values.shape, np.float32)
    if cfg.shift_px > 0:
        padded = np.pad(values, ((0, 0), *[(cfg.shift_px, cfg.shift_px)] * 2, (0, 0)), mode="edge")
        begins = rng.integers(0, 2 * cfg.shift_px + 1, (count, 2))
        values = np.stack([padded[i, y : y + height, x : x + width] for i, (y, x) in enumerate(begins)])
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def _smooth(values: np.ndarray, axis: int) -> np.ndarray:
    """Weighted 1 : 2 : 1 with both neighbours along ``axis``; edges count as their own neighbours."""
    inner = [(0, 0)] * values.ndim
    inner[axis] = (1, 1)
    padded = np.pad(values, inner, mode="edge")
    size = values.shape[axis]
    before, after = (padded.take(range(i, i + size), axis=axis) for i in (0, 2))
    return 0.25 * (before + after) + 0.5 * values
