"""Hashes that tell whether weights are the ones that something was trained with."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import torch


def weights_hash(state: Mapping[str, torch.Tensor]) -> str:
    """16 hex digits over names, shapes and values of ``state`` (order of the names does not matter)."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
