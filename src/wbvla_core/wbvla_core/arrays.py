"""One code path for numpy arrays and torch tensors.

The controller (numpy, batch 1) and the trainer (torch, thousands of environments) call the same functions.
numpy and torch share the names these functions need, so ``namespace`` simply returns the module an array
belongs to; torch is looked up among the modules already imported and is never imported here.
"""

from __future__ import annotations

import functools
import sys
from types import ModuleType
from typing import Any

import numpy as np

Array = Any
"""A numpy array or a torch tensor."""


def namespace(array: Array) -> ModuleType:
    """The module, numpy or torch, whose functions take ``array``."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        return torch
    return np


def constant(values: tuple | np.ndarray, like: Array) -> Array:
    """``values`` as an array of the kind, device and floating type of ``like``. Tuples are converted once and
    kept."""
    xp = namespace(like)
    if isinstance(values, tuple):
        if xp is np:
            return _numpy_constant(values, like.dtype)
        return _torch_constant(values, like.dtype, like.device)
    if xp is np:
        return np.asarray(values, dtype=like.dtype)
    return xp.as_tensor(values, dtype=like.dtype, device=like.device)


def indices(values: tuple[int, ...], like: Array) -> Array:
    """``values`` as an integer index array that ``like`` accepts."""
    xp = namespace(like)
    if xp is np:
        return _numpy_constant(values, np.dtype(np.int64))
    return _torch_constant(values, xp.int64, like.device)


def cast(array: Array, like: Array) -> Array:
    """``array`` (for example of booleans) in the floating type of ``like``, of which it already shares the
    kind."""
    return array.astype(like.dtype) if namespace(like) is np else array.to(like.dtype)


def whole(array: Array) -> Array:
    """``array`` of floats, already rounded, as 64-bit integers."""
    return array.astype(np.int64) if namespace(array) is np else array.long()


def select(mask: Array, yes: Array, no: Array) -> Array:
    """Rows [B, ...] of ``yes`` where ``mask`` [B] is true, of ``no`` elsewhere."""
    xp = namespace(yes)
    return xp.where(mask.reshape(mask.shape + (1,) * (len(yes.shape) - 1)), yes, no)


@functools.lru_cache(maxsize=512)
def _torch_constant(values: tuple, dtype: Any, device: Any) -> Array:
    return sys.modules["torch"].as_tensor(values, dtype=dtype, device=device)


@functools.lru_cache(maxsize=512)
def _numpy_constant(values: tuple, dtype: np.dtype) -> np.ndarray:
    array = np.asarray(values, dtype=dtype)
    array.setflags(write=False)
    return array
