"""report.json of a run: its keys are a contract, and its limits catch what is over."""

from pathlib import Path

import numpy as np
from rich.console import Console
from wbvla_cli.bag_metrics import BagMetrics, Series

from wbvla_cli import run_figures
from wbvla_msgs.msg import Status


class Usage:
    def cores(self):
        return {"plant": 0.25, "driver_node": 0.2}

    def memory_mb(self):
        return {"plant": 40.0, "driver_node": 60.0}


def account(fell=False, dropped=0, vla_rate_hz=0.0):
    lmo = Status(rate_hz=50.0, ticks=999, missed=1, lateness_p50_ms=0.1, lateness_p99_ms=0.3, lateness_max_ms=2.0)
    metrics = BagMetrics("bag", 10, {}, {"vla/loco_command": 9.9}, np.array([6.0, 8.0]), [], Series())
    run = run_figures.Run({"lmo_node": lmo}, fell, "x2_ultra", vla_rate_hz)
    return run_figures.assemble(run, metrics, {"rtf": 1.0, "set_points_hz": 500.0}, Usage(), [], dropped)


def test_the_keys_are_those_that_scripts_rely_on():
    result = account()
    assert list(result) == [
        "robot", "sim", "driver", "lmo", "vla", "camera", "state_to_command_ms", "bag", "cpu", "memory_mb", "faults",
    ]  # fmt: skip
    assert result["lmo"]["missed_fraction"] == 0.001 and result["lmo"]["lateness_ms"]["max"] == 2.0
    assert result["cpu"]["sum"] == 0.45 and result["memory_mb"]["sum"] == 100.0
    assert result["vla"]["rate_hz"] == 9.9
    assert account(vla_rate_hz=10.0)["vla"]["rate_hz"] == 10.0


def test_what_is_over_is_said(capsys):
    console = Console(width=100, no_color=True)
    assert run_figures.summarise(console, account(), Path("out"))
    assert "over" not in capsys.readouterr().out
    assert not run_figures.summarise(console, account(fell=True, dropped=3), Path("out"))
    shown = capsys.readouterr().out
    assert "over stood throughout: fell" in shown and "3 lost" in shown
