"""Codes of frame pairs, as labels for the vision-language-action model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from wbvla_core.vla_bundle import ImageSection

from wbvla_training.lam.files import Lam, load, to_device
from wbvla_training.vision.errors import VisionError


class LatentLabeller:
    """Turns pairs of pictures into the codes of a trained latent action model."""

    def __init__(self, lam: Lam) -> None:
        self._lam = lam
        self.variant = lam.variant
        self.tokens, self.codes = lam.model.config.tokens, lam.model.config.codes
        self.gap_s = lam.model.config.gap_s
        self.codebook_hash = lam.hash
        self.backbone_hash = lam.processor.backbone.hash

    @classmethod
    def load(
        cls, folder: str | Path, codebook_hash: str | None = None, device: str = "cpu"
    ) -> LatentLabeller:
        """The labeller of a model folder such as ``models/lam/loco``.

        ``codebook_hash`` is what the caller's labels or weights were made with. Raises VisionError when the model
        cannot be loaded or is another one than that.
        """
        labeller = cls(to_device(load(folder), device))
        if codebook_hash is not None and codebook_hash != labeller.codebook_hash:
            raise VisionError(
                f"{folder}: its codebook is {labeller.codebook_hash}, the labels were made with {codebook_hash}; "
                "codes of another latent action model mean something else: label or train again"
            )
        return labeller

    @property
    def image(self) -> ImageSection:
        """How pictures are prepared; frames already cached at this size are not touched again."""
        return self._lam.processor.image

    @property
    def codebook(self) -> np.ndarray:
        """Code vectors float32 [codes, dim]."""
        return self._lam.model.quantizer.codebook.cpu().numpy()

    def label(self, first_rgb: np.ndarray, later_rgb: np.ndarray, batch: int = 64) -> np.ndarray:
        """Codes int64 [B, tokens] of pictures uint8 [B, H, W, 3] and those ``gap_s`` later.

        Raises VisionError when the two do not fit together, wbvla_core.vla_input.InputError for anything but
        8-bit colour pictures.
        """
        if first_rgb.shape != later_rgb.shape:
            raise VisionError(
                f"pictures {list(first_rgb.shape)} and {list(later_rgb.shape)} differ; give pairs"
            )
        rows = [
            self.label_features(
                self.features(first_rgb[i : i + batch]), self.features(later_rgb[i : i + batch])
            )
            for i in range(0, len(first_rgb), batch)
        ]
        return np.concatenate(rows) if rows else np.zeros((0, self.tokens), np.int64)

    def features(self, rgb: np.ndarray) -> torch.Tensor:
        """Standardised features float32 [B, P, D] for :meth:`label_features`: each frame needs them only once."""
        return self._lam.processor.features(rgb)

    def label_features(self, first: torch.Tensor, later: torch.Tensor) -> np.ndarray:
        """Codes int64 [B, tokens] of two feature tensors [B, P, D]."""
        return self._lam.model.encode(first, later).cpu().numpy()

    def label_sequence(self, frames_rgb: np.ndarray, rate_hz: float, batch: int = 64) -> np.ndarray:
        """Codes int64 [N, tokens] of each frame of one clip [N, H, W, 3] and the frame ``gap_s`` later; where the
        clip ends earlier, of its last frame. Features are computed once per frame."""
        parts = [self.features(frames_rgb[i : i + batch]) for i in range(0, len(frames_rgb), batch)]
        if not parts:
            return np.zeros((0, self.tokens), np.int64)
        features = torch.cat(parts)
        later = (
            torch.arange(len(features)).add(max(1, round(self.gap_s * rate_hz))).clamp(max=len(features) - 1)
        )
        rows = [
            self.label_features(features[i : i + batch], features[later[i : i + batch]])
            for i in range(0, len(features), batch)
        ]
        return np.concatenate(rows)
