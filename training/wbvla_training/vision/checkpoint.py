"""Training state as one safetensors file: weights, AdamW's moments, step and settings; nothing executable in it."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from wbvla_training.vision.errors import VisionError

FILE = "checkpoint.safetensors"


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    settings: dict,
    extra: dict | None = None,
) -> None:
    """Write weights, optimiser, ``step`` and ``extra`` numbers with the ``settings`` they belong to; complete or not
    at all."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    names = {parameter: name for name, parameter in model.named_parameters()}
    for parameter, state in optimizer.state.items():
        for key, value in state.items():
            tensors[f"optimizer.{key}.{names[parameter]}"] = torch.as_tensor(value)
    part = folder / f"{FILE}.part"
    plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    about = {"step": str(step), "settings": json.dumps(settings), "extra": json.dumps(extra or {})}
    save_file(plain, part, about)
    part.replace(folder / FILE)


def load_checkpoint(
    folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer, settings: dict
) -> tuple[int, dict]:
    """Restore a checkpoint; the step it was made at, and its extra numbers.

    Raises VisionError when it is missing, broken, or of other settings: the losses would not be the same.
    """
    path = folder / FILE
    try:
        with safe_open(path, "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dictionary)
    except (OSError, SafetensorError) as error:
        raise VisionError(f"{path}: no checkpoint to go on from ({error}); start without --resume") from None
    found = json.loads(about.get("settings", "{}"))
    if found != settings:
        wrong = sorted(k for k in {**found, **settings} if found.get(k) != settings.get(k))
        raise VisionError(
            f"{path}: was made with another {', '.join(wrong)}; give the same settings to go on, or another --out"
        )
    model.load_state_dict({n.removeprefix("model."): t for n, t in tensors.items() if n.startswith("model.")})
    names = {parameter: name for name, parameter in model.named_parameters()}
    ordered = [names[p] for group in optimizer.param_groups for p in group["params"]]
    restored: dict[int, dict] = {}
    for name, tensor in tensors.items():
        if name.startswith("optimizer."):
            _, key, parameter = name.split(".", 2)
            restored.setdefault(ordered.index(parameter), {})[key] = tensor
    optimizer.load_state_dict({**optimizer.state_dict(), "state": restored})
    return int(about["step"]), json.loads(about["extra"])
