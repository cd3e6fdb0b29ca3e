"""``wbvla lmo train|eval|report|export|play|clips``: learn, measure, ship and watch locomotion policies."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro
from wbvla_core.bundle import BundleError, load_bundle
from wbvla_core.robot_spec import RobotSpec, RobotSpecError

from .config import ConfigError

PACKAGED_CLIPS = Path(__file__).resolve().parent / "data" / "x2_reach.npz"


@dataclass
class Train:
    """Train a policy. Ctrl-C stops after the running iteration and saves; --resume goes on.

    Stage II starts from stage I's weights:
      wbvla lmo train --config x2_stage1 --out runs/stage1
      wbvla lmo train --config x2_stage2 --start runs/stage1/latest.pt --out runs/stage2
    Follow it with `tensorboard --logdir runs`."""

    config: Literal["x2_smoke", "x2_stage1", "x2_stage2"]
    """Which training; x2_smoke takes about 3 minutes, says whether learning works here and exits with 1 when not."""
    out: Path | None = None
    """Folder for checkpoints and logs; default runs/<config>."""
    start: Path | None = None
    """Checkpoint whose weights to start from (a new training)."""
    resume: bool = False
    """Go on with OUT/latest.pt: weights, optimiser, curriculum and random state; the environments start anew."""
    device: str = "cpu"
    """Torch device of the learner, for example cuda."""
    num_envs: int | None = None
    """Robots simulated at once."""
    total_steps: float | None = None
    """Environment steps (20 ms of one robot) after which to stop."""
    seed: int | None = None
    """Seed of everything random."""
    threads: int = 0
    """Torch threads of the learner; 0 leaves torch's choice."""
    clips: Path = PACKAGED_CLIPS
    """Arm clips to replay in stage II."""


@dataclass
class Eval:
    """Measure a bundle: displacement, sway, height, falls under pushes, payload, hand forces, on a held-out model."""

    policy: Path
    """Bundle folder, for example models/lmo/x2."""
    json: Path | None = None
    """Write all figures here."""
    seeds: int = 5
    """Random seeds."""
    trials: int = 20
    """Robots per seed, test and direction."""
    quick: bool = False
    """One seed, 8 trials: under a minute, for a first look."""
    sweeps: bool = False
    """Also sweep push, friction, payload, hand force and delay: some 4 minutes more."""
    plots: Path | None = None
    """Folder for the plots."""
    compare: tuple[Path, ...] = ()
    """JSON files of earlier evaluations: columns of the table and lines of the plots beside this one."""
    clips: Path = PACKAGED_CLIPS
    """Arm clips to replay."""


@dataclass
class Report:
    """Results of evaluations beside each other: one table, one set of plots. Columns are named after the files:
    `wbvla lmo report x2.json without_stage_II.json --plots docs/images`."""

    results: tyro.conf.Positional[tuple[Path, ...]]
    """JSON files written by `wbvla lmo eval --json`."""
    plots: Path | None = None
    """Folder for the plots."""


@dataclass
class Export:
    """Turn a checkpoint into a bundle; fails when the ONNX file differs from torch by more than 1e-5."""

    checkpoint: Path
    """A latest.pt written by train."""
    out: Path
    """Bundle folder to write."""
    config: Literal["x2_smoke", "x2_stage1", "x2_stage2"] = "x2_stage2"
    """The training that the checkpoint comes from."""
    name: str = "x2"
    """Name of the bundle."""


@dataclass
class Play:
    """Watch a bundle walk, sidestep, turn and squat with moving arms: a video file, the browser, or figures only."""

    policy: Path
    """Bundle folder."""
    video: Path | None = None
    """MP4 file to write."""
    view: bool = False
    """In the browser, in real time, until Ctrl-C; commands can be given there."""
    port: int = 8080
    """With --view: where the page is."""
    seconds: float = 30.0
    """Length."""
    push: float = 0.0
    """Speed of the pushes every 4 s, m/s."""
    arms: bool = True
    """Replay arm clips."""
    seed: int = 0
    """Random seed."""


@dataclass
class Clips:
    """Make an arm clip file by inverse-kinematics reaching."""

    out: Path
    """File to write (.npz)."""
    robot: str = "x2_ultra"
    """Robot name or YAML file."""
    count: int = 32
    """Number of clips."""
    seconds: float = 8.0
    """Length of each."""
    seed: int = 0
    """Random seed."""


