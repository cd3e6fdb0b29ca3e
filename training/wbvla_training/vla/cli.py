"""``wbvla vla pretrain|finetune|eval|export|pictures|scaling|codec``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro
from rich.console import Console
from wbvla_sim.gl import NoOpenGLError

from wbvla_training.data.errors import DataError

from .errors import VlaError


@dataclass
class Run:
    """How long and how fast to train. 0 stands for the configuration's own value."""

    steps: int = 0
    """Optimiser steps; tiny: 3000, paper: 20000 to pretrain, 10000 to fine-tune."""
    batch: int = 0
    """Examples a part of a step and process; tiny: 64, paper: 128 to pretrain, 8 to fine-tune on each of eight GPUs."""
    accumulate: int = 1
    """Parts of a step whose gradients are summed up before it."""
    lr: float = 0.0
    """Largest learning rate; tiny: 1e-3, paper: 2e-5 to pretrain, 5e-5 to fine-tune."""
    seed: int = 0
    threads: int = 1
    """CPU threads."""
    device: str = "cpu"
    """cpu or cuda; several processes by torchrun -m wbvla_training.vla.cli -- ..."""
    amp: bool = True
    """Compute in bfloat16 where that is safe."""
    save_every: int = 200
    """Steps between saved states, from which the same command goes on."""


@dataclass
class Lams:
    """Latent action models whose codes are labels."""

    lam_mani: Path | None = None
    """Folder of the manipulation model, for example models/lam/mani."""
    lam_loco: Path | None = None
    """Folder of the locomotion model."""


@dataclass
class Pretrain:
    """Learn what sentences speak of, and the latent codes of action-free video; goes on where it was interrupted.

    wbvla vla pretrain --config tiny --videos runs/video_loco --lam-loco models/lam/loco --pictures 20000 --out runs/vla/pre
    """

    out: Path
    """Folder of the run; the model is there when it is done."""
    config: str = "tiny"
    """tiny, paper, or a JSON file."""
    start: Path | None = None
    """Go on from this trained VLA, or bundle with weights."""
    videos: tuple[str, ...] = ()
    """Folders of video files, each as DIR or DIR=SENTENCE."""
    pictures: int = 0
    """Pictures of the twin's tables to draw, each with a named ball to find; needs OpenGL."""
    pictures_share: float = 0.5
    """Their share of each batch beside videos."""
    cache: Path | None = None
    """Folder of prepared pictures; default OUT/cache."""
    dinov2: str = ""
    """Folder or hub name of DINOv2 weights."""
    siglip: str = ""
    """Folder or hub name of SigLIP weights."""
    llama: str = ""
    """Folder or hub name of Llama weights with their tokenizer.json."""
    lams: tyro.conf.OmitArgPrefixes[Lams] = field(default_factory=Lams)
    run: tyro.conf.OmitArgPrefixes[Run] = field(default_factory=Run)


@dataclass
class Finetune:
    """Learn actions from datasets of demonstrations; goes on where it was interrupted.

    wbvla vla finetune --data runs/reach_table/data --start runs/vla/pre --out runs/vla/reach_table --pictures 20000
    """

    data: tuple[Path, ...]
    """LeRobot datasets, learned together."""
    out: Path
    """Folder of the run; the model is there when it is done."""
    start: Path | None = None
    """Folder of a pretrained or fine-tuned VLA, or a bundle with weights (vla/x2, or a path); without it a new one."""
    config: str = "tiny"
    """Without --start: tiny, paper, or a JSON file."""
    mode: Literal["all", "frozen", "lora"] = "all"
    """all weights; frozen: only the execution decoder; lora: low-rank adapters, projector and decoder."""
    held_out: float = 0.1
    """Share of the episodes kept for evaluation."""
    episodes: int = 0
    """Use only so many of the others of each dataset; 0: all."""
    shares: tuple[float, ...] = ()
    """How often each dataset is drawn, in relation to each other; default by their numbers of examples."""
    pause_s: float = 0.8
    """Cut out so much of the standing still after each walk."""
    pictures: int = 0
    """Pictures of the twin's tables in the batches, lest words are forgotten."""
    pictures_share: float = 0.25
    """Their share of each batch."""
    cache: Path | None = None
    """Folder of prepared pictures; default OUT/cache."""
    rank: int = 32
    """Rank of LoRA."""
    lams: tyro.conf.OmitArgPrefixes[Lams] = field(default_factory=Lams)
    run: tyro.conf.OmitArgPrefixes[Run] = field(default_factory=Run)


