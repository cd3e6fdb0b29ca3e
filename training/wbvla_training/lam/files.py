"""A trained latent action model as a folder: config.json, model.safetensors, and the backbone it stands on."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from wbvla_training.lam.configuration import VARIANTS, LamConfig
from wbvla_training.lam.modeling import LatentActionModel
from wbvla_training.lam.processing import LamProcessor
from wbvla_training.vision.backbone import Dinov2Backbone
from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.hashing import weights_hash
from wbvla_training.vision.image import parse_image_section

FORMAT = 1
CONFIG_FILE, WEIGHTS_FILE = "config.json", "model.safetensors"


@dataclass(frozen=True)
class Lam:
    """A trained model with its processor. ``hash`` is of all its weights, codebook included: codes of another hash mean
    something else."""

    variant: str
    model: LatentActionModel
    processor: LamProcessor

    @property
    def hash(self) -> str:
        return weights_hash(self.model.state_dict())


def save(lam: Lam, folder: Path, backbone: str) -> None:
    """Write ``lam``; ``backbone`` is where its backbone lies: a path relative to ``folder``, or a hub name."""
    folder.mkdir(parents=True, exist_ok=True)
    description = {
        "format": FORMAT,
        "variant": lam.variant,
        "model": dataclasses.asdict(lam.model.config),
        "codebook_hash": lam.hash,
        "backbone": {"source": backbone, "hash": lam.processor.backbone.hash},
        "image": dataclasses.asdict(lam.processor.image),
    }
    tensors = {f"model.{name}": value for name, value in lam.model.state_dict().items()}
    tensors |= {"processor.mean": lam.processor.mean, "processor.std": lam.processor.std}
    save_file(
        {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()},
        folder / WEIGHTS_FILE,
    )
    (folder / CONFIG_FILE).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")


def load(folder: str | Path) -> Lam:
    """Read a folder written by :func:`save`.

    Raises VisionError when it or its backbone is missing, broken, or not what it was trained with.
    """
    folder = Path(folder)
    where = folder / CONFIG_FILE
    description = _description(where)
    source = folder / description["backbone"]["source"]
    image = parse_image_section(description["image"], f"{where}: image")
    backbone = Dinov2Backbone.load(source if source.exists() else description["backbone"]["source"], image)
    if backbone.hash != description["backbone"]["hash"]:
        raise VisionError(
            f"{where}: trained on backbone {description['backbone']['hash']}, but {description['backbone']['source']} "
            f"is {backbone.hash}; restore that backbone or train this model again"
        )
    try:
        model = LatentActionModel(LamConfig(**description["model"]))
        tensors = load_file(folder / WEIGHTS_FILE)
        prefix = "model."
        model.load_state_dict({n[len(prefix) :]: t for n, t in tensors.items() if n.startswith(prefix)})
        processor = LamProcessor(backbone, tensors["processor.mean"], tensors["processor.std"])
    except (OSError, SafetensorError, RuntimeError, TypeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise VisionError(f"{folder}: weights cannot be used ({reason}); train the model again") from None
    lam = Lam(description["variant"], model.requires_grad_(False).eval(), processor.eval())
    if lam.hash != description["codebook_hash"]:
        raise VisionError(
            f"{folder}: {WEIGHTS_FILE} has codebook {lam.hash}, {CONFIG_FILE} says {description['codebook_hash']}; "
            "the two files come from different trainings"
        )
    return lam


def _description(where: Path) -> dict:
    try:
        description = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise VisionError(
            f"{where}: no latent action model ({error}); train one with 'wbvla lam train'"
        ) from None
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise VisionError(f"{where}: not a latent action model of format {FORMAT}")
    missing = {"variant", "model", "codebook_hash", "backbone", "image"} - set(description)
    if missing or description["variant"] not in VARIANTS:
        raise VisionError(f"{where}: field {min(missing, default='variant')} is missing or wrong")
    return description


def to_device(lam: Lam, device: str) -> Lam:
    """The same model on another torch device."""
    return Lam(lam.variant, lam.model.to(device), lam.processor.to(torch.device(device)))
