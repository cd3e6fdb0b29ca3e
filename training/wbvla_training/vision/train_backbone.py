"""The training of a small backbone: masked reconstruction of video frames, then saved in Hugging Face's layout."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch.utils.tensorboard import SummaryWriter
from transformers import Dinov2Model

from wbvla_training.video.cache import VideoCache
from wbvla_training.vision.backbone import Dinov2Backbone, tiny_config
from wbvla_training.vision.checkpoint import load_checkpoint, save_checkpoint
from wbvla_training.vision.errors import VisionError
from wbvla_training.vision.image import model_input
from wbvla_training.vision.masked import MaskedAutoencoder

LOG_EVERY = 25


@dataclass(frozen=True)
class BackboneTraining:
    """Length and speed of the training; the peak learning rate is reached after ``warmup`` steps and falls by a
    cosine to nothing."""

    steps: int = 3000
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup: int = 100
    seed: int = 0
    checkpoint_every: int = 250


def train_backbone(
    caches: list[VideoCache],
    run: Path,
    out: Path,
    training: BackboneTraining,
    resume: bool = False,
    device: str = "cpu",
) -> dict[str, float]:
    """Train on the training clips of ``caches`` and save the backbone in ``out``, checkpoint and log in ``run``;
    returns its figures.

    ``error_share`` is the held-out reconstruction error over the variance of held-out pixels, ``feature_variance``
    the mean variance of held-out features over frames at one place (0 would be collapse); without held-out clips there
    are neither. Raises VisionError when there is no checkpoint to resume, or no clip to learn from.
    """
    frames = [_frames(cache, held_out=False) for cache in caches]
    if not any(map(len, frames)):
        raise VisionError(
            f"{', '.join(str(cache.folder) for cache in caches)}: every clip is held out (one in seven is, by its name); "
            "give more clips"
        )
    run.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(training.seed)
    model = MaskedAutoencoder(Dinov2Model(tiny_config())).to(device)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay, betas=(0.9, 0.95)
    )
    settings = {**dataclasses.asdict(training), "videos": [cache.key for cache in caches]}
    begin = load_checkpoint(run, model, optimizer, settings)[0] if resume else 0
    started = time.monotonic()
    with SummaryWriter(str(run)) as writer:
        for step in range(begin, training.steps):
            rate = _schedule(step, training)
            for group in optimizer.param_groups:
                group["lr"] = rate
            torch.manual_seed(training.seed * 1_000_003 + step)
            pixels = _batch(caches, frames, np.random.default_rng((training.seed, step)), training.batch).to(
                device
            )
            loss = model(_varied(pixels))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            if (step + 1) % LOG_EVERY == 0:
                writer.add_scalar("loss", float(loss.detach()), step + 1)
                speed = (step + 1 - begin) / (time.monotonic() - started)
                left = (training.steps - step - 1) / speed / 60.0
                print(
                    f"{step + 1}/{training.steps}  loss {float(loss.detach()):.4f}  left {left:.1f} min",
                    flush=True,
                )
            if (step + 1) % training.checkpoint_every == 0:
                save_checkpoint(run, model, optimizer, step + 1, settings)
    backbone = Dinov2Backbone(model.encoder, caches[0].image)
    backbone.save(out)
    figures = {**_figures(model, backbone, caches, device), "seconds": time.monotonic() - started}
    (run / "figures.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return figures


def _schedule(step: int, training: BackboneTraining) -> float:
    warm = min(1.0, (step + 1) / training.warmup)
    return training.learning_rate * warm * 0.5 * (1.0 + math.cos(math.pi * step / training.steps))


def _frames(cache: VideoCache, held_out: bool) -> np.ndarray:
    rows = [np.arange(c.begin, c.begin + c.count) for c in cache.clips if c.held_out == held_out]
    return np.concatenate(rows) if rows else np.zeros(0, np.int64)


def _batch(
    caches: list[VideoCache], frames: list[np.ndarray], generator: np.random.Generator, count: int
) -> torch.Tensor:
    """Normalised pictures float32 [count, 3, H, W], from all folders in proportion to their frames."""
    shares = np.array([len(f) for f in frames], float)
    source = generator.choice(len(caches), size=count, p=shares / shares.sum())
    rows = [caches[s].frames[frames[s][generator.integers(len(frames[s]))]] for s in source]
    return model_input(np.stack(rows), caches[0].image)


def _varied(pixels: torch.Tensor) -> torch.Tensor:
    """One crop, brightness and contrast for the whole batch, half of it mirrored."""
    height = pixels.shape[-1]
    side = int(height * (0.65 + 0.35 * torch.rand(())))
    top, left = (int(torch.randint(height - side + 1, ())) for _ in range(2))
    crop = pixels[:, :, top : top + side, left : left + side]
    pixels = functional.interpolate(crop, size=height, mode="bilinear", align_corners=False, antialias=True)
    mirrored = torch.rand(len(pixels), 1, 1, 1, device=pixels.device) < 0.5
    pixels = torch.where(mirrored, pixels.flip(3), pixels)
    return pixels * (0.8 + 0.4 * torch.rand(()).item()) + 0.4 * (torch.rand(()).item() - 0.5)


@torch.no_grad()
def _figures(
    model: MaskedAutoencoder, backbone: Dinov2Backbone, caches: list[VideoCache], device: str
) -> dict[str, float]:
    generator = np.random.default_rng(0)
    held = [_frames(cache, held_out=True) for cache in caches]
    if not any(map(len, held)):
        return {}
    pixels = _batch(caches, held, generator, 256).to(device)
    torch.manual_seed(0)
    errors = [float(model(part)) for part in pixels.split(64)]
    features = torch.cat([backbone.features(part) for part in pixels.split(64)]).float()
    variance = float((pixels - pixels.mean((0, 2, 3), keepdim=True)).square().mean())
    return {
        "error_share": float(np.mean(errors)) / variance,
        "feature_variance": float(features.var(0).mean()),
        "feature_variance_least_channel": float(features.var(0).mean(0).min()),
    }
