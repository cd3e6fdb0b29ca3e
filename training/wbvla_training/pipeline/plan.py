"""The plan for the paper's size on eight GPUs: what each step takes, whether it fits, and the line that starts it.

Nothing of this was ever run here: it is arithmetic on the paper's configuration (``paper_sizes``) under the assumptions
of ``Cluster``, printed with them."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wbvla_training.lam.configuration import PRESETS
from wbvla_training.vla.configuration import paper

from .paper_sizes import Need, Sizes, lam_parameters, lam_training, vla_sizes, vla_training

PRETRAIN_STEPS, PRETRAIN_BATCH = 20_000, 1024
FINETUNE_STEPS, FINETUNE_BATCH = 10_000, 64
"""WholeBodyVLA (arXiv 2512.11047): latent pretraining and fine-tuning by LoRA."""
DEMONSTRATIONS = 50
"""Teleoperated episodes a task (the paper)."""
VIDEO_H = 300.0
"""Hours of locomotion video (the paper: about 300)."""
FRAME_BYTES = 224 * 224 * 3
"""A frame in the cache of ``wbvla_training.video``, 10 of them a second."""


@dataclass(frozen=True)
class Cluster:
    """``peak``: operations a second of a GPU, 16-bit and dense (H100 SXM data sheet: 989e12); ``used``: share of them that
    a training of this kind reaches (assumed; 0.3 to 0.5 is usual for models of this size); ``spare_gb``: kept for
    workspace and fragmentation (assumed)."""

    gpus: int = 8
    memory_gb: float = 80.0
    peak: float = 989e12
    used: float = 0.35
    spare_gb: float = 8.0


@dataclass(frozen=True)
class Line:
    """A training of the plan. ``at_once``: examples on each GPU; 0: not even one fits."""

    name: str
    need: Need
    batch: int
    at_once: int
    accumulate: int
    hours: float
    command: str

    def memory_gb(self) -> float:
        """On each GPU; with nothing that fits, with one example."""
        return self.need.state_gb + max(1, self.at_once) * self.need.sample_gb


def paper_plan(cluster: Cluster, out: str = "runs/paper") -> tuple[Line, ...]:
    """The trainings in their order."""
    config, sizes = paper(), vla_sizes()
    lam, training = lam_training(), PRESETS["paper"].training
    torchrun = f"torchrun --nproc-per-node {cluster.gpus} -m"
    codes = f"--lam-loco {out}/lam/loco/model --lam-mani {out}/lam/mani/model"
    lines = []
    for kind in ("loco", "mani"):
        lines.append(_line(
            cluster, f"LAM {kind}", lam, training.batch,
            f"{torchrun} wbvla_training.lam.cli -- train --config paper --variant {kind} --videos VIDEO_{kind.upper()} "
            f"--backbone facebook/dinov2-base --out {out}/lam/{kind} --device cuda --live-features "
            "--accumulate {accumulate}",
        ))  # fmt: skip
    pretraining = vla_training(config, sizes, PRETRAIN_STEPS * PRETRAIN_BATCH, lora=False)
    lines.append(_line(
        cluster, "VLA pretraining", pretraining, PRETRAIN_BATCH,
        f"{torchrun} wbvla_training.vla.cli -- pretrain --config paper --videos VIDEO_LOCO VIDEO_MANI "
        f"--dinov2 facebook/dinov2-large --siglip google/siglip-so400m-patch14-224 --llama meta-llama/Llama-2-7b-hf "
        f"{codes} --out {out}/vla/pre --device cuda --steps {PRETRAIN_STEPS} "
        "--batch {at_once} --accumulate {accumulate}",
    ))  # fmt: skip
    tuning = vla_training(config, sizes, FINETUNE_STEPS * FINETUNE_BATCH, lora=True)
    lines.append(_line(
        cluster, "VLA fine-tuning, LoRA", tuning, FINETUNE_BATCH,
        f"{torchrun} wbvla_training.vla.cli -- finetune --data {out}/data --start {out}/vla/pre --mode lora {codes} "
        f"--out {out}/vla/tuned --device cuda --steps {FINETUNE_STEPS} "
        "--batch {at_once} --accumulate {accumulate}",
    ))  # fmt: skip
    return tuple(lines)


def plan_text(cluster: Cluster, out: str = "runs/paper") -> str:
    """What ``wbvla pipeline --config paper`` prints."""
    sizes, lines = vla_sizes(), paper_plan(cluster, out)
    frames_tb = VIDEO_H * 3600 * 10 * FRAME_BYTES / 1e12
    text = [
        f"Plan for {cluster.gpus} GPUs of {cluster.memory_gb:g} GB. Nothing is started. Estimates, never measured here:",
        f"{cluster.peak / 1e12:.0f} TFLOP/s a GPU at most, {cluster.used:.0%} of it used, {cluster.spare_gb:g} GB spared.",
        "",
        f"VLA: {sizes.total / 1e9:.2f} billion parameters (vision {sizes.vision / 1e9:.2f}, projector "
        f"{sizes.projector / 1e9:.2f}, Llama {sizes.language / 1e9:.2f}, decoder {sizes.decoder / 1e6:.0f} million), "
        f"{sizes.tokens} tokens an example; by LoRA {sizes.lora / 1e6:.0f} million are trained.",
        f"LAM: {lam_parameters() / 1e6:.0f} million parameters each, on the frozen DINOv2-base.",
        "",
        f"{'training':<24}{'examples a step':>16}{'on a GPU':>10}{'parts':>7}{'GB a GPU':>10}{'hours':>8}",
    ]
    text += [_row(line, cluster) for line in lines]
    text += [
        "",
        "Lines, in this order (VIDEO_LOCO, VIDEO_MANI: folders of video files):",
        *_collecting(out, frames_tb),
    ]
    for line in lines:
        text += ["", f"# {line.name}", line.command]
        if not line.at_once:
            text.append(_too_large(line, sizes, cluster))
    text += [
        "",
        "# bundle and closed loop, one GPU",
        f"wbvla vla export --model {out}/vla/tuned --out {out}/bundle",
    ]
    text.append(
        f"wbvla task eval --task box_loading --policy {out}/bundle --trials 50 --json {out}/box_loading.json"
    )
    return "\n".join(text)


def _line(cluster: Cluster, name: str, need: Need, batch: int, command: str) -> Line:
    """Halve what is worked off at once until it fits, and sum up gradients of so many more parts."""
    each = max(1, batch // cluster.gpus)
    room = cluster.memory_gb - cluster.spare_gb - need.state_gb
    at_once = 0 if room < need.sample_gb else min(each, 2 ** int(math.log2(room / need.sample_gb)))
    accumulate = math.ceil(each / max(1, at_once))
    hours = need.operations / (cluster.gpus * cluster.peak * cluster.used) / 3600.0
    command = command.replace("{at_once}", str(max(1, at_once))).replace("{accumulate}", str(accumulate))
    return Line(name, need, batch, at_once, accumulate, hours, command)


def _row(line: Line, cluster: Cluster) -> str:
    fits = "" if line.at_once else f"  does not fit into {cluster.memory_gb:g} GB"
    return (
        f"{line.name:<24}{line.batch:>16}{line.at_once:>10}{line.accumulate:>7}{line.memory_gb():>10.0f}"
        f"{line.hours:>8.1f}{fits}"
    )


def _too_large(line: Line, sizes: Sizes, cluster: Cluster) -> str:
    shared = line.need.state_gb / cluster.gpus
    billions, state = sizes.total / 1e9, line.need.state_gb
    return (
        f"# does not fit: weights, gradients, moments and average of {billions:.1f} billion parameters take {state:.0f} GB "
        "on every GPU,\n# because the trainer copies the model to each (DistributedDataParallel). Divided among "
        f"{cluster.gpus} GPUs they would take {shared:.0f} GB;\n# that is not built. Until then: --start from a published "
        "checkpoint and fine-tune by LoRA, or a smaller --llama."
    )


def _collecting(out: str, frames_tb: float) -> list[str]:
    return [
        "",
        f"# video: {VIDEO_H:g} h of walking take {frames_tb:.1f} TB as decoded frames of 224 px at 10 Hz, as much again for "
        "manipulation",
        "",
        f"# demonstrations: {DEMONSTRATIONS} a task by teleoperation, or by the scripted operator in the simulator",
        f"wbvla task collect --task box_loading --episodes {DEMONSTRATIONS} --out {out}/bags/box_loading",
        f"wbvla task collect --task cart_pushing --episodes {DEMONSTRATIONS} --out {out}/bags/cart_pushing",
        f"wbvla data convert {out}/bags/box_loading {out}/bags/cart_pushing --out {out}/data --only-successes",
    ]
