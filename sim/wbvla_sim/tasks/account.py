"""What came of a row of trials: printed, and written to a file from which a stopped evaluation goes on."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from wbvla_sim.tasks.base import Outcome, Task, Verdict
from wbvla_sim.tasks.lockstep_trial import TrialResult
from wbvla_sim.tasks.trial_watch import Ages, TrialNotes

FELL = "the robot fell"


@dataclass(frozen=True)
class Asked:
    """What was to be done: how many ``trials``, the ``command`` as it was typed, and the ``options`` that decide what
    comes out (whose trials they are: policy, what it was told, what it saw)."""

    trials: int
    command: str = ""
    options: dict[str, Any] = field(default_factory=dict)


def account(
    task: Task, results: list[TrialResult], file: Path | None, console: Console, asked: Asked | None = None
) -> int:
    """Print and write what came out; exit code 0, or 1 when no trial succeeded."""
    summary = summarise(task, results, asked or Asked(len(results)))
    if file is not None:
        write_account(file, summary)
    if results:
        subgoals, (low, high) = summary["subgoals"], summary["confidence_95"]
        if len(subgoals) > 1:
            parts = ", ".join(f"{name} {count}" for name, count in subgoals.items())
            console.print(f"subgoals of {len(results)}: {parts}")
        console.print(
            f"{task.name}: {summary['successes']} of {len(results)} succeeded "
            f"({summary['success_rate']:.0%}, 95 % interval {low:.0%} to {high:.0%}), "
            f"{summary['times_real_time']:.1f} x real time"
        )
    return 0 if summary["successes"] or not results else 1


def summarise(task: Task, results: list[TrialResult], asked: Asked) -> dict[str, Any]:
    """The account as it is written: counts, Wilson interval, times [s], falls, reactions of the safety layer and ages of
    commands [ms] (of the trials' p50 the median, of p99 and max the largest), then every trial."""
    good = sum(result.verdict.success for result in results)
    virtual_s, wall_s = (sum(getattr(result, name) for result in results) for name in ("virtual_s", "wall_s"))
    names = dict.fromkeys(name for result in results for name in result.verdict.subgoals)
    notes = [result.notes for result in results if result.notes is not None]
    limited = [note.limited_ticks for note in notes if note.limited_ticks is not None]
    return {
        "task": task.name,
        "command": asked.command,
        "options": asked.options,
        "trials": len(results),
        "complete": len(results) >= asked.trials,
        "successes": good,
        "success_rate": good / len(results) if results else 0.0,
        "confidence_95": list(wilson(good, len(results))),
        "subgoals": {
            name: sum(result.verdict.subgoals.get(name, False) for result in results) for name in names
        },
        "falls": sum(result.verdict.reason == FELL for result in results),
        "mean_success_s": _mean([result.verdict.time_s for result in results if result.verdict.success]),
        "mean_time_s": _mean([result.verdict.time_s for result in results]),
        "safety": dict(sum((Counter(note.safety) for note in notes), Counter())),
        "limited_ticks": sum(limited) if limited else None,
        "refused": sum(note.refused for note in notes),
        "command_age": _joint_ages(notes),
        "times_real_time": virtual_s / wall_s if wall_s else 0.0,
        "episodes": [_row(result) for result in results],
    }


def write_account(file: Path, summary: dict[str, Any]) -> None:
    """Write it; a kill in between leaves what was there before."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(file.name + ".part")
    part.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
    part.replace(file)


def earlier_results(file: Path, task: Task, asked: Asked) -> list[TrialResult]:
    """Trials that a stopped evaluation left in ``file``; none when there is no file.

    Raises ValueError when it is not an account, or one of other trials."""
    if not file.exists():
        return []
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        same = (found["task"], found["options"]) == (task.name, json.loads(json.dumps(asked.options)))
        results = [_result(row) for row in found["episodes"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: is not an account of trials ({error!r}); give another --json, or leave --resume out"
        ) from None
    if not same:
        raise ValueError(
            f"{file}: holds trials of another task, policy or options; give another --json, or leave --resume out"
        )
    return results


def wilson(good: float, trials: int, z: float = 1.96) -> tuple[float, float]:
    """Confidence interval of a success rate (Wilson's score interval, 95 % by default)."""
    if trials == 0:
        return 0.0, 1.0
    rate, extra = good / trials, z * z / trials
    centre = (rate + extra / 2) / (1 + extra)
    half = z / (1 + extra) * math.sqrt(rate * (1 - rate) / trials + extra / (4 * trials))
    return max(0.0, centre - half), min(1.0, centre + half)


def _row(result: TrialResult) -> dict[str, Any]:
    return {
        **asdict(result.verdict), "outcome": result.verdict.outcome.value, "seed": result.seed,
        "sentence": result.sentence, "bag": str(result.bag or ""), "messages": result.messages,
        "virtual_s": result.virtual_s, "wall_s": result.wall_s,
        "notes": None if result.notes is None else asdict(result.notes),
    }  # fmt: skip


def _result(row: dict[str, Any]) -> TrialResult:
    verdict = Verdict(Outcome(row["outcome"]), row["reason"], row["time_s"], row["subgoals"])
    notes = row["notes"]
    if notes is not None:
        ages = {name: Ages(**values) for name, values in notes["command_age"].items()}
        notes = TrialNotes(**{**notes, "command_age": ages})
    bag = Path(row["bag"]) if row["bag"] else None
    return TrialResult(
        row["seed"], row["sentence"], verdict, bag, row["virtual_s"], row["wall_s"], row["messages"], notes
    )


def _joint_ages(notes: list[TrialNotes]) -> dict[str, dict[str, float]]:
    found: dict[str, list[Ages]] = {}
    for note in notes:
        for name, values in note.command_age.items():
            found.setdefault(name, []).append(values)
    return {
        name: {
            "p50_ms": statistics.median(a.p50_ms for a in values),
            "p99_ms": max(a.p99_ms for a in values),
            "max_ms": max(a.max_ms for a in values),
        }
        for name, values in found.items()
    }


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