@dataclass
class Eval:
    """Figures on episodes that neither this model nor one it started from has learned; closed loop: wbvla task eval
    --policy BUNDLE."""

    model: Path
    """Folder of a trained VLA."""
    data: Path
    """LeRobot dataset."""
    held_out: float = 0.1
    """As in the training; 1: all episodes of a dataset that was not trained on."""
    pause_s: float = 0.8
    """As in the training."""
    cache: Path | None = None
    """Folder of prepared pictures; default beside the model."""
    json: Path | None = None
    """Write the figures here."""
    device: str = "cpu"
    lams: tyro.conf.OmitArgPrefixes[Lams] = field(default_factory=Lams)


@dataclass
class Export:
    """Make the bundle that the node runs, and check that it gives what the model gives."""

    model: Path
    """Folder of a fine-tuned VLA."""
    out: Path
    """Bundle folder, for example models/vla/reach_table."""
    name: str = ""
    """Name in the bundle; default the folder's."""
    weights: bool = True
    """Also keep the weights for the torch backend."""


@dataclass
class Pictures:
    """Draw pictures of the twin's tables for pretraining, without training."""

    out: Path
    """Cache folder, to be given as --cache."""
    count: int = 20000
    config: str = "tiny"


@dataclass
class Scaling:
    """Decoders on frozen models at several numbers of episodes, as figures and a plot.

    wbvla vla scaling --data runs/reach_table/data --models with=runs/vla/pre without=runs/vla/plain --out runs/scaling
    """

    data: Path
    """LeRobot dataset."""
    models: tuple[str, ...]
    """Pretrained VLAs, each as NAME=FOLDER."""
    out: Path
    """Folder for scaling.json and scaling.png."""
    counts: tuple[int, ...] = (25, 50, 135)
    """Numbers of episodes to learn from."""
    steps: int = 1500
    """Steps of each decoder."""
    held_out: float = 0.1
    cache: Path | None = None
    """Folder of prepared pictures; default OUT/cache."""
    lams: tyro.conf.OmitArgPrefixes[Lams] = field(default_factory=Lams)


@dataclass
class Codec:
    """How far a bundle's chunks differ between pictures as recorded and through the dataset's video codec.

    wbvla vla codec --bundle vla/x2 --bags runs/reach_table/bags/reach_table_00000
    """

    bags: tuple[Path, ...]
    """Recorded bags."""
    bundle: str = "vla/x2"
    """Bundle by kind/name or path."""
    sentence: str = "touch the red ball with your left hand"
    """Instruction."""
    pictures: int = 40
    """Pictures of each bag, evenly chosen."""
    json: Path | None = None
    """Write the figures here."""


