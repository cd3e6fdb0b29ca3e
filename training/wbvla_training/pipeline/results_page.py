"""The table of results as Markdown: figures, how they were made, and what differs from the paper."""

from __future__ import annotations

from typing import Any

from .rows import TASKS, Account

TITLES = {
    "full": "full method",
    "no_lam": "without LAM pretraining (equal data, steps and tuning)",
    "blind": "blind (black pictures)",
    "swapped": "swapped sentence",
    "operator": "scripted operator (ceiling)",
    "demos_50": "full method, 50 demonstrations a task",
    "demos_200": "full method, up to 200 demonstrations a task",
    "graph": "full method on the running graph, real time",
    "graph_operator": "scripted operator on the running graph",
}
PAPER = {
    "WholeBodyVLA": ({"box_loading": (19, 17), "cart_pushing": (23, 22)}),
    "without LAM": ({"box_loading": (8, 6), "cart_pushing": (16, 10)}),
}
"""Successes of 25 trials on the X2 prototype, first and second subgoal (arXiv 2512.11047, table 2)."""
DIFFERENT = """\
- Everything here is simulated: MuJoCo contacts, rendered pictures, a judge that reads the simulator's state. The paper's
  figures are of a real robot, judged by two people. No real camera or hand is in these figures.
- The model is small: a VLA of 3 million parameters trained from scratch on two CPU cores, where the paper fine-tunes a
  published model of 7 billion that knows the world's pictures and words.
- Its latent actions come from an hour or two of rendered video, the paper's from hundreds of hours of real video.
- Demonstrations are by a scripted operator who sees the simulator's object poses, not by people.
- Two of the paper's three tasks, with a box and a cart of sizes that this robot can handle (`docs/tasks.md`); the paper has
  25 trials a subgoal.
"""


