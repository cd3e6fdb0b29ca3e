"""The whole chain as steps: video, latent actions, VLA, demonstrations, fine-tuning, bundle, closed loop, table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wbvla_core.paths import bundle_path

from . import costs
from .scale import ROWS, Scale, groups_of
from .steps import ChainError, Resume, Step, needs

LMO = "lmo/x2"
PICTURES_SHARE = "0.7"
"""Of a batch of pretraining: words take longer to learn than codes."""
VLA_FILES = ("config.json", "parts.json", "processor.json", "tokenizer.json", "model.safetensors")

_LAM = ("wbvla_training.vision", "wbvla_training.video")
_TRIAL = ("wbvla_core", "wbvla_driver", "wbvla_lmo_node", "wbvla_teleop", "wbvla_sim", *(f"-wbvla_sim.{name}" for name in (
    "video", "view", "mirror", "film", "sim_node", "tasks.cli", "tasks.account", "tasks.graph_collect", "tasks.graph_trial",
    "tasks.graph_watch", "tasks.scribes", "tasks.supervisor", "tasks.referee", "tasks.gamepad_node", "tasks.trial_film",
)))  # fmt: skip
_PICTURES = (
    "wbvla_training.vla.grounding", "wbvla_training.vla.grounding_views", "wbvla_training.vla.examples",
    "wbvla_sim.scene_parts", "wbvla_sim.tasks.reach_scene", "wbvla_sim.tasks.box_cart_scene",
)  # fmt: skip
_LEARN = ("wbvla_training.vla", *(f"-wbvla_training.vla.{name}" for name in
          ("bench", "scaling", "evaluate", "export", "torch_networks")))  # fmt: skip
_DATASET = ("wbvla_training.data", *(f"-wbvla_training.data.{name}" for name in (
    "bench_convert", "bench_dataset", "check", "check_pictures", "check_rules", "drop", "info", "info_page",
)))  # fmt: skip


@dataclass(frozen=True)
class Wanted:
    """What the chain shall hold. ``rows``: of the table, beside the whole method and the operator; ``shared``: also the
    latent action model of both kinds of video, for the comparison."""

    out: Path
    scale: Scale
    tasks: tuple[str, ...]
    rows: tuple[str, ...] = ()
    shared: bool = False


def chain(wanted: Wanted) -> tuple[Step, ...]:
    """All steps in an order in which they can run. Raises ChainError."""
    unknown = set(wanted.rows) - set(ROWS)
    if unknown:
        raise ChainError(f"there is no row '{sorted(unknown)[0]}'; choose from {', '.join(ROWS)}")
    steps = (
        *_latents(wanted),
        *_pretraining(wanted),
        *_demonstrations(wanted),
        *_policies(wanted),
        *_table(wanted),
    )
    needs(steps)
    return steps


def _latents(w: Wanted) -> Iterator[Step]:
    s, out, threads = w.scale, w.out, ("--threads", "1")
    loco, mani = out / "video_loco", out / "video_mani"
    for kind, folder, clips in (("loco", loco, s.clips_loco), ("mani", mani, s.clips_mani)):
        labels = folder.with_name(folder.name + "_labels")
        yield Step(
            f"video_{kind}", f"{clips} egocentric clips ({kind})",
            ("lam", "video", "--kind", kind, "--clips", str(clips), "--out", str(folder)), (), (folder, labels),
            ("wbvla_sim.video",), (folder, labels, folder.with_name(folder.name + "_cache")),
            _minutes(clips * costs.CLIP_S), grows="--clips",
        )  # fmt: skip
    lam = out / "lam"
    backbone = lam / "backbone"
    yield Step(
        "backbone", "features of frames, trained by masked reconstruction",
        ("lam", "backbone", "--videos", str(loco), str(mani), "--out", str(backbone), "--steps", str(s.steps_backbone),
         *threads),
        (loco, mani), (backbone / "model",), _LAM, (backbone,), _minutes(s.steps_backbone * costs.BACKBONE_STEP_S),
        _going_on(backbone),
    )  # fmt: skip
    variants = [("loco", (loco,)), ("mani", (mani,)), *([("shared", (loco, mani))] if w.shared else [])]
    for variant, videos in variants:
        folder = lam / variant
        features = costs.FEATURES_CLIP_S * (s.clips_loco if variant == "loco" else s.clips_mani)
        yield Step(
            f"lam_{variant}", f"latent action model ({variant})",
            ("lam", "train", "--variant", variant, "--videos", *map(str, videos), "--backbone", str(backbone / "model"),
             "--out", str(folder), "--steps", str(s.steps_lam), "--batch", str(s.batch_lam), *threads),
            (*videos, backbone / "model"), (folder / "model",), (*_LAM, "wbvla_training.lam"), (folder,),
            _minutes(features + s.steps_lam * costs.LAM_STEP_S), _going_on(folder),
            # It fills the caches of both.
            after=("lam_loco", "lam_mani") if variant == "shared" else (),
        )  # fmt: skip
    models = {variant: lam / variant / "model" for variant, _ in variants}
    yield Step(
        "lam_probe", "what the codes know, on clips that no model has seen",
        ("lam", "probe", "--lam", str(models["loco"]), "--videos", str(loco), "--mani-videos", str(mani), "--variants",
         *(f"{name}={model}" for name, model in models.items() if name != "loco"), "--json", str(lam / "probe.json"),
         "--picture", str(lam / "codes.jpg"), *threads),
        (*models.values(), loco, mani, out / "video_loco_labels", out / "video_mani_labels"),
        (lam / "probe.json", lam / "codes.jpg"), (*_LAM, "wbvla_training.lam"), (), _minutes(costs.PROBE_S),
    )  # fmt: skip


def _pretraining(w: Wanted) -> Iterator[Step]:
    s, out = w.scale, w.out
    cache = out / "vla" / "cache"
    yield Step(
        "pictures", f"{s.pictures} grounding pictures", ("vla", "pictures", "--count", str(s.pictures), "--out", str(cache)),
        (), (cache / "grounding",), _PICTURES, (cache / "grounding",), _minutes(s.pictures * costs.PICTURE_S),
    )  # fmt: skip
    loco, mani = out / "video_loco", out / "video_mani"
    for name, lams in _methods(w):
        folder = out / "vla" / name
        videos = ("--videos", str(loco), str(mani)) if lams else ()
        yield Step(
            name, "VLA pretraining: " + ("codes of video, and words" if lams else "words only, as many steps"),
            ("vla", "pretrain", "--config", "tiny", "--pictures", str(s.pictures), "--pictures-share",
             PICTURES_SHARE, "--cache", str(cache), *videos, *_labels(out, lams), "--out", str(folder),
             *_schedule(s, s.steps_pretrain)),
            (cache / "grounding", *((loco, mani, *_lam_models(out)) if lams else ())), _vla(folder),
            (*_LEARN, *_LAM, "wbvla_training.lam.labels"), (folder,),
            _minutes(s.steps_pretrain * s.batch_vla * costs.VLA_EXAMPLE_S),
        )  # fmt: skip


def _demonstrations(w: Wanted) -> Iterator[Step]:
    for group, tasks in groups_of(w.tasks).items():
        for task in tasks:
            count, bags = w.scale.demos[task], w.out / "bags" / task
            yield Step(
                f"collect_{task}", f"{count} demonstrations of {task} by the scripted operator",
                ("task", "collect", "--task", task, "--episodes", str(count), "--out", str(bags)),
                (bundle_path(LMO),), (bags,), _TRIAL, (bags,), _minutes(count * costs.EPISODE_S[task]),
                grows="--episodes",
            )  # fmt: skip
        bags = tuple(w.out / "bags" / task for task in tasks)
        data = w.out / "data" / group
        yield Step(
            f"convert_{group}", "bags to a LeRobot dataset, successes only",
            ("data", "convert", *map(str, bags), "--out", str(data), "--only-successes", "--jobs", "1"), bags, (data,),
            _DATASET, (data,), _minutes(sum(w.scale.demos[task] for task in tasks) * costs.CONVERT_S),
        )  # fmt: skip


def _policies(w: Wanted) -> Iterator[Step]:
    s, out = w.scale, w.out
    for group, tasks in groups_of(w.tasks).items():
        data = out / "data" / group
        variants = [(group, "pretrain", True, 0)]
        if "no_lam" in w.rows:
            variants.append((f"{group}_no_lam", "pretrain_no_lam", False, 0))
        if "few" in w.rows:
            variants.append((f"{group}_few", "pretrain", True, s.few * len(tasks)))
        for name, start, lams, episodes in variants:
            folder, cache = out / "vla" / name, out / "vla" / f"cache_{group}{'' if lams else '_no_lam'}"
            # A part of the demonstrations uses what was prepared of all.
            alone = (folder,) if episodes else (folder, cache)
            held_out, labels = ("--held-out", str(s.held_out)), _labels(out, lams)
            begin, models = out / "vla" / start, _lam_models(out) if lams else ()
            few = ("--episodes", str(episodes)) if episodes else ()
            yield Step(
                f"finetune_{name}", f"fine-tuning on {episodes or 'all'} demonstrations" + ("" if lams else ", no codes"),
                ("vla", "finetune", "--data", str(data), "--start", str(begin), "--pictures", str(s.pictures), "--cache",
                 str(cache), *labels, *held_out, *few, "--out", str(folder), *_schedule(s, s.steps_finetune)),
                (data, *_vla(begin), *models), _vla(folder), (*_LEARN, *_LAM, "wbvla_training.lam.labels"), alone,
                _minutes(s.steps_finetune * s.batch_vla * costs.VLA_EXAMPLE_S),
                after=(f"finetune_{group}",) if episodes else (),
            )  # fmt: skip
            yield Step(
                f"vla_eval_{name}", "open loop: codes, arms and flags on episodes kept apart",
                ("vla", "eval", "--model", str(folder), "--data", str(data), "--cache", str(cache), *labels, *held_out,
                 "--json", str(out / "eval" / f"open_loop.{name}.json")),
                (*_vla(folder), data, *models), (out / "eval" / f"open_loop.{name}.json",),
                ("wbvla_training.vla.evaluate", "wbvla_training.vla.modeling"), (), _minutes(costs.START_S),
            )  # fmt: skip
            yield Step(
                f"export_{name}", "bundle for the robot, checked against the model",
                ("vla", "export", "--model", str(folder), "--out", str(out / "bundles" / name)), _vla(folder),
                (out / "bundles" / name,), ("wbvla_training.vla.export", "wbvla_training.vla.torch_networks"),
                (out / "bundles" / name,), _minutes(costs.START_S),
            )  # fmt: skip


def _table(w: Wanted) -> Iterator[Step]:
    s, accounts = w.scale, []
    for group, tasks in groups_of(w.tasks).items():
        rows: list[tuple[str, str, tuple[str, ...]]] = [("full", group, ()), ("operator", "", ())]
        rows += [("no_lam", f"{group}_no_lam", ())] if "no_lam" in w.rows else []
        rows += [("blind", group, ("--blind",))] if "blind" in w.rows else []
        rows += [("swapped", group, ("--swap-sentence",))] if "swapped" in w.rows else []
        rows += [(f"demos_{s.few}", f"{group}_few", ())] if "few" in w.rows else []
        for row, bundle, extra in rows:
            for task in tasks:
                step = _closed_loop(w, row, task, bundle, extra, s.trials)
                accounts.append(step.outputs[0])
                yield step
        for task in tasks:
            films = w.out / "films" / task
            step = _closed_loop(w, "film", task, group, ("--film", str(films)), s.films, films)
            accounts.append(step.outputs[0])
            yield step
    yield Step(
        "results", "table of all rows",
        ("results", "--runs", str(w.out / "eval"), "--out", str(w.out / "results"), "--films", str(w.out / "films")),
        tuple(accounts), (w.out / "results" / "results.json", w.out / "results" / "results.md"),
        tuple(f"wbvla_training.pipeline.{name}" for name in ("rows", "results", "results_page", "film_strips")),
        (w.out / "results",), 0.1,
    )  # fmt: skip


def _closed_loop(
    w: Wanted,
    row: str,
    task: str,
    bundle: str,
    extra: tuple[str, ...],
    trials: int,
    films: Path | None = None,
) -> Step:
    """``trials`` trials in lock-step, by the scripted operator when ``bundle`` is ""."""
    file = (w.out / "eval" / f"{row}.{task}.json") if films is None else films / "trials.json"
    folder = w.out / "bundles" / bundle
    policy, inputs, seconds = ("operator", (), costs.OPERATOR_S[task])
    if bundle:
        policy, inputs, seconds = (str(folder), (folder,), costs.TRIAL_S[task])
    who = f"{row} on {task}" if films is None else f"of {task}, filmed"
    return Step(
        f"{row}_{task}", f"{trials} trials in closed loop, {who}",
        ("task", "eval", "--task", task, "--policy", policy, "--trials", str(trials), *extra, "--json", str(file)),
        (*inputs, bundle_path(LMO)), (file,), (*_TRIAL, "wbvla_vla_node"), (films or file,),
        _minutes(trials * seconds), Resume(file, ("--resume",)),
    )  # fmt: skip


def _methods(w: Wanted) -> tuple[tuple[str, bool], ...]:
    """Pretrainings: their name, and whether they learn from latent action models."""
    return (("pretrain", True), *((("pretrain_no_lam", False),) if "no_lam" in w.rows else ()))


def _schedule(scale: Scale, steps: int) -> tuple[str, ...]:
    return ("--steps", str(steps), "--batch", str(scale.batch_vla), "--threads", "1")


def _labels(out: Path, lams: bool) -> tuple[str, ...]:
    loco, mani = _lam_models(out)
    return ("--lam-loco", str(loco), "--lam-mani", str(mani)) if lams else ()


def _lam_models(out: Path) -> tuple[Path, Path]:
    return out / "lam" / "loco" / "model", out / "lam" / "mani" / "model"


def _vla(folder: Path) -> tuple[Path, ...]:
    """What of a training's folder is its result; state and log lie beside it."""
    return tuple(folder / name for name in VLA_FILES)


def _going_on(folder: Path) -> Resume:
    return Resume(folder / "checkpoint.safetensors", ("--resume",))


def _minutes(seconds: float) -> float:
    return (costs.START_S + seconds) / 60.0
