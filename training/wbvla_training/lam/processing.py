"""From pictures to what the latent action model takes: backbone features in the scale of its training."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from wbvla_core.vla_bundle import ImageSection

from wbvla_training.vision.backbone import Dinov2Backbone


class LamProcessor(nn.Module):
    """Backbone and the mean and standard deviation [D] of its features over the training frames."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone: Dinov2Backbone, mean: torch.Tensor, std: torch.Tensor) -> None:
        super().__init__()
        self.backbone = backbone
        self.register_buffer("mean", mean.float())
        self.register_buffer("std", std.float())

    @property
    def image(self) -> ImageSection:
        """How pictures are cropped, resized and scaled."""
        return self.backbone.image

    def standardise(self, features: torch.Tensor) -> torch.Tensor:
        """Backbone features [..., P, D] to mean 0 and deviation 1 of each channel."""
        return (features.float() - self.mean) / self.std

    def features(self, rgb: np.ndarray) -> torch.Tensor:
        """Standardised features float32 [B, P, D] of pictures uint8 [B, H, W, 3] of any size."""
        return self.standardise(self.backbone.of_pictures(rgb))