def page(
    found: dict[str, Any], accounts: tuple[Account, ...], notes: str, pictures: dict[str, list[str]]
) -> str:
    """``results.md`` of the figures of ``results.table``; ``pictures``: links by task."""
    parts = [
        "# Results in closed loop",
        "Head camera's pictures and a sentence in, joint commands out, judged by the simulator's state. Rates are successes "
        "over trials with Wilson's 95 % interval. A failed first subgoal fails the second. Made by `wbvla results`, which "
        "also writes `results.json`.",
        _average(found),
        "## Rows\n" + _main_table(found),
        "The row's last column is the mean over the four subgoals; its interval counts trials, not subgoals.",
        *(
            []
            if not found["missing"]
            else ["**Missing:** " + ", ".join(f"`{name}`" for name in found["missing"]) + "."]
        ),
        *([notes.strip()] if notes.strip() else []),
        "## Paper\n" + _paper_table(),
        "## What differs from the paper\n" + DIFFERENT.rstrip(),
        "## Time, falls, safety layer, ages of commands\n" + _safety_table(accounts),
        "Reactions: changes of the driver's state that nobody asked for, by reason. Limited: ticks of 5 ms in which a "
        "set-point was limited. Age: time between the observation that a command is based on and its passing on by the "
        "driver, p50 (median of the trials) and p99 (worst trial). On the graph limited ticks are not told.",
        "## Why trials failed\n" + _failures(accounts),
        *([_pictures(pictures)] if pictures else []),
        "## Commands and seeds\n" + _commands(accounts),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _average(found: dict[str, Any]) -> str:
    if found["average"] is None:
        return "**There is no average yet**: row `full` is not complete."
    low, high = found["average_confidence_95"]
    mean = found["average"]
    return f"**Average of the full method over the four subgoals: {mean:.2f}** (95 % interval {low:.2f} to {high:.2f})."


def _main_table(found: dict[str, Any]) -> str:
    rows = found["rows"]
    goals = {task: _subgoals(rows, task) for task in (*TASKS, *_others(rows))}
    columns = [(task, goal) for task, names in goals.items() for goal in names]
    lines = ["| row | " + " | ".join(f"`{task}.{goal}`" for task, goal in columns) + " | average |"]
    lines.append("|--" * (len(columns) + 2) + "|")
    order = [*(name for name in TITLES if name in rows), *(name for name in rows if name not in TITLES)]
    for name in order:
        cells = [_cell(rows[name].get(task, {}).get("subgoals", {}).get(goal)) for task, goal in columns]
        mean = rows[name]["average"]
        cells.append(
            "-"
            if mean is None
            else "{:.2f} ({:.2f}..{:.2f})".format(mean, *rows[name]["average_confidence_95"])
        )
        lines.append(f"| {TITLES.get(name, name)} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(figure: dict[str, Any] | None) -> str:
    if figure is None:
        return "-"
    low, high = figure["confidence_95"]
    return f"{figure['successes']}/{figure['n']} = {figure['rate']:.2f} ({low:.2f}..{high:.2f})"


def _subgoals(rows: dict[str, Any], task: str) -> list[str]:
    return list(
        dict.fromkeys(goal for row in rows.values() for goal in row.get(task, {}).get("subgoals", {}))
    )


def _others(rows: dict[str, Any]) -> list[str]:
    tasks = dict.fromkeys(
        task for row in rows.values() for task, entry in row.items() if isinstance(entry, dict)
    )
    return [task for task in tasks if task not in TASKS]


def _paper_table() -> str:
    lines = ["| paper, real robot | box loading | cart pushing | mean of these four |", "|--|--|--|--|"]
    for name, figures in PAPER.items():
        cells = [" ".join(f"{good}/25" for good in figures[task]) for task in TASKS]
        mean = sum(good for task in TASKS for good in figures[task]) / 100
        lines.append(f"| {name} | {cells[0]} | {cells[1]} | {mean:.2f} |")
    return "\n".join(lines) + "\n\nThe paper's 0.78 is the mean over three tasks, bag packing included."


def _safety_table(accounts: tuple[Account, ...]) -> str:
    lines = [
        "| row | task | trials | time of successes | falls | reactions | limited | dropped | age of loco | age of arms |",
        "|--|--|--|--|--|--|--|--|--|--|",
    ]
    for a in accounts:
        ages = [_age(a.command_age.get(name)) for name in ("loco", "arm")]
        safety = ", ".join(f"{name} {count}" for name, count in a.safety.items()) or "none"
        if not a.command_age:
            safety = "not noted" if not a.safety else safety
        limited = "-" if a.limited_ticks is None else a.limited_ticks
        time = f"{a.mean_success_s:.0f} s" if a.successes else "-"
        lines.append(
            f"| {a.row} | {a.task} | {a.trials} | {time} | {a.falls} | {safety} | {limited} | {a.refused} | "
            f"{ages[0]} | {ages[1]} |"
        )
    return "\n".join(lines)


def _age(ages: dict[str, float] | None) -> str:
    return "-" if ages is None else f"{ages['p50_ms']:.0f} / {ages['p99_ms']:.0f} ms"


def _failures(accounts: tuple[Account, ...]) -> str:
    lines = []
    for a in accounts:
        if a.reasons:
            lines.append(
                f"- {a.row}, {a.task}: "
                + "; ".join(f"{count} x {reason}" for reason, count in a.reasons.items())
            )
    return "\n".join(lines) or "No trial failed."


def _pictures(pictures: dict[str, list[str]]) -> str:
    lines = [
        "## Pictures",
        "Trials from start to end, left to right; under each its seed and what came of it.",
    ]
    lines += [f"![{task}]({link})" for task, links in pictures.items() for link in links]
    return "\n\n".join(lines)


def _commands(accounts: tuple[Account, ...]) -> str:
    lines = ["```"]
    for a in accounts:
        seeds = f"seeds {min(a.seeds)}..{max(a.seeds)}" if a.seeds else "no seeds"
        lines.append(
            f"{a.command or '(command not told)'}    # {a.row}, {seeds}{'' if a.complete else ', stopped early'}"
        )
    lines.append("```")
    unchecked = [a.file for a in accounts if not a.checked]
    if unchecked:
        lines.append(
            f"\nRow by file name only, made before accounts told their options: {', '.join(unchecked)}."
        )
    return "\n".join(lines)
