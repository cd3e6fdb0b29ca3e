"""``wbvla results``: the table of closed-loop evaluations as ``results.json`` and ``results.md``."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro
from wbvla_sim.tasks.account import wilson

from .results_page import page
from .rows import (
    BLIND,
    FULL,
    GRAPH,
    NO_LAM,
    OPERATOR,
    SWAPPED,
    TASKS,
    Account,
    ResultsError,
    read_accounts,
)

EXPECTED = (FULL, NO_LAM, BLIND, SWAPPED, OPERATOR, "demos_50", "demos_200", GRAPH)


@dataclass
class Results:
    """Put accounts of wbvla task eval --json together into one table.

      wbvla task eval --task box_loading --policy vla/x2 --trials 50 --json runs/eval/full.box_loading.json
      wbvla results --runs runs/eval --out docs
    A file is called ROW.TASK.json; rows are full, no_lam, blind, swapped, operator, demos_50, demos_200, graph and
    graph_operator, or any other name. What was run must be what the row says. Rows that are not there are named as
    missing."""

    runs: Path
    """Folder of the accounts."""
    out: Path
    """Folder for results.json and results.md."""
    films: Path | None = None
    """Folder with a folder of films for each task (task eval --film): pictures of them go to OUT/images."""
    notes: Path | None = None
    """Text file (Markdown) put into results.md as it is: demonstrations, machine, what would raise a figure."""


def main(argv: list[str] | None = None) -> int:
    """Write both files; returns the exit code."""
    call = tyro.cli(Results, prog="wbvla results", args=argv)
    try:
        accounts = read_accounts(call.runs)
        notes = call.notes.read_text(encoding="utf-8") if call.notes is not None else ""
        call.out.mkdir(parents=True, exist_ok=True)
        pictures = {}
        if call.films is not None:
            from .film_strips import film_strips

            pictures = film_strips(call.films, call.out / "images")
    except (ResultsError, OSError) as error:
        print(f"wbvla results: {error}", file=sys.stderr)
        return 1
    found = table(accounts)
    (call.out / "results.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    links = {
        task: [picture.relative_to(call.out).as_posix() for picture in files]
        for task, files in pictures.items()
    }
    (call.out / "results.md").write_text(page(found, accounts, notes, links), encoding="utf-8")
    average = "no average yet" if found["average"] is None else f"average {found['average']:.2f}"
    print(f"{call.out}: results.json, results.md; {len(accounts)} accounts, {average}")
    return 0


def table(accounts: tuple[Account, ...]) -> dict[str, Any]:
    """Figures of all rows.

    ``average``: mean success rate over the subgoals of TASKS in row ``full`` (None while one is missing), and of any
    other row ``<row>.average``; ``<task>.<subgoal>``: success rates of ``full``; ``operator.<task>``: of the whole
    task. ``rows.<row>.<task>``: counts with Wilson's 95 % intervals, seeds, times and what the safety layer did.
    ``missing``: what was not evaluated, or not to its end."""
    rows: dict[str, dict[str, Any]] = {}
    for account in accounts:
        rows.setdefault(account.row, {})[account.task] = _entry(account)
    averages = {row: _average([a for a in accounts if a.row == row]) for row in rows}
    for row, entry in rows.items():
        entry["average"], entry["average_confidence_95"] = averages[row]
    found: dict[str, Any] = {"average": None, "average_confidence_95": None}
    if FULL in rows:
        found["average"], found["average_confidence_95"] = averages[FULL]
        for task, entry in rows[FULL].items():
            if task not in ("average", "average_confidence_95"):
                found[task] = {name: figure["rate"] for name, figure in entry["subgoals"].items()}
    for row in rows:
        if row not in (FULL, OPERATOR):
            found[row] = {"average": averages[row][0]}
    if OPERATOR in rows:
        found[OPERATOR] = {
            "average": averages[OPERATOR][0],
            **{a.task: _rate(a.successes, a.trials) for a in accounts if a.row == OPERATOR},
        }
    return {**found, "missing": _missing(accounts), "rows": rows}


def _entry(account: Account) -> dict[str, Any]:
    subgoals = account.subgoals or {}
    return {
        **_figure(account.successes, account.trials),
        "subgoals": {name: _figure(count, account.trials) for name, count in subgoals.items()},
        "first_seed": min(account.seeds, default=None), "last_seed": max(account.seeds, default=None),
        "complete": account.complete, "falls": account.falls, "mean_success_s": account.mean_success_s,
        "safety": account.safety, "limited_ticks": account.limited_ticks, "refused": account.refused,
        "command_age": account.command_age, "failures": account.reasons, "command": account.command,
        "policy_sha256": account.policy_sha256, "checked": account.checked,
    }  # fmt: skip


def _average(accounts: list[Account]) -> tuple[float | None, list[float] | None]:
    """Mean over the subgoals of TASKS, and an interval by Wilson's formula with as many draws as there are trials:
    the subgoals of one trial are not independent."""
    by_task = {account.task: account for account in accounts}
    if any(task not in by_task or not by_task[task].trials or not by_task[task].subgoals for task in TASKS):
        return None, None
    rates = [count / by_task[task].trials for task in TASKS for count in by_task[task].subgoals.values()]
    mean, trials = sum(rates) / len(rates), sum(by_task[task].trials for task in TASKS)
    return mean, list(wilson(mean * trials, trials))


def _missing(accounts: tuple[Account, ...]) -> list[str]:
    there = {(account.row, account.task) for account in accounts}
    found = [f"{row}.{task}" for row in EXPECTED for task in TASKS if (row, task) not in there]
    stopped = [f"{a.row}.{a.task} (stopped after {a.trials} trials)" for a in accounts if not a.complete]
    return found + stopped


def _figure(good: int, trials: int) -> dict[str, Any]:
    return {
        "n": trials,
        "successes": good,
        "rate": _rate(good, trials),
        "confidence_95": list(wilson(good, trials)),
    }


def _rate(good: int, trials: int) -> float:
    return good / trials if trials else 0.0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
