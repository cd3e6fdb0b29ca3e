"""The training loop: AMP, accumulation, moving average of the weights, several processes, exact resume, TensorBoard."""

from __future__ import annotations

import contextlib
import json
import math
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch.nn.attention import SDPBackend, sdpa_kernel

from wbvla_training.processes import Processes

from .errors import VlaError
from .losses import Batch

STATE_FILE, STATE_JSON, LOG_FILE = "state.safetensors", "state.json", "log.jsonl"


@dataclass(frozen=True)
class Schedule:
    """``steps`` optimiser steps of ``accumulate`` parts, each of ``batch`` examples on every process; learning rate by
    cosine from ``lr`` after ``warmup`` steps; ``ema``: share of the old average kept each step; ``amp``: bfloat16."""

    steps: int
    batch: int
    lr: float
    warmup: int
    weight_decay: float
    accumulate: int = 1
    ema: float = 0.995
    clip: float = 1.0
    amp: bool = True
    seed: int = 0
    save_every: int = 200
    log_every: int = 10
    threads: int = 1
    device: str = "cpu"

    def rate(self, step: int) -> float:
        """Learning rate of a step."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.lr * (0.05 + 0.95 * 0.5 * (1.0 + math.cos(math.pi * min(1.0, share))))


Draw = Callable[[int, int, int], Batch]
"""Batch of (step, part of it, process)."""
Losses = Callable[[torch.nn.Module, Batch], dict[str, torch.Tensor]]
"""Parts of the loss by name, "total" among them."""


class Trainer:
    """Trains the weights of ``model`` that want gradients."""

    def __init__(
        self, model: torch.nn.Module, draw: Draw, losses: Losses, schedule: Schedule, out: Path, about: dict
    ) -> None:
        """``about`` identifies the run; resuming with another one is refused."""
        self.processes = Processes.start(schedule.device)
        self.model, self._draw, self._losses = model.to(schedule.device), draw, losses
        self.schedule, self.out = schedule, out
        self._about = json.loads(json.dumps(about))
        self._wanted = {n: p for n, p in model.named_parameters() if p.requires_grad}
        decay = [p for p in self._wanted.values() if p.ndim > 1]
        plain = [p for p in self._wanted.values() if p.ndim <= 1]
        groups = [
            {"params": decay, "weight_decay": schedule.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self._optimiser = torch.optim.AdamW(groups, lr=schedule.lr, betas=(0.9, 0.95))
        self.average = {name: p.detach().clone() for name, p in self._wanted.items()}
        self.step = 0
        self._stop = False

    def resume(self) -> bool:
        """Go on where a run in ``out`` stopped; False when there is none. Raises VlaError when it is another run."""
        if not (self.out / STATE_JSON).exists():
            return False
        try:
            about = json.loads((self.out / STATE_JSON).read_text(encoding="utf-8"))
            state = load_file(self.out / about["file"])
        except (OSError, KeyError, json.JSONDecodeError, SafetensorError) as error:
            raise VlaError(f"{self.out}: the run cannot be resumed ({error}); choose another --out") from None
        # What an older version did not note down cannot differ.
        keys = [name for name, value in about["run"].items() if self._about.get(name) != value]
        if keys:
            raise VlaError(
                f"{self.out}: holds another run, {', '.join(keys)} differ; give the same options, or another --out"
            )
        with torch.no_grad():
            for name, parameter in self._wanted.items():
                parameter.copy_(state[f"model.{name}"])
                self.average[name].copy_(state[f"average.{name}"])
                self._optimiser.state[parameter] = {
                    "step": state[f"step.{name}"].clone(),
                    "exp_avg": state[f"first.{name}"].to(parameter.device),
                    "exp_avg_sq": state[f"second.{name}"].to(parameter.device),
                }
        self.step = about["step"]
        return True

    def save(self) -> None:
        """Write all that resuming needs; a kill in between leaves the state before."""
        if not self.processes.leads:
            return
        self.out.mkdir(parents=True, exist_ok=True)
        state: dict[str, torch.Tensor] = {}
        for name, parameter in self._wanted.items():
            moments = self._optimiser.state.get(parameter, {})
            state[f"model.{name}"] = parameter.detach().cpu().contiguous()
            state[f"average.{name}"] = self.average[name].cpu().contiguous()
            state[f"step.{name}"] = moments.get("step", torch.zeros(())).cpu().clone()
            for short, long in (("first", "exp_avg"), ("second", "exp_avg_sq")):
                state[f"{short}.{name}"] = moments.get(long, torch.zeros_like(parameter)).cpu().contiguous()
        name = f"{self.step:07d}.{STATE_FILE}"
        save_file(state, self.out / name)
        part = self.out / (STATE_JSON + ".part")
        part.write_text(json.dumps({"step": self.step, "file": name, "run": self._about}, indent=1) + "\n")
        part.replace(self.out / STATE_JSON)
        for old in self.out.glob(f"*.{STATE_FILE}"):
            if old.name != name:
                old.unlink()

    def run(self, console: Console | None = None, until: int | None = None) -> dict[str, float]:
        """Train to the end (or to step ``until``); Ctrl-C ends after the running step and saves. Returns the means of
        the last logged losses."""
        schedule, end = self.schedule, min(self.schedule.steps, until or self.schedule.steps)
        torch.set_num_threads(schedule.threads)
        module = self._distributed()
        if self.processes.leads:
            _cut_log(self.out / LOG_FILE, self.step)
        writer = _writer(self.out) if self.processes.leads else None
        before = signal.signal(signal.SIGINT, self._interrupt) if _main_thread() else None
        sums: dict[str, float] = {}
        logged: dict[str, float] = {}
        begin_s, begin_step = time.monotonic(), self.step
        module.train()
        try:
            while self.step < end and not self.processes.any(self._stop):
                for name, value in self._advance(module).items():
                    sums[name] = sums.get(name, 0.0) + value
                if self.step % schedule.log_every == 0 or self.step == end:
                    count = (
                        schedule.log_every
                        if self.step % schedule.log_every == 0
                        else self.step % schedule.log_every
                    )
                    logged = {
                        name: value / min(count, self.step - begin_step) for name, value in sums.items()
                    }
                    sums = {}
                    rate = (self.step - begin_step) / max(1e-9, time.monotonic() - begin_s)
                    self._log(logged, rate, end, writer, console)
                if self.step % schedule.save_every == 0:
                    self.save()
        finally:
            if before is not None:
                signal.signal(signal.SIGINT, before)
            if writer is not None:
                writer.close()
        self.save()
        if self.step < end:
            raise KeyboardInterrupt
        return logged

    def averaged(self) -> dict[str, torch.Tensor]:
        """All weights of the model, the trained ones averaged."""
        return {name: self.average.get(name, p.detach()) for name, p in self.model.named_parameters()}

    def _advance(self, module: torch.nn.Module) -> dict[str, float]:
        schedule = self.schedule
        rate = schedule.rate(self.step)
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        found: dict[str, float] = {}
        kind = schedule.device.partition(":")[0]
        for micro in range(schedule.accumulate):
            # Dropout and noise follow from seed and step too.
            torch.manual_seed(hash((schedule.seed, self.step, micro, self.processes.rank)) & 0x7FFFFFFF)
            batch = self._draw(self.step, micro, self.processes.rank).to(schedule.device)
            with _attention(kind):
                with torch.autocast(kind, dtype=torch.bfloat16, enabled=schedule.amp):
                    parts = self._losses(module, batch)
                (parts["total"] / schedule.accumulate).backward()
            for name, value in parts.items():
                found[name] = found.get(name, 0.0) + float(value.detach()) / schedule.accumulate
        norm = torch.nn.utils.clip_grad_norm_(list(self._wanted.values()), schedule.clip)
        found["gradient"] = float(norm)
        if not math.isfinite(found["gradient"]):
            # A step with it would make every weight NaN; what was saved last is still good.
            raise VlaError(
                f"step {self.step + 1}: the gradient is not finite; give a smaller --lr or --no-amp with another --out"
            )
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.step += 1
        keep = min(schedule.ema, (1.0 + self.step) / (10.0 + self.step))
        with torch.no_grad():
            for name, parameter in self._wanted.items():
                self.average[name].lerp_(parameter.detach(), 1.0 - keep)
        return found

    def _log(self, values: dict[str, float], rate: float, end: int, writer, console: Console | None) -> None:
        if not self.processes.leads:
            return
        row = {"step": self.step, "lr": self.schedule.rate(self.step - 1), "examples_per_s":
               rate * self.schedule.batch * self.schedule.accumulate * self.processes.count, **values}  # fmt: skip
        with open(self.out / LOG_FILE, "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        for name, value in row.items():
            writer.add_scalar(name, value, self.step)
        if console is not None:
            left_s = (end - self.step) / max(rate, 1e-9)
            shown = "  ".join(f"{name} {value:.3f}" for name, value in values.items() if name != "gradient")
            console.print(
                f"step {self.step}/{end}  {row['examples_per_s']:.0f} examples/s  {left_s / 60:.1f} min left  {shown}",
                highlight=False,
            )

    def _distributed(self) -> torch.nn.Module:
        if self.processes.count == 1:
            return self.model
        return torch.nn.parallel.DistributedDataParallel(self.model, find_unused_parameters=True)

    def _interrupt(self, *_: object) -> None:
        self._stop = True


def run_about(schedule: Schedule, **more: object) -> dict:
    """What identifies a run: all of the schedule that changes its losses."""
    free = ("save_every", "log_every", "threads", "device")
    return {**{k: v for k, v in asdict(schedule).items() if k not in free}, **more}


def _attention(kind: str) -> contextlib.AbstractContextManager:
    """Plain matrix products for attention on a CPU: the gradient of its fused attention took half of each step."""
    return contextlib.nullcontext() if kind != "cpu" else sdpa_kernel(SDPBackend.MATH)


def _writer(folder: Path):
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(folder / "tensorboard"))


def _cut_log(file: Path, step: int) -> None:
    """Remove what a killed run logged after the step that it is gone on from, a row that is not whole included."""
    if not file.exists():
        return
    kept = []
    for line in file.read_text(encoding="utf-8").splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except json.JSONDecodeError:
            continue
    part = file.with_name(file.name + ".part")
    part.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
    part.replace(file)


def _main_thread() -> bool:
    import threading

    return threading.current_thread() is threading.main_thread()
