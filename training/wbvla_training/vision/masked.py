"""A small DINOv2 learns from scratch by filling in pixels that it was not shown (masked autoencoder).

Its targets are pixels, so features cannot collapse to a constant: a constant cannot tell one picture from another.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn
from transformers import Dinov2Model

from wbvla_training.vision.blocks import SpatialBlock

MASKED_SHARE = 0.6
_DECODER_WIDTH, _DECODER_DEPTH, _DECODER_HEADS = 96, 2, 4


class MaskedAutoencoder(nn.Module):
    """He et al. 2022: the encoder sees the patches that are left, a light decoder that is thrown away fills in."""

    def __init__(self, encoder: Dinov2Model) -> None:
        super().__init__()
        config = encoder.config
        self.encoder = encoder
        self.patch = int(config.patch_size)
        self.count = (int(config.image_size) // self.patch) ** 2
        self.kept = round(self.count * (1.0 - MASKED_SHARE))
        self.to_decoder = nn.Linear(config.hidden_size, _DECODER_WIDTH)
        self.blank = nn.Parameter(torch.zeros(_DECODER_WIDTH))
        self.places = nn.Parameter(0.02 * torch.randn(self.count, _DECODER_WIDTH))
        self.blocks = nn.ModuleList(
            SpatialBlock(_DECODER_WIDTH, _DECODER_HEADS, 2.0) for _ in range(_DECODER_DEPTH)
        )
        self.to_pixels = nn.Sequential(
            nn.LayerNorm(_DECODER_WIDTH), nn.Linear(_DECODER_WIDTH, 3 * self.patch * self.patch)
        )

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Mean square error over the hidden patches of normalised pictures [B, 3, H, W]."""
        order = torch.rand(len(pixels), self.count, device=pixels.device).argsort(1)
        kept, hidden = order[:, : self.kept], order[:, self.kept :]
        tokens = self.encoder.embeddings(pixels)
        shown = torch.cat((tokens[:, :1], _take(tokens[:, 1:], kept)), 1)
        encoded = self.encoder.layernorm(self.encoder.encoder(shown).last_hidden_state)
        seen = self.to_decoder(encoded[:, 1:])
        blanks = self.blank.expand(len(pixels), hidden.shape[1], -1)
        full = _take(torch.cat((seen, blanks.to(seen.dtype)), 1), order.argsort(1)) + self.places
        for block in self.blocks:
            full = block(full)
        guess = self.to_pixels(_take(full, hidden))
        return functional.mse_loss(guess.float(), _take(self.patches(pixels), hidden).float())

    def patches(self, pixels: torch.Tensor) -> torch.Tensor:
        """Pictures [B, 3, H, W] as [B, P, 3 * patch * patch]."""
        return functional.unfold(pixels, self.patch, stride=self.patch).transpose(1, 2)


def _take(tokens: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
    return tokens.gather(1, index.unsqueeze(-1).expand(-1, -1, tokens.shape[-1]))
