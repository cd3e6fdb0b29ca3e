"""The latent action model: VQ-VAE over features of two frames. What changed goes through a few discrete codes."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import nn

from wbvla_training.lam.configuration import LamConfig
from wbvla_training.lam.quantizer import Quantizer
from wbvla_training.lam.transport import Correlation, Transport
from wbvla_training.vision.blocks import SpaceTimeBlock, SpatialBlock


@dataclass(frozen=True)
class LamOutput:
    """``loss`` = ``reconstruction`` (mean square error of the future's features) + beta * ``commitment``;
    ``codes`` int64 [B, tokens]; ``prediction`` [B, P, D]."""

    loss: torch.Tensor
    reconstruction: torch.Tensor
    commitment: torch.Tensor
    codes: torch.Tensor
    prediction: torch.Tensor


class LatentActionModel(nn.Module):
    """Encoder (space and time) -> ``tokens`` latents -> nearest codes -> decoder (space) of the future's features.

    Features are the processor's: standardised patch features [B, P, D] of o_t and of o_{t+k}.
    """

    def __init__(self, config: LamConfig) -> None:
        super().__init__()
        self.config = config
        width, tokens = config.width, config.tokens
        merged = config.feature_width * config.merge**2
        places = config.patches // config.merge**2
        self.encoder_in = nn.Linear(merged, width)
        # Attention along time could find the difference of two frames by itself; given it, training is shorter.
        self.change_in = nn.Linear(merged, width, bias=False)
        self.decoder_in = nn.Linear(2 * merged if config.moves else merged, width)
        self.places = nn.Parameter(0.02 * torch.randn(places, width))
        self.decoder_places = nn.Parameter(0.02 * torch.randn(places, width))
        self.times = nn.Parameter(0.02 * torch.randn(2, 1, width))
        self.queries = nn.Parameter(0.02 * torch.randn(tokens, width))
        sizes = (width, config.heads, config.mlp_ratio)
        self.encoder = nn.ModuleList(SpaceTimeBlock(*sizes) for _ in range(config.encoder_depth))
        self.to_latent = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.dim))
        self.quantizer = Quantizer(config.codes, config.dim, config.ema_decay, config.restart_after)
        if config.moves:
            self.correlation = Correlation(config.grid, config.reach, config.feature_width)
            self.correlation_in = nn.Linear(self.correlation.index.shape[1] * config.merge**2, width)
            self.transport = Transport(config.grid, config.reach, tokens * config.dim)
        else:
            self.from_latent = nn.Linear(config.dim, width)
            self.code_places = nn.Parameter(0.02 * torch.randn(tokens, width))
            self.onto_patches = nn.Linear(tokens * config.dim, width) if config.codes_on_patches else None
        self.decoder = nn.ModuleList(SpatialBlock(*sizes) for _ in range(config.decoder_depth))
        self.to_feature = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, merged))
        if config.residual:
            # Begins as "nothing changes", which is what the reconstruction gain is measured against.
            nn.init.zeros_(self.to_feature[1].weight)
            nn.init.zeros_(self.to_feature[1].bias)

    def latents(self, first: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
        """Continuous latents [B, tokens, dim] before quantisation."""
        before, after = self._merge(first), self._merge(later)
        second = self.encoder_in(after) + self.change_in(after - before)
        if self.config.moves:
            second = second + self.correlation_in(self._merge(self.correlation(first, later)))
        tokens = torch.stack((self.encoder_in(before), second), 1) + self.places
        queries = self.queries.expand(len(first), 2, *self.queries.shape)
        tokens = torch.cat((queries, tokens), 2) + self.times
        for block in self.encoder:
            tokens = block(tokens)
        return self.to_latent(tokens[:, 1, : self.config.tokens])

    @torch.no_grad()
    def encode(self, first: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
        """Codes int64 [B, tokens] of feature pairs."""
        return self.quantizer.nearest(self.latents(first, later))

    def decode(self, first: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Predicted features [B, P, D] of the future from o_t's and code vectors [B, tokens, dim]."""
        if self.config.moves:
            moved = self.transport(first, vectors).to(first.dtype)
            tokens = (
                self.decoder_in(torch.cat((self._merge(moved), self._merge(first)), -1)) + self.decoder_places
            )
            base, skipped = moved, 0
        else:
            patches = self.decoder_in(self._merge(first)) + self.decoder_places
            if self.onto_patches is not None:
                patches = patches + self.onto_patches(vectors.flatten(1)).unsqueeze(1)
            tokens = torch.cat((self.from_latent(vectors) + self.code_places, patches), 1)
            base, skipped = first, self.config.tokens
        for block in self.decoder:
            tokens = block(tokens)
        out = self._split(self.to_feature(tokens[:, skipped:]))
        return base + out if self.config.residual else out

    def _merge(self, features: torch.Tensor) -> torch.Tensor:
        """[B, P, D] -> [B, P / m^2, m^2 D], the features of m x m neighbours one after the other."""
        (rows, columns), m = self.config.grid, self.config.merge
        blocks = features.reshape(len(features), rows // m, m, columns // m, m, -1)
        return blocks.permute(0, 1, 3, 2, 4, 5).flatten(3).flatten(1, 2)

    def _split(self, merged: torch.Tensor) -> torch.Tensor:
        """The inverse of :meth:`_merge`."""
        (rows, columns), m = self.config.grid, self.config.merge
        blocks = merged.reshape(len(merged), rows // m, columns // m, m, m, -1)
        return blocks.permute(0, 1, 3, 2, 4, 5).reshape(len(merged), rows * columns, -1)

    def predict(self, first: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        """As :meth:`decode`, from code indices [B, tokens]."""
        return self.decode(first, self.quantizer.lookup(codes))

    def forward(self, first: torch.Tensor, later: torch.Tensor) -> LamOutput:
        """Losses of a batch; in training mode the codebook moves."""
        latents = self.latents(first, later)
        # Distances of near codes and moving averages need all digits.
        with torch.autocast(latents.device.type, enabled=False):
            vectors, codes, commitment = self.quantizer(latents.float())
        prediction = self.decode(first, vectors)
        reconstruction = functional.mse_loss(prediction.float(), later.float())
        loss = reconstruction + self.config.commitment * commitment
        return LamOutput(loss, reconstruction.detach(), commitment.detach(), codes, prediction)
