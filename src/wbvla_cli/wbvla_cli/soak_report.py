"""What a long run came to: figures, limits, and a page for people. Pure, apart from writing the page's text."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from wbvla_sim.script import Change
from wbvla_sim.tasks.account import FELL
from wbvla_sim.tasks.base import Verdict

from wbvla_cli.soak_faults import Answer, Injected
from wbvla_cli.soak_plan import Kind, TrialPlan

FLAT = 0.05
"""Growth of memory that counts as none."""
LEAST_MB = 1.0
"""Growth below this is not counted against a process, however small it is."""
SETTLING_S, SETTLING_SHARE = 300.0, 0.25
"""After which a process has what it needs: ten changes of the scene, or a quarter of a shorter run."""
END_SHARE = 0.15
LEAST_MINUTES = 10.0
"""Of a run that can tell a leak from caches that fill."""
BEFORE_FALL_S = 5.0
LMO_HZ, VLA_HZ, MISSED_SHARE = (49.5, 50.5), (9.8, 10.2), 0.001
_DRIVER_ENDS = "the driver went to"


@dataclass(frozen=True)
class Growth:
    """Memory of a process [MB] after settling and at the end of the run, medians; ``share`` 0.05: grew by 5 %."""

    settled_mb: float
    end_mb: float
    share: float
    per_hour_mb: float

    @property
    def flat(self) -> bool:
        """Within :data:`FLAT`, or less than :data:`LEAST_MB`."""
        return self.share <= FLAT or self.end_mb - self.settled_mb < LEAST_MB


@dataclass(frozen=True)
class SoakTrial:
    """One trial: plan, verdict, what was injected and answered, in ns of the wall clock; ``rates_hz`` of its bag by
    topic, ``dropped`` messages, ``changes`` of the driver. ``error``: why it could not be run to its end."""

    plan: TrialPlan
    verdict: Verdict
    begin_ns: int
    end_ns: int
    injected: tuple[Injected, ...] = ()
    answers: tuple[Answer, ...] = ()
    changes: tuple[Change, ...] = ()
    rates_hz: dict[str, float] | None = None
    dropped: int = 0
    bag: str = ""
    error: str = ""

    @property
    def fell(self) -> bool:
        """The judge saw it fall, or the driver gave up balancing, or it never stood up."""
        reason = self.verdict.reason
        return reason == FELL or reason.startswith((_DRIVER_ENDS, "did not stand up"))


def growth(history: list[tuple[float, dict[str, int]]], name: str) -> Growth | None:
    """How the memory of ``name`` developed; None when there are fewer than four samples after settling."""
    rows = [(at_s, memory[name] / 1e6) for at_s, memory in history if name in memory]
    if not rows:
        return None
    settling_s = min(SETTLING_S, SETTLING_SHARE * rows[-1][0])
    rows = [row for row in rows if row[0] >= settling_s]
    if len(rows) < 4:
        return None
    count = max(2, round(END_SHARE * len(rows)))
    settled, end = (median(value for _, value in part) for part in (rows[:count], rows[-count:]))
    slope = np.polyfit([at_s for at_s, _ in rows], [value for _, value in rows], 1)[0]
    return Growth(settled, end, end / settled - 1.0, float(slope) * 3600.0)


def explain_fall(trial: SoakTrial) -> str:
    """What came before the end of a trial in which the robot fell; "" when nothing is known that could explain it."""
    parts = []
    for injected in trial.injected:
        before_s = (trial.end_ns - injected.end_ns) / 1e9
        if before_s <= BEFORE_FALL_S:
            size = f" of {injected.fault.impulse_n_s:.0f} N s" if injected.fault.kind is Kind.PUSH else ""
            parts.append(f"{injected.fault.kind.value}{size} {max(0.0, before_s):.1f} s before")
    for change in trial.changes:
        before_s = (trial.end_ns - change.time_ns) / 1e9
        if 0.0 <= before_s <= BEFORE_FALL_S and change.reason.name not in ("NONE", "OPERATOR", "LIMITED"):
            parts.append(
                f"driver {change.state.name} because of {change.reason.name} {before_s:.1f} s before"
            )
    return "; ".join(parts)


def figures(
    trials: list[SoakTrial],
    history: list[tuple[float, dict[str, int]]],
    lmo: dict[str, float],
    vla_topic: str,
) -> dict[str, Any]:
    """The account for JSON. ``lmo``: rate_hz and missed_fraction by the node's own account; ``vla_topic``: whose rate
    shows the VLA's."""
    names = sorted({name for _, memory in history for name in memory} - {"launch"})
    memory = {name: g for name in names if (g := growth(history, name)) is not None}
    tasks = sorted({trial.plan.task for trial in trials})
    return {
        "minutes": round((trials[-1].end_ns - trials[0].begin_ns) / 60e9, 2) if trials else 0.0,
        "trials": len(trials),
        "tasks": {
            name: {
                "trials": sum(t.plan.task == name for t in trials),
                "succeeded": sum(t.plan.task == name and t.verdict.success for t in trials),
                "failures": dict(
                    Counter(t.verdict.reason for t in trials if t.plan.task == name and not t.verdict.success)
                ),
            }
            for name in tasks
        },
        "falls": [
            {"trial": t.plan.number, "task": t.plan.task, "seed": t.plan.seed, "time_s": round(t.verdict.time_s, 1),
             "reason": t.verdict.reason, "explanation": explain_fall(t)}
            for t in trials if t.fell
        ],
        "errors": [{"trial": t.plan.number, "error": t.error} for t in trials if t.error],
        "memory": {
            name: {"settled_mb": round(g.settled_mb, 1), "end_mb": round(g.end_mb, 1),
                   "growth": round(g.share, 4), "per_hour_mb": round(g.per_hour_mb, 2), "flat": g.flat}
            for name, g in memory.items()
        },
        "dropped": sum(t.dropped for t in trials),
        "lmo": {**lmo, **_rates(trials, "leg_waist_command")},
        "vla": _rates(trials, vla_topic),
        "faults": {kind.value: _answers(trials, kind) for kind in Kind},
    }  # fmt: skip


