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
CORRECTION_SEED = "500"
"""First seed of the corrections: beyond those of the demonstrations, below those of evaluations."""
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
        yield _convert(w, group, bags, sum(w.scale.demos[task] for task in tasks))


def _convert(w: Wanted, name: str, bags: tuple[Path, ...], count: int) -> Step:
    data = w.out / "data" / name
    return Step(
        f"convert_{name}", "bags to a LeRobot dataset, successes only",
        ("data", "convert", *map(str, bags), "--out", str(data), "--only-successes", "--jobs", "1"), bags, (data,),
        _DATASET, (data,), _minutes(count * costs.CONVERT_S),
    )  # fmt: skip


def _policies(w: Wanted) -> Iterator[Step]:
    """Fine-tuning on demonstrations, corrections of what came out, and fine-tuning on both."""
    s = w.scale
    for group, tasks in groups_of(w.tasks).items():
        demos, corrections = w.out / "data" / group, w.out / "data" / f"{group}_corrections"
        methods = [(group, "pretrain", True)]
        if "no_lam" in w.rows:
            methods.append((f"{group}_no_lam", "pretrain_no_lam", False))
        for name, start, lams in methods:
            yield _finetune(w, group, f"{name}_first", (demos,), start, lams, s.steps_finetune)
        yield _export(w, f"{group}_first")
        yield from _corrections(w, group, tasks)
        for name, _, lams in methods:
            yield _finetune(w, group, name, (demos, corrections), f"{name}_first", lams, s.steps_correct)
            yield _open_loop(w, group, name, demos, lams)
            yield _export(w, name)
        if "few" in w.rows:
            name, steps = f"{group}_few", s.steps_finetune + s.steps_correct
            yield _finetune(w, group, name, (demos,), "pretrain", True, steps, s.few * len(tasks))
            yield _open_loop(w, group, name, demos, True)
            yield _export(w, name)


def _corrections(w: Wanted, group: str, tasks: tuple[str, ...]) -> Iterator[Step]:
    s, policy = w.scale, w.out / "bundles" / f"{group}_first"
    folders = {task: w.out / "corrections" / task for task in tasks}
    for task, bags in folders.items():
        count, (low_s, high_s) = s.corrections[task], s.takeover_s[task]
        yield Step(
            f"correct_{task}", f"{count} trials of {task} that the policy begins and the operator ends",
            ("task", "collect", "--task", task, "--episodes", str(count), "--seed", CORRECTION_SEED, "--policy",
             str(policy), "--takeover-s", str(low_s), str(high_s), "--out", str(bags)),
            (policy, bundle_path(LMO)), (bags,), (*_TRIAL, "wbvla_vla_node"), (bags,),
            _minutes(count * (costs.EPISODE_S[task] + 0.5 * high_s)), grows="--episodes",
        )  # fmt: skip
    yield _convert(w, f"{group}_corrections", tuple(folders.values()), sum(s.corrections[task] for task in tasks))


def _finetune(
    w: Wanted,
    group: str,
    name: str,
    data: tuple[Path, ...],
    start: str,
    lams: bool,
    steps: int,
    episodes: int = 0,
) -> Step:
    """Fine-tuning of the model in ``vla/start`` on the datasets ``data``, into ``vla/name``."""
    s, out = w.scale, w.out
    folder, cache = out / "vla" / name, out / "vla" / f"cache_{group}{'' if lams else '_no_lam'}"
    begin, models = out / "vla" / start, _lam_models(out) if lams else ()
    first = f"{group}{'' if lams else '_no_lam'}_first"
    few = ("--episodes", str(episodes)) if episodes else ()
    return Step(
        f"finetune_{name}", f"fine-tuning on {episodes or 'all'} demonstrations"
        + (" and the corrections" if len(data) > 1 else "") + ("" if lams else ", no codes"),
        ("vla", "finetune", "--data", *map(str, data), "--start", str(begin), "--pictures", str(s.pictures), "--cache",
         str(cache), *_labels(out, lams), "--held-out", str(s.held_out), *few, "--out", str(folder),
         *_schedule(s, steps)),
        (*data, *_vla(begin), *models), _vla(folder), (*_LEARN, *_LAM, "wbvla_training.lam.labels"),
        # The others use what the first one prepared.
        (folder, cache) if name == first else (folder,), _minutes(steps * s.batch_vla * costs.VLA_EXAMPLE_S),
        after=() if name == first else (f"finetune_{first}",),
    )  # fmt: skip


def _open_loop(w: Wanted, group: str, name: str, data: Path, lams: bool) -> Step:
    out = w.out
    folder, cache = out / "vla" / name, out / "vla" / f"cache_{group}{'' if lams else '_no_lam'}"
    file, models = out / "eval" / f"open_loop.{name}.json", _lam_models(out) if lams else ()
    return Step(
        f"vla_eval_{name}", "open loop: codes, arms and flags on episodes kept apart",
        ("vla", "eval", "--model", str(folder), "--data", str(data), "--cache", str(cache), *_labels(out, lams),
         "--held-out", str(w.scale.held_out), "--json", str(file)),
        (*_vla(folder), data, *models), (file,), ("wbvla_training.vla.evaluate", "wbvla_training.vla.modeling"), (),
        _minutes(costs.START_S),
    )  # fmt: skip


def _export(w: Wanted, name: str) -> Step:
    folder, bundle = w.out / "vla" / name, w.out / "bundles" / name
    return Step(
        f"export_{name}", "bundle for the robot, checked against the model",
        ("vla", "export", "--model", str(folder), "--out", str(bundle)), _vla(folder), (bundle,),
        ("wbvla_training.vla.export", "wbvla_training.vla.torch_networks"), (bundle,), _minutes(costs.START_S),
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
