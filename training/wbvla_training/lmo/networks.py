"""Actor and critic for rsl-rl's PPO: the actor is exactly symmetric in left and right, hidden layers may run in bf16."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from rsl_rl.models import MLPModel
from tensordict import TensorDict
from torch import nn

Tensor = torch.Tensor


class SymmetricMlp(nn.Module):
    """o -> (f(o) + M f(M o)) / 2 for a multilayer perceptron f with ELU; the last layer stays in single precision.

    M o of the first layer costs nothing: its weight's columns are permuted instead of the batch."""

    def __init__(
        self, hidden: tuple[int, ...], inputs: tuple[np.ndarray, np.ndarray], outputs: tuple[np.ndarray, np.ndarray],
        asleep: slice = slice(0),
    ) -> None:  # fmt: skip
        """``inputs`` and ``outputs``: (permutation, sign) of the observation and of the action; ``asleep`` inputs start
        with weight zero (joints that a first stage does not move)."""
        super().__init__()
        sizes = (len(inputs[0]), *hidden)
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))
        self.head = nn.Linear(sizes[-1], len(outputs[0]))
        nn.init.zeros_(self.layers[0].weight[:, asleep])
        nn.init.orthogonal_(self.head.weight, 0.01)
        nn.init.zeros_(self.head.bias)
        inverse = np.argsort(inputs[0])
        self.register_buffer("input_order", torch.as_tensor(inverse), persistent=False)
        self.register_buffer(
            "input_sign", torch.as_tensor(inputs[1][inverse], dtype=torch.float32), persistent=False
        )
        self.register_buffer("output_order", torch.as_tensor(outputs[0]), persistent=False)
        self.register_buffer(
            "output_sign", torch.as_tensor(outputs[1], dtype=torch.float32), persistent=False
        )

    def forward(self, observation: Tensor) -> Tensor:
        """Actions [B, m] of observations [B, O]."""
        first = self.layers[0]
        mirrored = first.weight[:, self.input_order] * self.input_sign
        both = nn.functional.linear(
            observation, torch.cat([first.weight, mirrored]), torch.cat([first.bias] * 2)
        )
        width = first.out_features
        hidden = nn.functional.elu(torch.cat([both[:, :width], both[:, width:]]))
        for layer in self.layers[1:]:
            hidden = nn.functional.elu(layer(hidden))
        with torch.autocast(hidden.device.type, enabled=False):
            out = self.head(hidden.float())
        count = observation.shape[0]
        return 0.5 * (out[:count] + out[count:][:, self.output_order] * self.output_sign)


def make_blind(first: nn.Linear, inputs: list[int]) -> None:
    """Cut the columns ``inputs`` of a first layer off, for good: zero weights that get no gradient.

    An input that never moves while learning still gets weights: Adam's step does not shrink with the gradient, so they walk
    at random. On the robot, where it moves, they would decide what the legs do."""
    mask = torch.ones(first.in_features)
    mask[inputs] = 0.0

    def cut(gradient: Tensor) -> Tensor:
        return gradient * mask.to(gradient)

    with torch.no_grad():
        first.weight.mul_(mask.to(first.weight))
    first.weight.register_hook(cut)


class SymmetricActor(MLPModel):
    """rsl-rl's actor with a SymmetricMlp; ``mirrors`` = (observation mirror, action mirror); ``asleep`` as there."""

    def __init__(
        self, obs: TensorDict, obs_groups: dict, obs_set: str, output_dim: int, hidden_dims: tuple[int, ...],
        mirrors: tuple, distribution_cfg: dict, asleep: slice,
    ) -> None:  # fmt: skip
        super().__init__(obs, obs_groups, obs_set, output_dim, hidden_dims, "elu", False, distribution_cfg)
        self.mlp = SymmetricMlp(tuple(hidden_dims), *mirrors, asleep)


class MirroringCritic(MLPModel):
    """rsl-rl's critic; while learning it sees a random half of the batch mirrored. ``mirror`` of its whole input."""

    def __init__(
        self, obs: TensorDict, obs_groups: dict, obs_set: str, output_dim: int, hidden_dims: tuple[int, ...],
        mirror: tuple[np.ndarray, np.ndarray],
    ) -> None:  # fmt: skip
        super().__init__(obs, obs_groups, obs_set, output_dim, hidden_dims, "elu", False, None)
        self.register_buffer("order", torch.as_tensor(mirror[0]), persistent=False)
        self.register_buffer("sign", torch.as_tensor(mirror[1], dtype=torch.float32), persistent=False)

    def get_latent(self, obs: TensorDict, masks: Tensor | None = None, hidden_state: object = None) -> Tensor:
        """Concatenated groups, half of the rows mirrored when gradients are taken."""
        latent = super().get_latent(obs, masks, hidden_state)
        if not torch.is_grad_enabled():
            return latent
        half = latent.shape[0] // 2
        return torch.cat([latent[:half][:, self.order] * self.sign, latent[half:]])

    def forward(
        self,
        obs: TensorDict,
        masks: Tensor | None = None,
        hidden_state: object = None,
        stochastic_output: bool = False,
    ) -> Tensor:
        """Values [B, 1], the last layer in single precision."""
        hidden = self.get_latent(obs, masks)
        *layers, head = self.mlp
        for layer in layers:
            hidden = layer(hidden)
        with torch.autocast(hidden.device.type, enabled=False):
            return head(hidden.float())
