"""Transformer blocks over space and time, before normalisation as in UniVLA's latent action model."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import nn


class Attention(nn.Module):
    """Multi-head self-attention over the tokens of [B, T, width]."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, tokens: torch.Tensor, causal: bool = False) -> torch.Tensor:
        batch, length, width = tokens.shape
        split = self.qkv(tokens).reshape(batch, length, 3, self.heads, width // self.heads)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return self.out(mixed.transpose(1, 2).reshape(batch, length, width))


class SpatialBlock(nn.Module):
    """Attention among the tokens of one frame, then an MLP; both added to what came in."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        hidden = int(width * mlp_ratio)
        self.norm1, self.space = nn.LayerNorm(width), Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """[B, tokens, width] -> the same."""
        tokens = tokens + self.space(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class SpaceTimeBlock(nn.Module):
    """Attention within each frame, then causal attention of each token place along time, then an MLP."""

    def __init__(self, width: int, heads: int, mlp_ratio: float) -> None:
        super().__init__()
        self.norm_time, self.time = nn.LayerNorm(width), Attention(width, heads)
        self.spatial = SpatialBlock(width, heads, mlp_ratio)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """[B, frames, tokens, width] -> the same."""
        batch, frames, count, width = tokens.shape
        spatial = self.spatial
        flat = tokens.reshape(batch * frames, count, width)
        flat = flat + spatial.space(spatial.norm1(flat))
        lanes = (
            flat.reshape(batch, frames, count, width).transpose(1, 2).reshape(batch * count, frames, width)
        )
        lanes = lanes + self.time(self.norm_time(lanes), causal=True)
        tokens = lanes.reshape(batch, count, frames, width).transpose(1, 2)
        return tokens + spatial.mlp(spatial.norm2(tokens))
