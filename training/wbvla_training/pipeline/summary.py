"""One HTML page of a pipeline's folder: steps, losses, what the codes know, open loop, results, pictures."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .cache import DONE, Cache
from .curves import Curves, read_events, read_lines, smoothed
from .run import duration
from .steps import Step

PAGE = "summary.html"
PROBE_FIGURES = (
    "rrg", "rrg_shuffled", "codebook_use", "primitive_accuracy", "primitive_accuracy_o_t", "feature_variance",
)  # fmt: skip
OPEN_LOOP = (
    "episodes",
    "arm_error_rad",
    "arm_error_if_still_rad",
    "flag_accuracy",
    "height_error_m",
    "progress_error",
)
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left}"
    "img{max-width:100%}code{font-size:12px;color:#555}"
)


def write_summary(out: Path, steps: tuple[Step, ...], cache: Cache) -> Path:
    """Write OUT/summary.html of what is there so far; what is missing is left out."""
    parts = [
        "<h1>Pipeline</h1>",
        _steps_table(steps, cache),
        "<h2>Losses</h2>",
        *(_figure(name, curves) for name, curves in trainings(out)),
        *_latents(out / "lam"),
        *_open_loop(out / "eval"),
        *_results(out / "results"),
    ]
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Pipeline</title><style>{_STYLE}</style><body>'
        + "\n".join(parts)
        + "</body></html>\n"
    )
    page = out / PAGE
    part = page.with_name(page.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(page)
    return page


def trainings(out: Path) -> Iterator[tuple[str, Curves]]:
    """Name and curves of every training below ``out`` that has written any."""
    for folder in sorted(path for path in (out / "lam").glob("*") if path.is_dir()):
        curves = {**read_events(folder), **read_lines(folder / "losses.jsonl")}
        yield from [(f"lam/{folder.name}", curves)] if curves else []
    for folder in sorted(path for path in (out / "vla").glob("*") if path.is_dir()):
        curves = read_lines(folder / "log.jsonl")
        yield from [(f"vla/{folder.name}", curves)] if curves else []


def _steps_table(steps: tuple[Step, ...], cache: Cache) -> str:
    rows, total = [], 0.0
    for step in steps:
        stamp = cache.stamp(step)
        seconds = 0.0 if stamp is None else stamp.seconds
        total += seconds
        state = "not yet" if stamp is None else ("done" if stamp.state == DONE else "stopped")
        when = "" if stamp is None else stamp.finished
        command = f"<code>wbvla {html.escape(' '.join(step.argv))}</code>"
        rows.append((step.name, step.what, state, duration(seconds) if seconds else "", when, command))
    head = ("step", "what", "state", "wall clock", "finished (UTC)", "line")
    return f"<p>{duration(total)} of wall clock in all steps together.</p>" + _table(head, rows, raw=5)


def _figure(name: str, curves: Curves) -> str:
    """One panel for each quantity of more than one point that is not constant."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = {k: v for k, v in curves.items() if len(v) > 1 and len({value for _, value in v}) > 1}
    if not shown:
        last = ", ".join(f"{k} {v[-1][1]:.3g}" for k, v in curves.items())
        return f"<h3>{html.escape(name)}</h3><p>{html.escape(last)}</p>"
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(2.7 * columns, 2.0 * rows), squeeze=False)
    for axis in axes.flat[len(shown) :]:
        axis.set_axis_off()
    for axis, (key, points) in zip(axes.flat, shown.items(), strict=False):
        axis.plot(*zip(*smoothed(points), strict=True), linewidth=1)
        axis.set_title(key, fontsize=8)
        axis.tick_params(labelsize=7)
    figure.tight_layout()
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=100)
    plt.close(figure)
    return f"<h3>{html.escape(name)}</h3>" + _image(data.getvalue(), "png")


def _latents(lam: Path) -> Iterator[str]:
    probe = _read(lam / "probe.json")
    if probe is not None:
        models = {probe.get("model", "loco"): probe, **probe.get("variants", {})}
        rows = [
            (name, *(_number(figures.get(key)) for key in PROBE_FIGURES)) for name, figures in models.items()
        ]
        yield "<h2>Latent actions, clips that no model has seen</h2>" + _table(
            ("model", *PROBE_FIGURES), rows
        )
    if (lam / "codes.jpg").exists():
        yield "<p>Clips that share all their codes:</p>" + _image((lam / "codes.jpg").read_bytes(), "jpeg")


def _open_loop(folder: Path) -> Iterator[str]:
    rows = []
    for file in sorted(folder.glob("open_loop.*.json")):
        figures = _read(file)
        if figures is not None:
            codes = figures.get("code_accuracy", {})
            accuracy = ", ".join(f"{name} {_number(value)}" for name, value in codes.items())
            rows.append(
                (file.stem.partition(".")[2], *(_number(figures.get(key)) for key in OPEN_LOOP), accuracy)
            )
    if rows:
        yield "<h2>Open loop, episodes kept apart</h2>" + _table(("model", *OPEN_LOOP, "code_accuracy"), rows)


def _results(folder: Path) -> Iterator[str]:
    found = _read(folder / "results.json")
    if found is not None:
        average = found["average"]
        yield f"<h2>Closed loop</h2><p>Average over subgoals: {'none yet' if average is None else f'{average:.2f}'}</p>"
        rows = []
        for row, tasks in found["rows"].items():
            for task, entry in tasks.items():
                if not isinstance(entry, dict):
                    continue
                for goal, figure in entry["subgoals"].items():
                    low, high = figure["confidence_95"]
                    succeeded, interval = (
                        f"{figure['successes']} of {figure['n']}",
                        f"{low:.2f} to {high:.2f}",
                    )
                    rows.append((row, task, goal, succeeded, _number(figure["rate"]), interval))
        yield _table(("row", "task", "subgoal", "succeeded", "rate", "95 % interval"), rows)
        if found["missing"]:
            yield f"<p>Missing: {html.escape(', '.join(found['missing']))}</p>"
    for picture in sorted((folder / "images").glob("*.jpg")):
        yield f"<h3>{html.escape(picture.stem)}</h3>" + _image(picture.read_bytes(), "jpeg")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError):
        return None


def _number(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return "" if value is None else str(value)


def _table(head: tuple[str, ...], rows: list[tuple], raw: int = -1) -> str:
    """``raw``: the column that is HTML already."""
    top = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{cell if i == raw else html.escape(str(cell))}</td>" for i, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f"<table><tr>{top}</tr>{body}</table>"


def _image(data: bytes, kind: str) -> str:
    return f'<img alt="" src="data:image/{kind};base64,{base64.b64encode(data).decode()}">'
