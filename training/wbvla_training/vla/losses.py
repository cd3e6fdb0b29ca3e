"""What is learned from a batch: latent codes, actions, progress and places, each where an example has it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from .decoders import Decoded
from .examples import PICTURE, SCENE_STD
from .modeling import Reading


@dataclass(frozen=True)
class Batch:
    """``image`` [B, 3, H, W], ``tokens`` [B, L], ``state`` [B, S] and ``action`` [B, T, A] normalised (NaN: none),
    ``flags`` [B, T, 3] classes 0..2 (-100: none), ``progress`` [B], ``scene`` [B, 8] scaled (NaN: none), ``codes``
    [B, N] (-100: none)."""

    image: torch.Tensor
    tokens: torch.Tensor
    state: torch.Tensor
    action: torch.Tensor
    flags: torch.Tensor
    progress: torch.Tensor
    scene: torch.Tensor
    codes: torch.Tensor

    def to(self, device: str) -> Batch:
        return Batch(**{name: value.to(device) for name, value in self.__dict__.items()})


@dataclass(frozen=True)
class LossWeights:
    """Weight of each part. ``action`` covers joints, grippers and height (or velocities)."""

    codes: float = 1.0
    action: float = 1.0
    flags: float = 0.5
    progress: float = 0.2
    scene: float = 0.5
    point: float = 0.5


def losses(
    reading: Reading, decoded: Decoded | None, batch: Batch, classes: torch.Tensor | None
) -> dict[str, torch.Tensor]:
    """Mean of each part over the examples that have it; parts nobody has are 0. ``classes`` [3, 3]: weight of each class
    of each flag, against imbalance. Without ``decoded`` only codes."""
    found: dict[str, torch.Tensor] = {}
    place = 0
    for name, logits in reading.logits.items():
        wanted = batch.codes[:, place : place + logits.shape[1]]
        place += logits.shape[1]
        found[f"codes_{name}"] = _cross_entropy(logits.float().flatten(0, 1), wanted.reshape(-1), None)
    if decoded is None:
        return found
    regressed = decoded.action.shape[-1]
    if decoded.flags is not None:
        # Flags are classified: the columns between joints and height are nobody's.
        kept = [*range(regressed - 4), regressed - 1]
        found["action"] = _l1(decoded.action[..., kept], batch.action[..., kept])
        parts = [
            _cross_entropy(
                decoded.flags[:, :, axis].float().flatten(0, 1),
                batch.flags[..., axis].reshape(-1),
                None if classes is None else classes[axis].to(batch.flags.device),
            )
            for axis in range(3)
        ]
        found["flags"] = torch.stack(parts).mean()
    else:
        found["action"] = _l1(decoded.action, batch.action)
    found["progress"] = _l1(decoded.progress[:, 0], batch.progress)
    found["scene"] = _l1(decoded.scene, batch.scene)
    found["point"] = _cross_entropy(decoded.point.float(), pointed(batch.scene, decoded.point.shape[1]), None)
    return found


def total(parts: dict[str, torch.Tensor], weights: LossWeights) -> torch.Tensor:
    """The weighted sum; the two code sets count together (joint cross-entropy)."""
    return sum(getattr(weights, name.partition("_")[0]) * value for name, value in parts.items())  # type: ignore[return-value]


def pointed(scene: torch.Tensor, patches: int) -> torch.Tensor:
    """Number of the patch that shows the named thing [B], of ``patches`` in a square; -100 where nobody knows.
    ``scene`` [B, 8] is scaled."""
    side = round(patches**0.5)
    place = scene[:, PICTURE] * torch.from_numpy(SCENE_STD[PICTURE]).to(scene) + 0.5
    cell = (torch.nan_to_num(place) * side).long().clamp(0, side - 1)
    return torch.where(torch.isfinite(place).all(dim=1), cell[:, 1] * side + cell[:, 0], -100)


def class_weights(flags: torch.Tensor) -> torch.Tensor:
    """[3, 3]: inverse square root of how often each class of each flag [F, T, 3] occurs, mean about 1, at most 4: rare
    side steps count, and standing is not commanded away."""
    counts = torch.stack(
        [torch.stack([(flags[..., axis] == c).sum() for c in range(3)]) for axis in range(3)]
    ).float()
    share = counts / counts.sum(dim=1, keepdim=True).clamp(min=1.0)
    weight = share.clamp(min=1e-4).rsqrt()
    weight = weight / (weight * share).sum(dim=1, keepdim=True).clamp(min=1e-6)
    return weight.clamp(max=4.0)


def _cross_entropy(logits: torch.Tensor, wanted: torch.Tensor, weight: torch.Tensor | None) -> torch.Tensor:
    if not bool((wanted >= 0).any()):
        return logits.sum() * 0.0
    return F.cross_entropy(logits, wanted, weight=weight, ignore_index=-100)


def _l1(found: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    there = ~torch.isnan(wanted)
    difference = (found.float() - torch.nan_to_num(wanted)).abs() * there
    return difference.sum() / there.sum().clamp(min=1)