def _rates(trials: list[SoakTrial], topic: str) -> dict[str, float]:
    rates = [t.rates_hz[topic] for t in trials if t.rates_hz and t.rates_hz.get(topic)]
    return {"bag_hz_median": median(rates), "bag_hz_least": min(rates)} if rates else {}


def _answers(trials: list[SoakTrial], kind: Kind) -> dict[str, Any]:
    pairs = [
        pair for t in trials for pair in zip(t.injected, t.answers, strict=True) if pair[0].fault.kind is kind
    ]
    detected = [a.detected_ms for _, a in pairs if a.detected_ms is not None]
    back = [a.back_ms for _, a in pairs if a.back_ms is not None]
    return {
        "count": len(pairs),
        "answered": len(detected),
        "reactions": dict(Counter(f"{a.reason} -> {a.state}" for _, a in pairs if a.reason)),
        "detected_ms": _spread(detected),
        "followed_again_ms": _spread(back),
    }


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": round(median(values), 1), "max": round(max(values), 1)} if values else {}


def limits(result: dict[str, Any]) -> list[tuple[str, bool, str]]:
    """(what is asked for, whether it holds, what was measured)."""
    unexplained = [fall for fall in result["falls"] if not fall["explanation"]]
    grown = [name for name, row in result["memory"].items() if not row["flat"]]
    told = result["minutes"] >= LEAST_MINUTES
    lmo, vla = result["lmo"], result["vla"]
    lmo_hz, vla_hz = lmo.get("bag_hz_median", 0.0), vla.get("bag_hz_median", vla.get("rate_hz", 0.0))
    missed = lmo.get("missed_fraction", 1.0)
    return [
        (
            "no fall without explanation",
            not unexplained,
            f"{len(result['falls'])} falls, {len(unexplained)} unexplained",
        ),
        (f"memory flat within {FLAT:.0%}", not grown or not told, _grown(grown, told)),
        ("no message lost by the recorder", result["dropped"] == 0, f"{result['dropped']} lost"),
        ("LMO 49.5..50.5 Hz", LMO_HZ[0] <= lmo_hz <= LMO_HZ[1], f"{lmo_hz:.2f} Hz"),
        ("LMO missed <= 0.001", missed <= MISSED_SHARE, f"{missed:.5f}"),
        ("VLA 9.8..10.2 Hz", VLA_HZ[0] <= vla_hz <= VLA_HZ[1], f"{vla_hz:.2f} Hz"),
        ("every trial was run", not result["errors"], f"{len(result['errors'])} could not be run"),
    ]


def _grown(names: list[str], told: bool) -> str:
    if not told:
        return f"not judged in less than {LEAST_MINUTES:g} minutes"
    return f"{', '.join(names)} grew" if names else "all flat"


def markdown(result: dict[str, Any]) -> str:
    """The account as a page."""
    lines = [
        f"# Long run of {result['minutes']:.1f} minutes",
        "",
        f"{result['by']}. Seed {result['seed']}, {result['trials']} trials. `{result['command']}`",
        "",
        "| asked for | | measured |",
        "|---|---|---|",
        *(f"| {what} | {'ok' if met else '**over**'} | {value} |" for what, met, value in limits(result)),
        "",
        "| task | trials | succeeded | failures |",
        "|---|---|---|---|",
    ]
    for name, row in result["tasks"].items():
        why = "; ".join(f"{reason} ({count})" for reason, count in row["failures"].items()) or "none"
        lines.append(f"| {name} | {row['trials']} | {row['succeeded']} | {why} |")
    lines += [
        "",
        "| fault | injected | answered | driver | noticed, median / max | followed again, median / max |",
    ]
    lines.append("|---|---|---|---|---|---|")
    for name, row in result["faults"].items():
        reactions = "; ".join(f"{what} ({count})" for what, count in row["reactions"].items()) or "-"
        lines.append(
            f"| {name} | {row['count']} | {row['answered']} | {reactions} | {_ms(row['detected_ms'])} | "
            f"{_ms(row['followed_again_ms'])} |"
        )
    lines += ["", "| process | settled [MB] | end [MB] | growth | per hour [MB] |", "|---|---|---|---|---|"]
    lines += [
        f"| {name} | {row['settled_mb']} | {row['end_mb']} | {row['growth']:+.1%} | {row['per_hour_mb']:+.1f} |"
        for name, row in result["memory"].items()
    ]
    if result["falls"]:
        lines += ["", "| fall in trial | task, seed | after | what came before |", "|---|---|---|---|"]
        lines += [
            f"| {fall['trial']} | {fall['task']}, {fall['seed']} | {fall['time_s']} s, {fall['reason']} | "
            f"{fall['explanation'] or '**unexplained**'} |"
            for fall in result["falls"]
        ]
    lines += ["", *(f"- trial {row['trial']} could not be run: {row['error']}" for row in result["errors"])]
    return "\n".join(lines).rstrip() + "\n"


def _ms(spread: dict[str, float]) -> str:
    return f"{spread['median']:.0f} / {spread['max']:.0f} ms" if spread else "-"
