"""Accounts of trials, read and checked: which row of the table each is, and whether it is what its name says."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TASKS = ("box_loading", "cart_pushing")
"""Whose subgoals the average is of; other tasks have rows of their own."""
OPERATOR, FULL, NO_LAM, BLIND, SWAPPED, GRAPH = "operator", "full", "no_lam", "blind", "swapped", "graph"
FIRST_SEED = 1000
"""Seeds below it are for collecting and tuning."""
NOT_ROWS = ("open_loop",)


class ResultsError(ValueError):
    """A file cannot stand in the table; the text names it and says why."""


@dataclass(frozen=True)
class Account:
    """What ``wbvla task eval --json`` wrote for ``row`` on ``task``. ``checked``: it tells its own options, so that its
    name could be compared with them."""

    row: str
    task: str
    file: str
    trials: int
    successes: int
    subgoals: dict[str, int]
    seeds: tuple[int, ...]
    complete: bool
    checked: bool
    command: str
    policy_sha256: str
    falls: int
    mean_success_s: float
    safety: dict[str, int]
    limited_ticks: int | None
    refused: int
    command_age: dict[str, dict[str, float]]
    reasons: dict[str, int]


def read_accounts(folder: Path) -> tuple[Account, ...]:
    """All ``<row>.<task>.json`` in ``folder``, checked. Raises ResultsError."""
    if not folder.is_dir():
        raise ResultsError(
            f"{folder}: not a folder; give --runs a folder of ROW.TASK.json written by wbvla task eval --json"
        )
    found = []
    for file in sorted(folder.glob("*.json")):
        row, dot, task = file.stem.partition(".")
        if row in NOT_ROWS:
            continue
        if not dot:
            raise ResultsError(f"{file}: expected the name ROW.TASK.json, for example full.box_loading.json")
        found.append(_account(file, row, task))
    _check_together(found)
    return tuple(found)


def _account(file: Path, row: str, task: str) -> Account:
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        episodes = told["episodes"]
        options = told.get("options")
        account = Account(
            row=row, task=task, file=file.name, trials=int(told["trials"]), successes=int(told["successes"]),
            subgoals={name: int(count) for name, count in told["subgoals"].items()},
            seeds=tuple(int(e["seed"]) for e in episodes), complete=bool(told.get("complete", True)),
            checked=options is not None, command=str(told.get("command", "")),
            policy_sha256=str((options or {}).get("policy_sha256", "")), falls=int(told["falls"]),
            mean_success_s=float(told["mean_success_s"]), safety=dict(told.get("safety", {})),
            limited_ticks=told.get("limited_ticks"), refused=int(told.get("refused", 0)),
            command_age=dict(told.get("command_age", {})),
            reasons=dict(Counter(str(e["reason"]) for e in episodes if e["outcome"] != "success").most_common()),
        )  # fmt: skip
        told_task = told["task"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ResultsError(
            f"{file}: is not an account of trials ({error!r}); make it with wbvla task eval --json"
        ) from None
    if told_task != task:
        raise ResultsError(f"{file}: holds trials of {told_task}, its name says {task}; rename it")
    if account.trials != len(account.seeds) or len(set(account.seeds)) != len(account.seeds):
        raise ResultsError(
            f"{file}: counts {account.trials} trials of {len(set(account.seeds))} seeds; make it again"
        )
    if account.seeds and min(account.seeds) < FIRST_SEED:
        raise ResultsError(
            f"{file}: seed {min(account.seeds)} is for training; evaluate from {FIRST_SEED} on"
        )
    if options is not None:
        _check_name(file, row, options)
    return account


def _check_name(file: Path, row: str, options: dict[str, Any]) -> None:
    """A row is what was run, whatever the file is called."""
    by_operator = options.get("policy") == OPERATOR
    checks = {
        "the scripted operator": (row in (OPERATOR, f"{GRAPH}_{OPERATOR}"), by_operator),
        "black pictures": (row == BLIND, bool(options.get("blind"))),
        "the swapped sentence": (row == SWAPPED, bool(options.get("swap_sentence"))),
        "the running graph": (row.startswith(GRAPH), bool(options.get("graph"))),
    }
    for what, (named, run) in checks.items():
        if named != run:
            said = "with" if run else "without"
            raise ResultsError(
                f"{file}: was run {said} {what}, which row '{row}' is not; rename it or run it again"
            )
    if options.get("sentence") is not None:
        raise ResultsError(f"{file}: was told a sentence of its own; such trials are no row of the table")


def _check_together(accounts: list[Account]) -> None:
    """Rows that are to differ by one thing must do so by that thing."""
    by = {(account.row, account.task): account for account in accounts}
    for account in accounts:
        full = by.get((FULL, account.task))
        if full is None or not full.policy_sha256 or not account.policy_sha256:
            continue
        same = account.policy_sha256 == full.policy_sha256
        if account.row in (BLIND, SWAPPED, GRAPH) and not same:
            raise ResultsError(
                f"{account.file}: is of another bundle than {full.file}; evaluate the same one"
            )
        if account.row == NO_LAM and same:
            raise ResultsError(
                f"{account.file}: is of the same bundle as {full.file}; evaluate the one without LAMs"
            )
