"""Sizes of a latent action model, and the named ones: ``tiny`` for two CPU cores, ``paper`` with UniVLA's values."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from wbvla_training.vision.errors import VisionError

VARIANTS = ("mani", "loco", "shared")


@dataclass(frozen=True)
class LamConfig:
    """A VQ-VAE over features of two frames ``gap_s`` apart: ``tokens`` codes out of ``codes`` each.

    ``patches`` P and ``feature_width`` D are the backbone's. ``residual``: the decoder adds to o_t's features
    instead of making the future's anew. ``codes_on_patches``: the codes are also added to every patch that the decoder
    starts from, which spares a small decoder a layer. ``commitment`` is beta of the VQ loss; the codebook follows its codes
    by an exponential average of ``ema_decay``, and a code unused for ``restart_after`` steps is placed anew.
    ``rows``: rows of patches in a picture (0: as many as columns); ``merge`` x ``merge`` neighbouring patches are one
    token of the transformers, with all their features, so that nothing is lost and attention costs less.
    ``reach_rows`` and ``reach_columns`` above 0: codes act on the future only by moving o_t's features, by up to so
    many patches, before the decoder completes the picture without knowing them; the encoder is given correlations.
    """

    tokens: int
    codes: int
    dim: int
    width: int
    encoder_depth: int
    decoder_depth: int
    heads: int
    patches: int
    feature_width: int
    gap_s: float = 1.0
    mlp_ratio: float = 4.0
    commitment: float = 0.25
    ema_decay: float = 0.99
    restart_after: int = 100
    residual: bool = True
    codes_on_patches: bool = True
    rows: int = 0
    merge: int = 1
    reach_rows: int = 0
    reach_columns: int = 0

    def __post_init__(self) -> None:
        for item in ("tokens", "codes", "dim", "width", "encoder_depth", "decoder_depth", "heads", "patches"):
            if getattr(self, item) < 1:
                raise VisionError(f"LamConfig.{item}: {getattr(self, item)} must be 1 or more")
        if self.width % self.heads:
            raise VisionError(f"LamConfig.width: {self.width} must be a multiple of the {self.heads} heads")
        rows, columns = self.grid
        if rows * columns != self.patches or self.merge < 1 or rows % self.merge or columns % self.merge:
            raise VisionError(
                f"LamConfig.merge: {self.patches} patches in {rows} rows do not divide into {self.merge} x {self.merge}"
            )
        if not 0.0 < self.gap_s <= 10.0:
            raise VisionError(f"LamConfig.gap_s: {self.gap_s} must be within 0..10 s")

    @property
    def reach(self) -> tuple[int, int]:
        """How far codes move features, in rows and columns of patches."""
        return self.reach_rows, self.reach_columns

    @property
    def moves(self) -> bool:
        """Whether codes move features instead of being the decoder's input."""
        return self.reach != (0, 0)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches."""
        rows = self.rows or math.isqrt(self.patches)
        return rows, self.patches // rows


@dataclass(frozen=True)
class LamTraining:
    """How it is trained. ``batch`` is of all processes and accumulated parts together; ``warmup`` steps up to
    ``learning_rate``, then a cosine down to a twentieth when ``cosine``."""

    steps: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.01
    warmup: int = 100
    clip: float = 1.0
    cosine: bool = True
    amp: str = "none"
    accumulate: int = 1
    seed: int = 0
    checkpoint_every: int = 250

    def __post_init__(self) -> None:
        if self.amp not in ("none", "bfloat16", "float16"):
            raise VisionError(f"LamTraining.amp: {self.amp!r}; choose none, bfloat16 or float16")
        if self.steps < 1 or self.accumulate < 1 or self.batch < self.accumulate:
            raise VisionError(
                "LamTraining: steps and accumulate must be 1 or more, batch at least accumulate"
            )


@dataclass(frozen=True)
class LamPreset:
    """A model and its training; the backbone decides ``patches`` and ``feature_width``."""

    model: LamConfig
    training: LamTraining


_TINY = LamPreset(
    LamConfig(tokens=4, codes=16, dim=32, width=96, encoder_depth=2, decoder_depth=3, heads=4, patches=64,
              feature_width=128, mlp_ratio=2.0, merge=2, reach_rows=3, reach_columns=4),
    LamTraining(steps=1500, batch=64, learning_rate=1e-3),
)  # fmt: skip
# OpenDriveLab/UniVLA latent_action_model/config/lam-stage-2.yaml: 4 tokens of 16 codes, latent 128, width 768, 12 + 12
# blocks, beta 0.25, AdamW 1e-4 and 1e-2, clip 0.1, fp16, batch 512 overall; steps as in the WholeBodyVLA paper.
_PAPER = LamPreset(
    LamConfig(tokens=4, codes=16, dim=128, width=768, encoder_depth=12, decoder_depth=12, heads=12, patches=256,
              feature_width=768, residual=False, codes_on_patches=False),
    LamTraining(steps=30_000, batch=256, learning_rate=1e-4, warmup=500, clip=0.1, cosine=False, amp="float16"),
)  # fmt: skip
PRESETS = {"tiny": _TINY, "paper": _PAPER}


def preset(name: str, grid: tuple[int, int], feature_width: int) -> LamPreset:
    """A named preset fitted to a backbone's features: ``grid`` rows and columns of patches.

    Raises VisionError for an unknown name."""
    if name not in PRESETS:
        raise VisionError(f"no configuration {name!r}; there are {', '.join(PRESETS)}")
    chosen = PRESETS[name]
    rows, columns = grid
    model = dataclasses.replace(chosen.model, patches=rows * columns, rows=rows, feature_width=feature_width)
    return dataclasses.replace(chosen, model=model)
