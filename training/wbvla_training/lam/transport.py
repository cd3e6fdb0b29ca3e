"""Codes that move features instead of painting them: where each patch of the future comes from in the first frame."""

from __future__ import annotations

import torch
from torch import nn

_HIDDEN, _MATCH = 128, 32
# Softmax weight of "stays where it is" before anything was learned: 0.87 against 62 other places.
_STAYS = 6.0


def neighbourhood(grid: tuple[int, int], reach: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor, int]:
    """For patches P and offsets R up to ``reach`` (rows, columns): which patch lies there [P, R] (0 where there is
    none), whether there is one [P, R], and the number of the offset zero."""
    rows, columns = grid
    steps = [(dy, dx) for dy in range(-reach[0], reach[0] + 1) for dx in range(-reach[1], reach[1] + 1)]
    places = [(y, x) for y in range(rows) for x in range(columns)]
    there = torch.tensor(
        [[0 <= y + dy < rows and 0 <= x + dx < columns for dy, dx in steps] for y, x in places]
    )
    index = torch.tensor([[(y + dy) * columns + x + dx for dy, dx in steps] for y, x in places])
    return index * there, there, steps.index((0, 0))


class Correlation(nn.Module):
    """How alike each patch of the later frame is to its neighbours in the first: evidence of motion [B, P, R]."""

    index: torch.Tensor
    there: torch.Tensor

    def __init__(self, grid: tuple[int, int], reach: tuple[int, int], feature_width: int) -> None:
        super().__init__()
        index, there, _ = neighbourhood(grid, reach)
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("there", there, persistent=False)
        # What a feature says about its own place is no evidence of motion; it is learned and taken away.
        self.of_place = nn.Parameter(torch.zeros(len(index), feature_width))
        self.match = nn.Linear(feature_width, _MATCH, bias=False)

    def forward(self, first: torch.Tensor, later: torch.Tensor) -> torch.Tensor:
        """[B, P, D] twice -> [B, P, R], 0 outside of the picture."""
        before, after = (
            nn.functional.normalize(self.match(features - self.of_place), dim=-1)
            for features in (first, later)
        )
        alike = after @ before.transpose(1, 2)
        return alike.gather(2, self.index.expand(len(first), -1, -1)) * self.there


class Transport(nn.Module):
    """Moves patch features of the first frame as the codes say. The same codes move any content alike."""

    index: torch.Tensor
    blocked: torch.Tensor

    def __init__(self, grid: tuple[int, int], reach: tuple[int, int], code_width: int) -> None:
        super().__init__()
        index, there, zero = neighbourhood(grid, reach)
        self.register_buffer("index", index, persistent=False)
        self.register_buffer("blocked", ~there, persistent=False)
        self.hidden = nn.Sequential(nn.Linear(code_width, _HIDDEN), nn.GELU())
        self.places = nn.Linear(_HIDDEN, index.numel())
        nn.init.normal_(self.places.weight, std=0.02)
        bias = torch.zeros(index.shape)
        bias[:, zero] = _STAYS
        self.places.bias.data.copy_(bias.flatten())

    def forward(self, first: torch.Tensor, vectors: torch.Tensor) -> torch.Tensor:
        """Features [B, P, D] and code vectors [B, tokens, dim] -> moved features [B, P, D]."""
        logits = self.places(self.hidden(vectors.flatten(1))).reshape(len(first), *self.index.shape)
        share = logits.masked_fill(self.blocked, float("-inf")).softmax(-1)
        full = torch.zeros(
            len(first), len(self.index), len(self.index), dtype=share.dtype, device=share.device
        )
        full = full.scatter_add(2, self.index.expand(len(first), -1, -1), share)
        return full @ first.to(share.dtype)
