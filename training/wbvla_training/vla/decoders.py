"""Execution decoder: hidden states of code and picture tokens with proprioception, to a chunk of actions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from .configuration import DecoderConfig
from .examples import SCENE_NAMES

SCENE = len(SCENE_NAMES)
"""What grounding asks for; learned beside the action, never used by the robot."""


@dataclass(frozen=True)
class Decoded:
    """``action`` [B, T, A] normalised, ``flags`` logits [B, T, 3, 3] (None without), ``progress`` [B, 1] in 0..1,
    ``scene`` [B, SCENE], ``point`` [B, P]: logits of the picture tokens that show what the sentence names."""

    action: torch.Tensor
    flags: torch.Tensor | None
    progress: torch.Tensor
    scene: torch.Tensor
    point: torch.Tensor


class AttentionPool(nn.Module):
    """``queries`` vectors look at tokens [B, N, D] and give [B, queries, width]; a ``seed`` [B, width] shifts them, as
    UniVLA seeds its pool over latent actions with what was seen."""

    def __init__(self, tokens_width: int, width: int, heads: int, queries: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(queries, width) * 0.1)
        self.norm = nn.LayerNorm(tokens_width)
        self.key, self.value = nn.Linear(tokens_width, width), nn.Linear(tokens_width, width)
        self.out = nn.Linear(width, width)
        self.heads = heads

    def forward(self, tokens: torch.Tensor, seed: torch.Tensor | None = None) -> torch.Tensor:
        batch, width = tokens.shape[0], self.query.shape[1]
        query = self.query[None].expand(batch, -1, -1)
        if seed is not None:
            query = query + seed[:, None]
        tokens = self.norm(tokens)

        def split(x: torch.Tensor) -> torch.Tensor:
            return x.reshape(batch, x.shape[1], self.heads, width // self.heads).transpose(1, 2)

        pooled = nn.functional.scaled_dot_product_attention(
            split(query), split(self.key(tokens)), split(self.value(tokens))
        )
        return self.out(pooled.transpose(1, 2).reshape(batch, -1, width))


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


class ExecutionDecoder(nn.Module):
    """Attention pools over picture and code tokens, a state MLP, residual layers, heads.

    One more look at the picture points: a weight for each picture token, which grounding teaches to be where the named
    thing is. A pool that has to find this out by what comes of its actions takes many times as many examples."""

    def __init__(
        self, config: DecoderConfig, tokens_width: int, states: int, actions: int, seen: torch.Tensor
    ) -> None:
        """``seen`` [S]: 1 for states that the decoder may use, 0 for the others."""
        super().__init__()
        width, self.config, self.actions = config.width, config, actions
        self.register_buffer("seen", seen.float(), persistent=False)
        self.visual_pool = AttentionPool(tokens_width, width, config.heads, config.queries)
        self.point_key = nn.Sequential(nn.LayerNorm(tokens_width), nn.Linear(tokens_width, width))
        self.point_query = nn.Sequential(nn.LayerNorm(tokens_width), nn.Linear(tokens_width, width))
        self.pointed = nn.Sequential(nn.LayerNorm(tokens_width), nn.Linear(tokens_width, width))
        self.seed = nn.Linear((config.queries + 1) * width, width)
        self.code_pool = AttentionPool(tokens_width, width, config.heads, config.queries)
        self.state = nn.Sequential(nn.Linear(states, width), nn.GELU(), nn.Linear(width, width))
        self.join = nn.Linear((2 * config.queries + 2) * width, width)
        self.trunk = nn.Sequential(*(Residual(width) for _ in range(config.depth)), nn.LayerNorm(width))
        self.action = nn.Linear(width, config.chunk * actions)
        self.flags = nn.Linear(width, config.chunk * 9) if config.flags else None
        self.progress = nn.Linear(width, 1)
        self.scene = nn.Linear(width, SCENE)

    def forward(self, hidden: torch.Tensor, visual: torch.Tensor, state: torch.Tensor) -> Decoded:
        """``hidden`` [B, N, D] of code tokens, ``visual`` [B, P, D] of picture tokens, ``state`` [B, S] normalised."""
        batch = hidden.shape[0]
        # A broken state that the decoder is blind to must still be seen in the output, hence no indexing.
        state = state * self.seen
        if self.training:
            state = state + self.config.state_noise * torch.randn_like(state) * self.seen
            state = state * (torch.rand(batch, 1, device=state.device) >= self.config.state_dropout)
        # The code tokens know the sentence, the picture tokens what is where: one asks, the others answer.
        asked = self.point_query(hidden).mean(dim=1)
        point = (self.point_key(visual) @ asked[..., None])[..., 0] / asked.shape[-1] ** 0.5
        pointed = (torch.softmax(point, dim=-1)[:, None] @ self.pointed(visual))[:, 0]
        visual_pooled = torch.cat((self.visual_pool(visual).flatten(1), pointed), dim=-1)
        codes_pooled = self.code_pool(hidden, self.seed(visual_pooled)).flatten(1)
        joined = self.join(torch.cat((visual_pooled, codes_pooled, self.state(state)), dim=-1))
        x = self.trunk(joined)
        return Decoded(
            self.action(x).reshape(batch, self.config.chunk, self.actions),
            None if self.flags is None else self.flags(x).reshape(batch, self.config.chunk, 3, 3),
            torch.sigmoid(self.progress(x)),
            self.scene(x),
            point,
        )
