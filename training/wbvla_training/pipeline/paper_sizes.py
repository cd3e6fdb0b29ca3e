"""How large the paper's models are, counted on their own classes without memory, and what a training of them takes.

Formulas. Arithmetic: 6 operations a parameter and token to train all weights, 4 where they are frozen but gradients
run through them, 2 for a forward pass (Kaplan et al. 2020, arXiv 2001.08361, section 2.1; LoRA saves the weights'
gradients). State of AdamW as ``vla/trainer.py`` keeps it, in float32: weight 4 bytes, gradient 4, moments 8, moving
average 4, buckets of DistributedDataParallel 4; frozen weights 4. Activations: 16-bit values kept for the way back,
no checkpointing, attention without its matrix (Korthikanti et al. 2022, arXiv 2205.05198, section 4.1, its terms for
a block without the softmax and dropout)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from wbvla_training.lam.configuration import PRESETS
from wbvla_training.lam.modeling import LatentActionModel
from wbvla_training.vla.configuration import EncoderConfig, LanguageConfig, VlaConfig, paper
from wbvla_training.vla.files import without_sources
from wbvla_training.vla.modeling import VlaModel

LLAMA_WORDS = 32_000
STATES, ACTIONS = 36, 20
"""Of the X2's contract (``wbvla_core/contracts``)."""
DINOV2_BASE = 86_600_000
"""Parameters of facebook/dinov2-base, the LAM's frozen backbone (Oquab et al. 2023, arXiv 2304.07193, table 16)."""
LORA_RANK = 32
BYTES_TRAINED, BYTES_AVERAGE, BYTES_FROZEN = 20, 4, 4


@dataclass(frozen=True)
class Sizes:
    """Parameters of the parts of the VLA, and its tokens a picture and sentence; ``lora``: trained with LoRA."""

    vision: int
    projector: int
    language: int
    decoder: int
    lora: int
    patches: int
    tokens: int

    @property
    def total(self) -> int:
        return self.vision + self.projector + self.language + self.decoder


@dataclass(frozen=True)
class Need:
    """Of one training: ``operations`` in all, ``state_gb`` on each GPU whatever the batch, ``sample_gb`` more for each
    example worked off at once."""

    operations: float
    state_gb: float
    sample_gb: float


def vla_sizes(config: VlaConfig | None = None) -> Sizes:
    """Counted on the classes themselves, on the device without memory. Llama 2's output matrix is not tied to its
    embedding as that of a model made by sizes is, so it is added."""
    config = config or paper()
    names = (*config.decoder.blind, *(f"state_{i}" for i in range(STATES - len(config.decoder.blind))))
    with torch.device("meta"):
        model = VlaModel(without_sources(config), LLAMA_WORDS, 0, names, ACTIONS)
    untied = model.language.get_input_embeddings().weight.numel()
    tokens = config.patches + config.language.length + config.code_tokens
    language = _count(model.language) + untied
    lora = _lora(model) + _count(model.projector) + _count(model.decoder)
    return Sizes(
        _count(model.vision),
        _count(model.projector),
        language,
        _count(model.decoder),
        lora,
        config.patches,
        tokens,
    )


def lam_parameters() -> int:
    """Of one latent action model of the paper's configuration."""
    with torch.device("meta"):
        return _count(LatentActionModel(PRESETS["paper"].model))


def vla_training(config: VlaConfig, sizes: Sizes, examples: int, lora: bool) -> Need:
    """Of ``examples`` in all; without ``lora`` every weight is trained."""
    seen = sizes.vision * sizes.patches + sizes.projector * sizes.patches
    passed = seen + (sizes.language * sizes.tokens) + sizes.decoder
    trained = sizes.lora if lora else sizes.total
    state = trained * (BYTES_TRAINED + BYTES_AVERAGE) + (sizes.total * BYTES_FROZEN if lora else 0)
    kept = sizes.patches * (_encoder_bytes(config.dinov2) + _encoder_bytes(config.siglip))
    kept += sizes.tokens * _llama_bytes(config.language)
    return Need((4.0 if lora else 6.0) * passed * examples, state / 1e9, kept / 1e9)


def lam_training() -> Need:
    """Of one latent action model: both frames through the frozen backbone, then encoder and decoder."""
    model, training = PRESETS["paper"].model, PRESETS["paper"].training
    parameters, frames = lam_parameters(), 2 * (model.patches + model.tokens)
    # Encoder and decoder hold about half of the weights each; the decoder sees one frame.
    passed = parameters * 0.75 * frames
    pairs = training.steps * training.batch
    width, blocks = model.width, 2 * model.encoder_depth * 2 + model.decoder_depth
    kept = (model.patches + model.tokens) * blocks * _block_bytes(width, round(model.mlp_ratio * width))
    features = 2.0 * DINOV2_BASE * 2 * (model.patches + 1)
    state = parameters * BYTES_TRAINED + DINOV2_BASE * BYTES_FROZEN
    return Need((6.0 * passed + features) * pairs, state / 1e9, kept / 1e9)


def _lora(model: VlaModel) -> int:
    """Adapters on all linear layers of encoders and Llama (as ``vla/lora.py``): each adds rank x (in + out)."""
    return sum(
        LORA_RANK * (part.in_features + part.out_features)
        for name, part in model.named_modules()
        if isinstance(part, nn.Linear) and name.startswith(("vision.", "language.model."))
    )


def _encoder_bytes(encoder: EncoderConfig) -> int:
    return encoder.depth * _block_bytes(encoder.width, encoder.mlp)


def _block_bytes(width: int, mlp: int) -> int:
    """A token of a block: 2 norms, q, k, v, attention's result, projection, residual; hidden layer before and after."""
    return 2 * (8 * width + 2 * mlp)


def _llama_bytes(language: LanguageConfig) -> int:
    """A token of the Llama; its gated hidden layer keeps gate, its activation, and the two products' factors."""
    return language.depth * 2 * (8 * language.width + 4 * language.mlp)


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
