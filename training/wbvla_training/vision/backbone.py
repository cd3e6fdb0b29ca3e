"""DINOv2 as ``transformers`` builds it: the published sizes, and a tiny one of the same class for two CPU cores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import AutoConfig, AutoModel, Dinov2Config, Dinov2Model, Dinov2WithRegistersModel
from transformers.utils import logging as transformers_logging
from wbvla_core.vla_bundle import ImageSection

from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.hashing import weights_hash
from wbvla_training.vision.image import (
    IMAGE_FILE,
    load_image_section,
    model_input,
    save_image_section,
    small_pictures,
    whole_picture,
)

# A bar over the 79 tensors of a small model only clutters the terminal.
transformers_logging.disable_progress_bar()
_KINDS = (Dinov2Model, Dinov2WithRegistersModel)
# Side in pixels at which UniVLA and OpenVLA feed DINOv2; the checkpoints' own 518 costs five times as much.
_PUBLISHED_SIDE_PX = 224


def tiny_config() -> Dinov2Config:
    """112 px, patches of 14 (8 x 8 tokens), width 128, depth 4: 0.10 GFLOP a picture, 0.9 M parameters."""
    return Dinov2Config(
        hidden_size=128, num_hidden_layers=4, num_attention_heads=4, mlp_ratio=4, image_size=112, patch_size=14
    )  # fmt: skip


class Dinov2Backbone(nn.Module):
    """Frozen patch features of a DINOv2. ``tokens`` P and ``width`` D of its features, ``image`` how pictures
    are prepared, ``hash`` of its weights."""

    def __init__(self, model: Dinov2Model | Dinov2WithRegistersModel, image: ImageSection) -> None:
        super().__init__()
        self.model, self.image = model, image
        config = model.config
        patch = int(config.patch_size)
        if image.height % patch or image.width % patch:
            raise VisionError(
                f"pictures of {image.width} x {image.height} do not divide into patches of {patch}; change the image section"
            )
        # The class token and the registers come first and are dropped.
        self._skipped = 1 + int(getattr(config, "num_register_tokens", 0))
        self.grid = (image.height // patch, image.width // patch)
        self.tokens, self.width = self.grid[0] * self.grid[1], int(config.hidden_size)
        self.hash = weights_hash(model.state_dict())
        self.requires_grad_(False).eval()

    @classmethod
    def load(cls, source: str | Path, image: ImageSection | None = None) -> Dinov2Backbone:
        """A backbone from a folder in Hugging Face's layout, or from the hub by name (``facebook/dinov2-base``).

        ``image`` None: the section saved with the weights, else 224 x 224 of the whole picture.
        Raises VisionError when there are no such weights or they are not a DINOv2.
        """
        folder = Path(source)
        try:
            config = AutoConfig.from_pretrained(str(source))
            if config.model_type not in ("dinov2", "dinov2_with_registers"):
                raise VisionError(
                    f"{source}: a model of type {config.model_type!r}; give a DINOv2, with or without registers"
                )
            model = AutoModel.from_pretrained(str(source), dtype=torch.float32)
        except VisionError:
            raise
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            reason = str(error).strip().splitlines()[0]
            raise VisionError(
                f"{source}: no backbone can be loaded ({reason}); give a folder with config.json and model.safetensors, "
                "a hub name that this machine can reach, or train one with 'wbvla lam backbone'"
            ) from None
        if not isinstance(model, _KINDS):
            raise VisionError(f"{source}: {type(model).__name__} is not a DINOv2")
        if image is None:
            image = (
                load_image_section(folder)
                if (folder / IMAGE_FILE).exists()
                else whole_picture(_PUBLISHED_SIDE_PX)
            )
        return cls(model, image)

    def save(self, folder: Path) -> None:
        """Write config.json, model.safetensors and image.json, which :meth:`load` reads."""
        folder.mkdir(parents=True, exist_ok=True)
        self.model.save_pretrained(folder, safe_serialization=True)
        save_image_section(self.image, folder)

    @torch.no_grad()
    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Patch features [B, P, D] of normalised pictures [B, 3, H, W]."""
        return self.model(pixel_values=images).last_hidden_state[:, self._skipped :]

    def of_pictures(self, rgb: np.ndarray, batch: int = 64) -> torch.Tensor:
        """Patch features float32 [B, P, D] of pictures uint8 [B, H, W, 3] of any size."""
        device = next(self.parameters()).device
        parts = []
        for begin in range(0, len(rgb), batch):
            small = small_pictures(rgb[begin : begin + batch], self.image)
            parts.append(self.features(model_input(small, self.image).to(device)).float())
        return torch.cat(parts) if parts else torch.zeros(0, self.tokens, self.width)