Command = (
    Annotated[Train, tyro.conf.subcommand("train")]
    | Annotated[Eval, tyro.conf.subcommand("eval")]
    | Annotated[Report, tyro.conf.subcommand("report")]
    | Annotated[Export, tyro.conf.subcommand("export")]
    | Annotated[Play, tyro.conf.subcommand("play")]
    | Annotated[Clips, tyro.conf.subcommand("clips")]
)


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit code (2 for a configuration or file that cannot be used)."""
    command = tyro.cli(Command, prog="wbvla lmo", description=__doc__, args=argv)  # type: ignore[call-overload]
    handlers = {Train: _train, Eval: _eval, Report: _report, Export: _export, Play: _play, Clips: _clips}
    try:
        return handlers[type(command)](command)
    except (ConfigError, BundleError, RobotSpecError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _train(a: Train) -> int:
    import torch

    from . import clips as clip_files
    from .presets import preset
    from .smoke import verdict
    from .train import LATEST, Trainer

    if a.resume and a.start:
        raise ConfigError("--resume and --start exclude each other; --resume goes on with OUT/latest.pt")
    changes = {k: v for k in ("num_envs", "total_steps", "seed") if (v := getattr(a, k)) is not None}
    cfg = replace(preset(a.config), **changes)
    if a.threads:
        torch.set_num_threads(a.threads)
    spec = RobotSpec.load(cfg.robot)
    clips = clip_files.load(a.clips, spec) if cfg.upper_body.clip_fraction > 0 else None
    folder = a.out or Path("runs") / cfg.name
    trainer = Trainer(cfg, folder, a.device, clips)
    if a.resume:
        trainer.load(folder / LATEST, resume=True)
    elif a.start:
        trainer.load(a.start, resume=False)
    row = trainer.run()
    return verdict(row, trainer.stopped) if cfg.name == "x2_smoke" else 0


def _eval(a: Eval) -> int:
    from . import clips as clip_files
    from .evaluate import EvaluationPlan, evaluate
    from .policy import BundlePolicy

    if a.quick and a.sweeps:
        raise ConfigError("--quick and --sweeps exclude each other; --quick is a first look under a minute")
    spec = _robot_of(a.policy)
    policy = BundlePolicy(a.policy, spec)
    others = _columns(a.compare)
    plan = EvaluationPlan(1, 8) if a.quick else EvaluationPlan(a.seeds, a.trials, a.sweeps)
    results = evaluate(policy, spec, clip_files.load(a.clips, spec), plan)
    if a.json:
        a.json.parent.mkdir(parents=True, exist_ok=True)
        a.json.write_text(json.dumps(results, indent=1) + "\n")
    name = a.json.stem.replace("_", " ") if a.json else "measured"
    _show({name: results} | others, a.plots)
    return 0


def _robot_of(bundle: Path) -> RobotSpec:
    """The robot that a bundle was made for; raises BundleError, RobotSpecError."""
    return RobotSpec.load(load_bundle(bundle, "lmo", None).robot)


def _report(a: Report) -> int:
    if not a.results:
        raise ConfigError("no results to report; name JSON files written by `wbvla lmo eval --json FILE`")
    _show(_columns(a.results), a.plots)
    return 0


def _columns(files: tuple[Path, ...]) -> dict[str, dict]:
    """Results by the name of their file; raises ConfigError for a file that is none, or two of one name."""
    from .report import read

    columns = {path.stem.replace("_", " "): read(path) for path in files}
    if len(columns) < len(files):
        raise ConfigError(
            f"{', '.join(map(str, files))}: two of them have one name; columns are named after the files"
        )
    return columns


def _show(columns: dict[str, dict], plots: Path | None) -> None:
    from .plots import draw
    from .report import table

    print(table(columns))
    for path in draw(columns, plots) if plots else ():
        print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


def _export(a: Export) -> int:
    from .checkpoint import read_file
    from .export import export
    from .presets import preset
    from .task import lmo_section

    cfg = preset(a.config)
    spec = RobotSpec.load(cfg.robot)
    section = lmo_section(cfg.robot, spec, cfg.command)
    state = read_file(a.checkpoint, spec)
    bundle, difference = export(state, section, spec, a.out, a.name)
    size = sum(f.stat().st_size for f in a.out.iterdir())
    steps = state["progress"]["steps"]
    print(
        f"{a.out}: {bundle.name}, {size / 1e3:.0f} kB, {steps / 1e6:.1f} M steps, ONNX = torch within {difference:.1e}"
    )
    return 0


def _play(a: Play) -> int:
    from wbvla_sim.view import check_available

    from . import clips as clip_files
    from .play import play
    from .policy import BundlePolicy

    spec = _robot_of(a.policy)
    clips = clip_files.load(PACKAGED_CLIPS, spec)
    if a.view:
        check_available()
    port = a.port if a.view else None
    return play(BundlePolicy(a.policy, spec), spec, clips, a.video, a.seconds, a.push, a.arms, a.seed, port)


def _clips(a: Clips) -> int:
    from . import clips as clip_files

    spec = RobotSpec.load(a.robot)
    clip_files.save(a.out, clip_files.generate(spec, a.count, a.seconds, a.seed), spec)
    print(f"{a.out}: {a.count} clips of {a.seconds:g} s for {spec.name}, {a.out.stat().st_size / 1e3:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
