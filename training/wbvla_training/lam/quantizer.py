"""Vector quantisation: nearest codes, straight-through gradient, codebook by moving average, dead codes restarted."""

from __future__ import annotations

import torch
import torch.distributed as dist
import torch.nn.functional as functional
from torch import nn


class Quantizer(nn.Module):
    """One codebook [codes, dim] for all tokens (van den Oord et al. 2017, with the moving averages of their
    appendix). Everything that decides its future is a buffer, so that a resumed training goes on the same."""

    codebook: torch.Tensor
    counts: torch.Tensor
    sums: torch.Tensor
    unused_steps: torch.Tensor
    filled: torch.Tensor

    def __init__(self, codes: int, dim: int, decay: float, restart_after: int) -> None:
        super().__init__()
        self.decay, self.restart_after = decay, restart_after
        self.register_buffer("codebook", torch.randn(codes, dim))
        self.register_buffer("counts", torch.ones(codes))
        self.register_buffer("sums", self.codebook.clone())
        self.register_buffer("unused_steps", torch.zeros(codes))
        self.register_buffer("filled", torch.zeros((), dtype=torch.bool))

    def nearest(self, latents: torch.Tensor) -> torch.Tensor:
        """Index int64 [...] of the code nearest to each latent [..., dim]."""
        flat = latents.reshape(-1, latents.shape[-1]).float()
        distance = self.codebook.square().sum(1) - 2.0 * flat @ self.codebook.T
        return distance.argmin(1).reshape(latents.shape[:-1])

    def lookup(self, codes: torch.Tensor) -> torch.Tensor:
        """Vectors [..., dim] of code indices [...]."""
        return functional.embedding(codes, self.codebook)

    def forward(self, latents: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Quantised latents [..., dim] (gradient straight through to ``latents``), indices [...], and the
        commitment loss before its weight. In training mode the codebook moves too."""
        if self.training and not self.filled:
            self._fill(latents)
        codes = self.nearest(latents)
        vectors = self.lookup(codes).to(latents.dtype)
        commitment = functional.mse_loss(latents.float(), vectors.detach().float())
        if self.training:
            self._follow(latents, codes)
        return latents + (vectors - latents).detach(), codes, commitment

    @torch.no_grad()
    def _fill(self, latents: torch.Tensor) -> None:
        """Begin with latents of the first batch as codes."""
        self.codebook.copy_(self._sample(latents, len(self.codebook)))
        self.sums.copy_(self.codebook)
        self.filled.fill_(True)

    @torch.no_grad()
    def _follow(self, latents: torch.Tensor, codes: torch.Tensor) -> None:
        flat = latents.detach().reshape(-1, latents.shape[-1]).float()
        hits = functional.one_hot(codes.reshape(-1), len(self.codebook)).float()
        counts, sums = hits.sum(0), hits.T @ flat
        if dist.is_initialized():
            dist.all_reduce(counts)
            dist.all_reduce(sums)
        if not bool(torch.isfinite(sums).all()):
            # An overflow of 16 bits, whose step the scaler leaves out, must not stay in the averages for ever.
            return
        self.counts.lerp_(counts, 1.0 - self.decay)
        self.sums.lerp_(sums, 1.0 - self.decay)
        self.unused_steps.add_(1.0).masked_fill_(counts > 0, 0.0)
        # Laplace smoothing keeps the division finite for codes that are hardly used.
        total = self.counts.sum()
        smoothed = (self.counts + 1e-5) / (total + len(self.counts) * 1e-5) * total
        self.codebook.copy_(self.sums / smoothed.unsqueeze(1))
        self._restart(latents)

    def _restart(self, latents: torch.Tensor) -> None:
        dead = self.unused_steps >= self.restart_after
        if not bool(dead.any()):
            return
        fresh = self._sample(latents, int(dead.sum()))
        weight = self.counts.mean().clamp(min=1e-3)
        self.codebook[dead] = fresh
        self.sums[dead], self.counts[dead] = fresh * weight, weight
        self.unused_steps[dead] = 0.0

    @staticmethod
    def _sample(latents: torch.Tensor, count: int) -> torch.Tensor:
        """``count`` latents of the batch, the same in every process."""
        flat = latents.detach().reshape(-1, latents.shape[-1]).float()
        rows = torch.randint(len(flat), (count,), device=flat.device)
        chosen = flat[rows]
        chosen = chosen + 1e-3 * chosen.std().clamp(min=1e-3) * torch.randn_like(chosen)
        if dist.is_initialized():
            dist.broadcast(chosen, 0)
        return chosen
