"""All figures of one latent action model on one folder of labelled clips."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
import torch

from wbvla_training.lam.files import Lam
from wbvla_training.lam.linear_probe import classify, one_hot
from wbvla_training.lam.measures import quality
from wbvla_training.lam.motion_labels import MotionLabels
from wbvla_training.lam.pairs import Source, held_out_batches
from wbvla_training.lam.retrieval import across_domains

_QUALITY_PAIRS, _PROBE_PAIRS, _BATCH = 3000, 6000, 128
_POOLED = 2


@dataclass(frozen=True)
class Encoded:
    """Labelled pairs [M, 2] of frames with what the model makes of them: ``codes`` [M, tokens], ``latents``
    [M, tokens * dim] before quantisation, ``first`` [M, F] pooled features of o_t alone."""

    pairs: np.ndarray
    codes: torch.Tensor
    latents: torch.Tensor
    first: torch.Tensor


@torch.no_grad()
def encode(lam: Lam, source: Source, pairs: np.ndarray) -> Encoded:
    """Run the model over ``pairs``."""
    grid = lam.processor.backbone.grid
    codes, latents, firsts = [], [], []
    for i in range(0, len(pairs), _BATCH):
        rows = pairs[i : i + _BATCH]
        both = lam.processor.standardise(source.features.rows(rows.reshape(-1)))
        split = both.reshape(len(rows), 2, *both.shape[1:])
        first, later = split[:, 0], split[:, 1]
        latent = lam.model.latents(first, later)
        latents.append(latent.flatten(1))
        codes.append(lam.model.quantizer.nearest(latent))
        squares = first.reshape(len(rows), *grid, -1).permute(0, 3, 1, 2)
        firsts.append(torch.nn.functional.adaptive_avg_pool2d(squares, _POOLED).flatten(1))
    return Encoded(pairs, torch.cat(codes), torch.cat(latents), torch.cat(firsts))


def evaluate(lam: Lam, source: Source, labels: MotionLabels, seed: int = 0) -> dict:
    """Figures on held-out clips; probes are fitted to training clips. Keys as ``wbvla lam probe --json`` writes them."""
    config = lam.model.config
    found = quality(lam.model, held_out_batches(source, lam.processor, _QUALITY_PAIRS, seed=seed), seed)
    generator = np.random.default_rng(seed)
    fit, test = (
        encode(lam, source, _some(labels.labelled(pairs), generator))
        for pairs in (source.training, source.held_out)
    )
    result = {key: value for key, value in dataclasses.asdict(found).items() if key != "pairs"}
    result["perplexity"] = list(found.perplexity)
    result["held_out_pairs"] = found.pairs
    result |= feature_spread(lam, source, seed)
    result |= _probes(fit, test, labels, config.codes)
    vectors = lam.model.quantizer.lookup(test.codes).flatten(1)
    of_pair = test.pairs[:, 0]
    retrieval = across_domains(
        vectors, _tensor(labels.primitive[of_pair]), _tensor(labels.domain[of_pair]), labels.classes, seed
    )
    if retrieval:
        result["retrieval"] = retrieval
    return result


def _probes(fit: Encoded, test: Encoded, labels: MotionLabels, codes: int) -> dict:
    """Accuracies of linear probes for the primitives, and what each primitive's pairs were taken for."""
    count = len(labels.classes)
    fit_y, test_y = (_tensor(labels.primitive[part.pairs[:, 0]]) for part in (fit, test))
    guess = classify(one_hot(fit.codes, codes), fit_y, one_hot(test.codes, codes), count)
    confusion = torch.zeros(count, count)
    confusion.index_put_((test_y, guess), torch.ones(len(test_y)), accumulate=True)
    shares = confusion / confusion.sum(1, keepdim=True).clamp(min=1.0)
    sides_fit, sides_test = (_tensor(labels.directed[part.pairs[:, 0]]) for part in (fit, test))
    sides = classify(
        one_hot(fit.codes, codes), sides_fit, one_hot(test.codes, codes), len(labels.directed_classes)
    )
    majority = torch.bincount(fit_y, minlength=count).argmax()
    return {
        "primitive_accuracy": _share(guess, test_y),
        "primitive_accuracy_o_t": _share(classify(fit.first, fit_y, test.first, count, 1e-3), test_y),
        "primitive_accuracy_before_quantisation": _share(
            classify(fit.latents, fit_y, test.latents, count), test_y
        ),
        "primitive_accuracy_majority": float((test_y == majority).float().mean()),
        "primitive_classes": list(labels.classes),
        "primitive_confusion": [[round(float(v), 3) for v in row] for row in shares],
        "direction_accuracy": _share(sides, sides_test),
        "direction_classes": list(labels.directed_classes),
        "probe_pairs": {"fitted": len(fit.pairs), "tested": len(test.pairs)},
    }


def feature_spread(lam: Lam, source: Source, seed: int = 0) -> dict:
    """``feature_variance``: mean variance over held-out frames of the backbone's raw features at one place, against
    their mean square (``feature_variance_share``); both are 0 when features have collapsed."""
    frames = np.unique(source.held_out)
    chosen = np.sort(np.random.default_rng(seed).permutation(frames)[:500])
    rows = torch.cat(
        [source.features.rows(chosen[i : i + _BATCH]) for i in range(0, len(chosen), _BATCH)]
    ).float()
    variance = rows.var(0).mean()
    return {
        "feature_variance": float(variance),
        "feature_variance_share": float(variance / rows.square().mean()),
    }


def _some(pairs: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Up to _PROBE_PAIRS of ``pairs`` in the order of their frames, which lie on a disk."""
    return pairs[np.sort(generator.permutation(len(pairs))[:_PROBE_PAIRS])]


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def _share(guess: torch.Tensor, truth: torch.Tensor) -> float:
    return float((guess == truth).float().mean())
