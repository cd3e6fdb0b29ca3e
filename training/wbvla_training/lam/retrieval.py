"""Nearest-code retrieval across two domains: does a code mean the same motion on a robot's and a person's head?"""

from __future__ import annotations

import torch

NEAREST = 10


def across_domains(
    vectors: torch.Tensor, labels: torch.Tensor, domain: torch.Tensor, names: tuple[str, ...], seed: int = 0
) -> dict:
    """Share of the NEAREST neighbours in the other domain that show the same primitive.

    ``vectors`` [N, F] code vectors of pairs, ``labels`` [N] primitives (index into ``names``), ``domain`` [N] 0 or 1.
    Equal distances (many pairs share all codes) are taken in random order. ``chance`` is what random neighbours
    would give. Empty when there are not two domains.
    """
    sides = [torch.nonzero(domain == d).flatten() for d in (0, 1)]
    if min(len(side) for side in sides) < NEAREST:
        return {}
    generator = torch.Generator().manual_seed(seed)
    hits = torch.zeros(len(vectors))
    chance = torch.zeros(len(vectors))
    for query, gallery in (sides, sides[::-1]):
        mixed = gallery[torch.randperm(len(gallery), generator=generator)]
        distance = torch.cdist(vectors[query], vectors[mixed], compute_mode="donot_use_mm_for_euclid_dist")
        # A stable sort keeps the random order among equals.
        nearest = mixed[distance.sort(dim=1, stable=True).indices[:, :NEAREST]]
        hits[query] = (labels[nearest] == labels[query, None]).float().mean(1)
        share = torch.bincount(labels[mixed], minlength=len(names)).float() / len(mixed)
        chance[query] = share[labels[query]]
    by_primitive = {
        name: float(hits[labels == i].mean()) for i, name in enumerate(names) if bool((labels == i).any())
    }
    return {
        "precision_at_10": float(hits.mean()),
        "chance": float(chance.mean()),
        "by_primitive": by_primitive,
        "queries": len(vectors),
    }