Command = (
    Annotated[Pretrain, tyro.conf.subcommand("pretrain")]
    | Annotated[Finetune, tyro.conf.subcommand("finetune")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Pictures, tyro.conf.subcommand("pictures")]
    | Annotated[Scaling, tyro.conf.subcommand("scaling")]
    | Annotated[Codec, tyro.conf.subcommand("codec")]
)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    command = tyro.cli(Command, prog="wbvla vla", description=__doc__, args=argv)  # type: ignore[call-overload]
    handlers = {
        Pretrain: _pretrain, Finetune: _finetune, Eval: _eval, Export: _export, Pictures: _pictures, Scaling: _scaling,
        Codec: _codec,
    }  # fmt: skip
    try:
        return handlers[type(command)](command, Console(stderr=True))
    except KeyboardInterrupt:
        trains = isinstance(command, Pretrain | Finetune)
        print("\nstopped and saved; the same command goes on" if trains else "\nstopped", file=sys.stderr)
        return 130
    except (VlaError, DataError, NoOpenGLError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _pretrain(a: Pretrain, console: Console) -> int:
    from .files import start_folder
    from .pretrain import PretrainOptions, pretrain

    start = start_folder(a.start)
    sources = {"dinov2": a.dinov2, "siglip": a.siglip, "language": a.llama}
    options = PretrainOptions(
        out=a.out, config=a.config, start=start, videos=tuple(_video(text) for text in a.videos), pictures=a.pictures,
        pictures_share=a.pictures_share, cache=a.cache, sources={n: s for n, s in sources.items() if s},
    )  # fmt: skip
    last = pretrain(
        options, _schedule(a.run, _large(a.config, start), tuning=False), _labellers(a.lams), console
    )
    return _said(a.out, last)


def _finetune(a: Finetune, console: Console) -> int:
    from .files import start_folder
    from .finetune import FinetuneOptions, finetune
    from .lora import LoraOptions

    start = start_folder(a.start)
    options = FinetuneOptions(
        datasets=a.data, out=a.out, start=start, config=a.config, mode=a.mode, held_out=a.held_out,
        episodes=a.episodes, shares=a.shares, pause_s=a.pause_s, pictures=a.pictures, pictures_share=a.pictures_share,
        cache=a.cache, lora=LoraOptions(rank=a.rank, alpha=max(1, a.rank // 2)),
    )  # fmt: skip
    last = finetune(
        options, _schedule(a.run, _large(a.config, start), tuning=True), _labellers(a.lams), console
    )
    return _said(a.out, last)


def _eval(a: Eval, console: Console) -> int:
    import torch

    from .evaluate import evaluate
    from .files import load_vla
    from .finetune import learned_before

    torch.set_num_threads(1)
    cache = a.cache or a.model / "cache"
    trained = learned_before(a.model, a.data)
    result = evaluate(
        load_vla(a.model), a.data, cache, _labellers(a.lams), a.held_out, a.pause_s, a.device, trained
    )
    return _show(result, a.json)


def _export(a: Export, console: Console) -> int:
    from .export import export
    from .files import load_vla

    found = export(load_vla(a.model), a.out, a.name or a.out.name, a.weights)
    print(f"{a.out}: {found.size / 1e6:.1f} MB, ONNX and torch differ by at most {found.difference:.1e}")
    return 0


def _pictures(a: Pictures, console: Console) -> int:
    from .configuration import preset
    from .grounding import grounding_examples

    made = grounding_examples(
        preset(a.config), a.out / "grounding", a.count, say=lambda t: console.print(t, highlight=False)
    )
    print(f"{a.out}: {len(made)} pictures")
    return 0


def _scaling(a: Scaling, console: Console) -> int:
    import torch

    from .scaling import ScalingOptions, plot, scaling

    torch.set_num_threads(1)
    models = {name: Path(folder) for name, mark, folder in (text.partition("=") for text in a.models) if mark}
    if len(models) != len(a.models):
        raise VlaError("--models: give each as NAME=FOLDER")
    options = ScalingOptions(
        dataset=a.data, models=models, counts=a.counts, steps=a.steps, held_out=a.held_out
    )
    cache = a.cache or a.out / "cache"
    found = scaling(options, cache, _labellers(a.lams), lambda text: console.print(text, highlight=False))
    a.out.mkdir(parents=True, exist_ok=True)
    (a.out / "scaling.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    plot(found, a.out / "scaling.png")
    print(f"{a.out}: scaling.json, scaling.png")
    return 0


def _codec(a: Codec, console: Console) -> int:
    import numpy as np
    from wbvla_core.bundle import load_bundle
    from wbvla_core.paths import bundle_path
    from wbvla_core.robot_spec import RobotSpec
    from wbvla_vla_node.bundle_policy import BundlePolicy

    from .codec import codec_difference

    folder = bundle_path(a.bundle)
    policy = BundlePolicy.load(folder, RobotSpec.load(load_bundle(folder, "vla", None).robot))
    state = np.array(policy.section.state_statistics.mean, np.float32)
    return _show(codec_difference(policy, a.sentence, state, a.bags, a.pictures), a.json)


def _show(figures: dict, path: Path | None) -> int:
    print(json.dumps(figures, indent=1))
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 0


def _large(config: str, start: Path | None) -> bool:
    """Whether the model is of the paper's kind, by whose values it is then trained."""
    from .configuration import preset
    from .files import load_config

    found = load_config(start) if start is not None else preset(config)
    return found.language.width >= 1024


def _schedule(run: Run, large: bool, tuning: bool):
    from .trainer import Schedule

    steps = (10_000 if tuning else 20_000) if large else 3000
    batch = (8 if tuning else 128) if large else 64
    rate = (5e-5 if tuning else 2e-5) if large else 1e-3
    steps = run.steps or steps
    warmup = (200 if tuning else 500) if large else min(100, max(1, steps // 10))
    return Schedule(
        steps=steps, batch=run.batch or batch, lr=run.lr or rate, warmup=warmup, weight_decay=0.01,
        accumulate=run.accumulate, amp=run.amp, seed=run.seed, save_every=run.save_every, threads=run.threads,
        device=run.device,
    )  # fmt: skip


def _labellers(lams: Lams) -> dict:
    chosen = {"mani": lams.lam_mani, "loco": lams.lam_loco}
    if not any(chosen.values()):
        return {}
    from wbvla_training.lam.labels import LatentLabeller
    from wbvla_training.vision.errors import VisionError

    try:
        return {name: LatentLabeller.load(folder) for name, folder in chosen.items() if folder is not None}
    except VisionError as error:
        raise VlaError(str(error)) from None


def _video(text: str) -> tuple[Path, str]:
    folder, _, sentence = text.partition("=")
    return Path(folder), sentence


def _said(out: Path, last: dict[str, float]) -> int:
    print(f"{out}: " + ", ".join(f"{name} {value:.3f}" for name, value in last.items() if name != "gradient"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
