"""The training of a latent action model: one process or many (torchrun), resumable to the same losses."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.tensorboard import SummaryWriter

from wbvla_training.lam import files
from wbvla_training.lam.configuration import LamPreset, LamTraining
from wbvla_training.lam.measures import quality
from wbvla_training.lam.modeling import LatentActionModel
from wbvla_training.lam.pairs import Sampler, Source, backbone_reference, fit_processor, held_out_batches
from wbvla_training.processes import Processes
from wbvla_training.vision.backbone import Dinov2Backbone
from wbvla_training.vision.checkpoint import load_checkpoint, save_checkpoint
from wbvla_training.vision.errors import VisionError

LOSSES = "losses.jsonl"
LOG_EVERY = 25
_CHECKED_PAIRS = 512
_TYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Trainer:
    """One training in a folder: checkpoint, TensorBoard events and ``losses.jsonl``."""

    def __init__(
        self, preset: LamPreset, variant: str, sources: list[Source], backbone: Dinov2Backbone, out: Path,
        device: str = "cpu", processes: Processes | None = None,
    ) -> None:  # fmt: skip
        self.preset, self.variant, self.out, self.device = preset, variant, out, device
        self.processes = processes or Processes(device=device)
        self.sources, self.backbone = sources, backbone
        training = preset.training
        parts = self.processes.count * training.accumulate
        if training.batch % parts:
            raise VisionError(
                f"LamTraining.batch: {training.batch} does not divide into {self.processes.count} processes x "
                f"{training.accumulate} parts; choose a multiple of {parts}"
            )
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(training.seed)
        self.processor = fit_processor(backbone, sources)
        self.sampler = Sampler(sources, self.processor, training.seed)
        self.model = LatentActionModel(preset.model).to(device)
        decayed = [p for p in self.model.parameters() if p.ndim > 1]
        plain = [p for p in self.model.parameters() if p.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": training.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=training.learning_rate)
        self.scaler = torch.amp.GradScaler(device.split(":")[0], enabled=training.amp == "float16")
        self.step = 0
        self._stop, self._whole = False, True

    @property
    def settings(self) -> dict:
        """What must be equal for a resumed training to go on as if never stopped."""
        training = {
            k: v for k, v in dataclasses.asdict(self.preset.training).items() if k != "checkpoint_every"
        }
        return {
            **dataclasses.asdict(self.preset.model), **training, "variant": self.variant,
            "processes": self.processes.count, "backbone": self.backbone.hash,
            "videos": [source.videos.key for source in self.sources],
        }  # fmt: skip

    def resume(self) -> None:
        """Go on after the last checkpoint in the folder. Raises VisionError when there is none that fits."""
        self.step, scale = load_checkpoint(self.out, self.model, self.optimizer, self.settings)
        self.scaler.load_state_dict(scale)
        if self.processes.leads:
            path = self.out / LOSSES
            lines = path.read_text(encoding="utf-8").splitlines()[: self.step] if path.exists() else []
            path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def run(self) -> files.Lam:
        """Train to the last step; the model in evaluation mode. Ctrl-C ends after the running step and raises
        KeyboardInterrupt; whatever ends it between two steps, a checkpoint is left."""
        training = self.preset.training
        wrapped = (
            DistributedDataParallel(self.model, broadcast_buffers=False)
            if self.processes.count > 1
            else self.model
        )
        leads = self.processes.leads
        if leads and self.step == 0:
            (self.out / LOSSES).write_text("", encoding="utf-8")
        begun, first = time.monotonic(), self.step
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._interruptible())
            if leads:
                stack.callback(self._save_if_whole)
            log = stack.enter_context((self.out / LOSSES).open("a", encoding="utf-8")) if leads else None
            writer = stack.enter_context(SummaryWriter(str(self.out))) if leads else None
            while self.step < training.steps and not self.processes.any(self._stop):
                self._whole = False
                row = self._update(wrapped)
                self.step += 1
                self._whole = True
                if log is None or writer is None:
                    continue
                log.write(json.dumps({"step": self.step, **row}) + "\n")
                log.flush()
                if self.step % LOG_EVERY == 0:
                    self._report(row, writer, (time.monotonic() - begun) / (self.step - first))
                if self.step % training.checkpoint_every == 0:
                    self._save_checkpoint()
            stopped = self.step < training.steps
            if writer is not None and not stopped:
                self._check(writer)
        if stopped:
            raise KeyboardInterrupt
        return files.Lam(self.variant, self.model.eval(), self.processor)

    def save(self, lam: files.Lam, backbone: str, folder: Path) -> Path:
        """Write the finished model into ``folder``; ``backbone`` is the folder or hub name it was trained with."""
        files.save(lam, folder, backbone_reference(backbone, folder))
        return folder

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Within, Ctrl-C is only noted: half a step could not be resumed to the same losses."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGINT, self._interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _interrupt(self, *_: object) -> None:
        self._stop = True

    def _save_if_whole(self) -> None:
        # A step that failed in the middle leaves the checkpoint before as the last good one.
        if self._whole:
            self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        save_checkpoint(
            self.out, self.model, self.optimizer, self.step, self.settings, self.scaler.state_dict()
        )

    def _update(self, model: torch.nn.Module) -> dict[str, float]:
        """One step of the optimiser over all parts of the batch."""
        training, processes = self.preset.training, self.processes
        for group in self.optimizer.param_groups:
            group["lr"] = schedule(self.step, training)
        # Restarted codes are drawn at random: the draw depends on the step alone.
        torch.manual_seed(training.seed * 1_000_003 + self.step)
        model.train()
        count = training.batch // (processes.count * training.accumulate)
        kind = self.device.split(":")[0]
        sums = {"loss": 0.0, "reconstruction": 0.0, "commitment": 0.0}
        for part in range(training.accumulate):
            first, later = self.sampler.batch(self.step, part, processes.rank, count)
            last = part == training.accumulate - 1
            hold = model.no_sync() if processes.count > 1 and not last else contextlib.nullcontext()
            with hold:
                with torch.autocast(kind, _TYPES.get(training.amp), enabled=training.amp != "none"):
                    out = model(first.to(self.device), later.to(self.device))
                self.scaler.scale(out.loss / training.accumulate).backward()
            for name in sums:
                sums[name] += float(getattr(out, name).detach()) / training.accumulate
        self.scaler.unscale_(self.optimizer)
        sums["gradient"] = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), training.clip))
        # In float16 the scaler leaves such a step out; otherwise it would make every weight NaN.
        if not self.scaler.is_enabled() and not math.isfinite(sums["gradient"]):
            raise VisionError(
                f"step {self.step + 1}: the gradient is not finite; go on with --resume from the last checkpoint, or give a "
                "smaller --learning-rate"
            )
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        return sums

    def _report(self, row: dict[str, float], writer: SummaryWriter, step_s: float) -> None:
        for name, value in row.items():
            writer.add_scalar(name, value, self.step)
        left = (self.preset.training.steps - self.step) * step_s / 60.0
        print(
            f"{self.variant} {self.step}/{self.preset.training.steps}  reconstruction {row['reconstruction']:.4f}  "
            f"commitment {row['commitment']:.4f}  left {left:.1f} min",
            flush=True,
        )
        if self.step % (10 * LOG_EVERY) == 0:
            self._check(writer)

    def _check(self, writer: SummaryWriter) -> None:
        """Figures on some held-out pairs of each folder."""
        self.model.eval()
        for source in self.sources:
            if not len(source.held_out):
                continue
            batches = held_out_batches(source, self.processor, _CHECKED_PAIRS)
            on_device = [(first.to(self.device), later.to(self.device)) for first, later in batches]
            found = quality(self.model, on_device)
            name = source.videos.folder.name
            for key in ("rrg", "rrg_shuffled", "codebook_use"):
                writer.add_scalar(f"held_out_{name}/{key}", getattr(found, key), self.step)
            print(
                f"  {name}: rrg {found.rrg:.3f}, shuffled {found.rrg_shuffled:.3f}, use {found.codebook_use:.2f}, "
                f"perplexity {' '.join(f'{p:.1f}' for p in found.perplexity)}",
                flush=True,
            )


def schedule(step: int, training: LamTraining) -> float:
    """Learning rate at ``step`` (from 0)."""
    warm = min(1.0, (step + 1) / max(1, training.warmup))
    if not training.cosine:
        return training.learning_rate * warm
    return (
        training.learning_rate
        * warm
        * (0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * step / training.steps)))
    )
