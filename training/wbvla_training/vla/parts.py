"""The parts of ``transformers`` that a VLA is built of: made by sizes, loaded from published weights, or in the shape of
a saved model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    LlamaConfig,
    LlamaForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from .configuration import VlaConfig
from .errors import VlaError

Parts = dict[str, dict[str, Any]]
"""Configuration of each part in the words of ``transformers``, by "dinov2", "siglip", "language"."""
_KINDS = {
    "dinov2": (Dinov2Config, Dinov2Model),
    "dinov2_with_registers": (Dinov2WithRegistersConfig, Dinov2WithRegistersModel),
    "siglip_vision_model": (SiglipVisionConfig, SiglipVisionModel),
    "llama": (LlamaConfig, LlamaForCausalLM),
}
# Where a part came from and with which version is nobody's business once it is saved.
_PRIVATE = ("transformers_version", "architectures", "dtype", "torch_dtype")


def parts_of(dinov2: nn.Module, siglip: nn.Module, language: nn.Module) -> Parts:
    """What :func:`saved_part` needs to make the same again."""
    found: Parts = {}
    for name, part in (("dinov2", dinov2), ("siglip", siglip), ("language", language)):
        values = {**part.config.to_diff_dict(), "model_type": part.config.model_type}
        found[name] = {k: v for k, v in values.items() if not k.startswith("_") and k not in _PRIVATE}
    return found


def saved_part(parts: Parts, name: str) -> nn.Module:
    """A part of a saved model, its weights still to come; raises VlaError."""
    try:
        config, model = _KINDS[parts[name]["model_type"]]
    except (KeyError, TypeError):
        raise VlaError(
            f"part {name} of the model is of no known kind; known are {', '.join(_KINDS)}"
        ) from None
    return model(config.from_dict(parts[name]))


def dinov2_part(config: VlaConfig, parts: Parts | None) -> nn.Module:
    """The DINOv2 encoder."""
    encoder = config.dinov2
    if parts is not None:
        return saved_part(parts, "dinov2")
    if encoder.source:
        return _loaded(AutoModel, encoder.source, "DINOv2")
    if encoder.mlp % encoder.width:
        raise VlaError(
            f"configuration {config.name}: dinov2.mlp is {encoder.mlp}; a DINOv2 needs a multiple of its width "
            f"{encoder.width}"
        )
    made = Dinov2Model(
        Dinov2Config(
            hidden_size=encoder.width,
            num_hidden_layers=encoder.depth,
            num_attention_heads=encoder.heads,
            mlp_ratio=encoder.mlp // encoder.width,
            image_size=config.image.width,
            patch_size=encoder.patch,
        )
    )
    with torch.no_grad():
        made.embeddings.position_embeddings[0, 1:] = places(config.patches, encoder.width)
    return made


def siglip_part(config: VlaConfig, parts: Parts | None) -> nn.Module:
    """The SigLIP encoder."""
    encoder = config.siglip
    if parts is not None:
        return saved_part(parts, "siglip")
    if encoder.source:
        return _loaded(SiglipVisionModel, encoder.source, "SigLIP")
    made = SiglipVisionModel(
        SiglipVisionConfig(
            hidden_size=encoder.width,
            num_hidden_layers=encoder.depth,
            num_attention_heads=encoder.heads,
            intermediate_size=encoder.mlp,
            image_size=config.image.width,
            patch_size=encoder.patch,
            vision_use_head=False,
        )
    )
    with torch.no_grad():
        vision = getattr(made, "vision_model", made)
        vision.embeddings.position_embedding.weight.copy_(places(config.patches, encoder.width))
    return made


def places(patches: int, width: int, scale: float = 0.5) -> torch.Tensor:
    """Where each patch is [patches, width], as sines and cosines of its row and column: a start for position embeddings
    that are to be learned from few pictures, ``scale`` about that of the patches' own embeddings."""
    side = round(patches**0.5)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    waves = 1.0 / 100.0 ** (torch.arange(width // 4) / (width // 4))
    parts = [
        wave(place.reshape(-1, 1) * waves) for place in (rows, columns) for wave in (torch.sin, torch.cos)
    ]
    return scale * torch.cat(parts, dim=1)


def language_part(config: VlaConfig, vocabulary: int, parts: Parts | None) -> Any:
    """The Llama, still without the tokens of latent codes."""
    language = config.language
    if parts is not None:
        return saved_part(parts, "language")
    if language.source:
        return _loaded(LlamaForCausalLM, language.source, "Llama")
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=language.width,
            num_hidden_layers=language.depth,
            num_attention_heads=language.heads,
            intermediate_size=language.mlp,
            max_position_embeddings=2048,
            tie_word_embeddings=True,
        )
    )


def _loaded(cls, source: str, what: str):
    """Published weights from a folder or by hub name; a missing weight is an error, not a random number."""
    try:
        model, account = cls.from_pretrained(source, output_loading_info=True, dtype=torch.float32)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        hint = (
            ""
            if Path(source).exists()
            else "; give a folder with config.json and model.safetensors, or a hub name"
        )
        raise VlaError(f"{what} cannot be loaded from '{source}' ({reason}){hint}") from None
    missing = sorted(account["missing_keys"])
    if missing:
        raise VlaError(f"{what} from '{source}' lacks {len(missing)} weights, the first is {missing[0]}")
    return model
