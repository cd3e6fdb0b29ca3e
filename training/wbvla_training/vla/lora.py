"""Low-rank adaptation by ``peft``: small matrices learn, the model's own weights stay, and are merged at the end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from peft import LoraConfig, LoraModel
from torch import nn

from .modeling import VlaModel


@dataclass(frozen=True)
class LoraOptions:
    """UniVLA's values: rank 32, alpha 16, all linear layers of encoders and language model."""

    rank: int = 32
    alpha: int = 16
    dropout: float = 0.0


def with_lora(model: VlaModel, options: LoraOptions) -> nn.Module:
    """``model`` with adapters; only they, the projector and the decoder want gradients."""
    linear = [
        name
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) and name.startswith(("vision.", "language.model."))
    ]
    config = LoraConfig(
        r=options.rank,
        lora_alpha=options.alpha,
        lora_dropout=options.dropout,
        target_modules=linear,
        bias="none",
    )
    adapted = LoraModel(model, config, "default")
    for name, parameter in adapted.named_parameters():
        parameter.requires_grad_("lora_" in name or name.startswith(("model.projector.", "model.decoder.")))
    return adapted


def merged(adapted: nn.Module, weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Weights of the plain model: ``weights`` (of the adapted one, by its names) put in, adapters merged."""
    with torch.no_grad():
        for name, parameter in adapted.named_parameters():
            parameter.copy_(weights[name])
    plain = adapted.merge_and_unload()
    return {name: parameter.detach() for name, parameter in plain.named_parameters()}
