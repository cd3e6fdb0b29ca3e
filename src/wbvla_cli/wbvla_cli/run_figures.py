"""The figures of a run on the graph: what report.json holds, and the stack's own limits beside them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from wbvla_sim.script import Reaction

from wbvla_cli import report
from wbvla_cli.bag_metrics import BagMetrics
from wbvla_cli.processes import ProcessSampler
from wbvla_msgs.msg import Status

TOPICS = {"camera": "head_camera/image_raw/compressed", "vla": "vla/loco_command"}


@dataclass(frozen=True)
class Run:
    """What was seen while it ran: last statuses by node, whether the robot fell, its name, and the rate of the VLA by its
    own account where it commands nothing (0: by what it published)."""

    statuses: dict[str, Status]
    fell: bool
    robot: str
    vla_rate_hz: float = 0.0


def node_figures(status: Status) -> dict:
    """Rate, lateness and share of missed ticks by a node's own account."""
    total = max(1, status.ticks + status.missed)
    return {
        "rate_hz": round(status.rate_hz, 3),
        "lateness_ms": {
            "p50": round(status.lateness_p50_ms, 3),
            "p99": round(status.lateness_p99_ms, 3),
            "max": round(status.lateness_max_ms, 3),
        },
        "missed_fraction": round(status.missed / total, 6),
    }


def fault_row(reaction: Reaction, begin_ns: int) -> dict:
    """An injected fault and what the driver did, ``begin_ns`` being second 0."""
    return {
        "reason": reaction.reason.name,
        "time_s": round((reaction.injected_ns - begin_ns) / 1e9, 2),
        "detected_ms": round(reaction.detected_ms, 1),
        "end_state": reaction.end_state.name,
        "detail": reaction.noticed.detail,
    }


def assemble(
    run: Run,
    metrics: BagMetrics,
    plant: dict,
    usage: ProcessSampler,
    faults: list[dict],
    dropped: int,
) -> dict:
    """The content of report.json (keys are a contract). ``faults`` by :func:`fault_row`, ``dropped`` messages that the
    recorder lost."""
    return {
        "robot": {"fell": run.fell, "spec": run.robot},
        "sim": {"rtf": round(plant["rtf"], 4)},
        "driver": {"rate_hz": round(plant["set_points_hz"], 1)},
        "lmo": node_figures(run.statuses["lmo_node"]),
        "vla": {"rate_hz": run.vla_rate_hz or metrics.rates_hz.get(TOPICS["vla"], 0.0)},
        "camera": {"rate_hz": metrics.rates_hz.get(TOPICS["camera"], 0.0)},
        "state_to_command_ms": report.percentiles(metrics.state_to_command_ms),
        "bag": {"path": metrics.path, "messages": metrics.messages, "dropped": dropped},
        "cpu": {
            **(cores := {name: round(value, 3) for name, value in usage.cores().items()}),
            "sum": round(sum(cores.values()), 3),
        },
        "memory_mb": {
            **(memory := {name: round(value, 1) for name, value in usage.memory_mb().items()}),
            "sum": round(sum(memory.values()), 1),
        },
        "faults": faults,
    }


def summarise(console: Console, result: dict, out: Path) -> bool:
    """Print what matters; True when the run met the stack's own limits."""
    limits = [
        ("stood throughout", not result["robot"]["fell"], "fell" if result["robot"]["fell"] else "yes"),
        ("real-time factor >= 0.99", result["sim"]["rtf"] >= 0.99, f"{result['sim']['rtf']:.3f}"),
        (
            "actuator set-points >= 490 Hz",
            result["driver"]["rate_hz"] >= 490,
            f"{result['driver']['rate_hz']:.0f} Hz",
        ),
        ("LMO 49.5..50.5 Hz", 49.5 <= result["lmo"]["rate_hz"] <= 50.5, f"{result['lmo']['rate_hz']:.2f} Hz"),
        (
            "LMO missed <= 0.001",
            result["lmo"]["missed_fraction"] <= 0.001,
            f"{result['lmo']['missed_fraction']:.4f}",
        ),
        ("VLA 9.8..10.2 Hz", 9.8 <= result["vla"]["rate_hz"] <= 10.2, f"{result['vla']['rate_hz']:.1f} Hz"),
        (
            "no message lost by the recorder",
            result["bag"]["dropped"] == 0,
            f"{result['bag']['dropped']} lost",
        ),
        ("CPU <= 1.6 cores", result["cpu"]["sum"] <= 1.6, f"{result['cpu']['sum']:.2f}"),
        ("memory < 1000 MB", result["memory_mb"]["sum"] < 1000, f"{result['memory_mb']['sum']:.0f} MB"),
    ]
    for text, met, value in limits:
        console.print(f"  {'[green]ok  [/]' if met else '[red]over[/]'} {text}: {value}", highlight=False)
    console.print(f"\nLook at {out / 'report.html'}", highlight=False)
    return not result["robot"]["fell"]
