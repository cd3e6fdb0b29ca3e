"""What says whether a latent action model works: codes in use, and how much of the future they explain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch

from wbvla_training.lam.modeling import LatentActionModel
from wbvla_training.vision.errors import VisionError


@dataclass(frozen=True)
class Quality:
    """``rrg``: share of the change of features that the decoder explains, (MSE(o_t, o_{t+k}) - MSE(prediction,
    o_{t+k})) / MSE(o_t, o_{t+k}) (WholeBodyVLA); ``rrg_shuffled``: the same with the codes of other pairs;
    ``codebook_use``: share of the codes that occur; ``perplexity`` exp(entropy) of each token's codes."""

    rrg: float
    rrg_shuffled: float
    codebook_use: float
    perplexity: tuple[float, ...]
    pairs: int


@torch.no_grad()
def quality(
    model: LatentActionModel, batches: Iterable[tuple[torch.Tensor, torch.Tensor]], seed: int = 0
) -> Quality:
    """Figures over standardised feature pairs, with a model in evaluation mode. A code counts as used when at least
    one in a thousand tokens has it. Raises VisionError when nothing changes in any pair."""
    firsts, laters, codes = [], [], []
    for first, later in batches:
        firsts.append(first)
        laters.append(later)
        codes.append(model.encode(first, later))
    all_codes = torch.cat(codes)
    generator = torch.Generator().manual_seed(seed)
    mixed = all_codes[torch.randperm(len(all_codes), generator=generator)]
    change = error = error_mixed = 0.0
    begin = 0
    for first, later, own in zip(firsts, laters, codes, strict=True):
        other = mixed[begin : begin + len(own)]
        begin += len(own)
        change += float((later - first).square().sum())
        error += float((model.predict(first, own) - later).square().sum())
        error_mixed += float((model.predict(first, other) - later).square().sum())
    if change == 0.0:
        raise VisionError(
            f"nothing changes between the frames of all {len(all_codes)} pairs; give clips in which something moves"
        )
    return Quality(
        rrg=1.0 - error / change,
        rrg_shuffled=1.0 - error_mixed / change,
        codebook_use=codebook_use(all_codes, model.config.codes),
        perplexity=tuple(perplexity(all_codes[:, i], model.config.codes) for i in range(all_codes.shape[1])),
        pairs=len(all_codes),
    )


def codebook_use(codes: torch.Tensor, count: int) -> float:
    """Share of ``count`` codes that at least one in a thousand of ``codes`` is."""
    hits = torch.bincount(codes.flatten(), minlength=count)
    return float((hits * 1000 >= codes.numel()).float().mean())


def perplexity(codes: torch.Tensor, count: int) -> float:
    """exp(entropy) of codes [N]: 1 when all are the same, ``count`` when all occur equally often."""
    share = torch.bincount(codes, minlength=count).float() / len(codes)
    return float(torch.exp(-(share * share.clamp(min=1e-12).log()).sum()))
