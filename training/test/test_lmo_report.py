"""Sweeps, table and plots of evaluations: what was measured arrives under its name, and other files are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
from wbvla_training.lmo import measures, report, sweeps
from wbvla_training.lmo.cli import main
from wbvla_training.lmo.scenarios import Scenario, Trace


def _trace(n: int, fallen: int, power_w: float = 100.0) -> Trace:
    """50 steps of ``n`` robots of three joints; the first ``fallen`` fell and spent ten times the power."""
    fell = np.arange(n) < fallen
    flat = np.ones((50, n))
    return Trace(
        position=np.zeros((50, n, 2)), yaw=0.0 * flat, height=0.6 * flat, com=np.zeros((50, n, 2)),
        torque_share=0.5 * flat, torque_rms=12.0 * flat, power_w=np.where(fell, 10.0 * power_w, power_w) * flat,
        joint_rms=np.tile([1.0, 2.0, 3.0], (n, 1)), joint_share=np.tile([0.1, 0.2, 0.3], (n, 1)), fell=fell,
    )  # fmt: skip


def _results(falls: float, swept: bool = True) -> dict:
    axis = {
        "position_error_m": 0.1,
        "yaw_error_rad": 0.04,
        "reached_share": {"positive": 1.0, "negative": None},
    }
    axis |= {"falls_per_100": 3.0}
    sway = {"stand_m": 0.05, "squat_m": None, "stand_falls_per_100": 0.0, "squat_falls_per_100": 100.0}
    results = {"forward": axis, "lateral": axis, "turn": axis, "sway": sway, "height_error_m": 0.02}
    results |= {"falls_per_100": falls, "power_w": 150.0}
    results |= {name: {"falls_per_100": falls} for name in ("payload", "hand_force", "holdout")}
    torque = {"largest_share_of_limit": 0.9, "rms_nm": 15.0}
    joints = {"left_knee_joint": torque, "right_knee_joint": torque}
    results["torque"] = torque | {"joints": joints}
    if swept:
        results["sweeps"] = sweeps.sweep(lambda scenario: [_trace(4, 1)])
    return results


def test_every_point_of_the_sweeps_is_simulated_once_with_only_its_quantity_changed():
    ran: list[Scenario] = []

    def run(scenario: Scenario) -> list[Trace]:
        ran.append(scenario)
        return [_trace(4, 1)]

    found = sweeps.sweep(run, robots=4)
    assert set(found) >= {"friction", "torso_payload_kg", "hand_payload_kg", "hand_force_n"}
    assert len(ran) == sum(len(points) for points in found.values())
    hand_force = {f"{s.randomisation.hand_force_n[0]:g}" for s in ran if s.name.startswith("hand force")}
    assert hand_force == set(found["hand_force_n"])
    point = found["friction"]["0.3"]
    assert point["falls_per_100"] == 25.0 and point["power_w"] == pytest.approx(100.0)
    assert point["torque"] == {"largest_share_of_limit": 0.5, "rms_nm": 12.0}


def test_effort_is_of_the_robots_that_stayed_up_and_unknown_where_all_fell():
    assert measures.effort([_trace(4, 3)])["power_w"] == pytest.approx(100.0)
    assert measures.effort([_trace(4, 4)])["power_w"] is None
    joints = measures.joint_effort([_trace(4, 1), _trace(2, 0)], ("a", "b", "c"))
    assert joints["b"] == {"rms_nm": pytest.approx(2.0), "largest_share_of_limit": pytest.approx(0.2)}
    assert measures.joint_effort([_trace(2, 2)], ("a", "b", "c"))["a"]["rms_nm"] is None


def test_the_table_has_a_column_for_each_evaluation_and_dashes_where_nothing_was_measured():
    text = report.table({"x2": _results(0.0), "without stage II": _results(97.5, swept=False)})
    lines = text.splitlines()
    assert lines[0] == "| test | x2 | without stage II | paper, Table 3 / target |"
    assert len({line.count("|") for line in lines}) == 1
    assert "| falls per 100, hand force | 0.0 | 97.5 | 5 |" in lines
    friction = next(line for line in lines if line.startswith("| falls per 100 by friction"))
    assert "0.3: 25" in friction and "| - |" in friction
    assert any(line.startswith("| falls per 100 by hand force, N |") for line in lines)


def test_report_compares_files_and_writes_small_plots(tmp_path, capsys):
    for name, falls in (("x2", 0.0), ("without_stage_II", 50.0)):
        (tmp_path / f"{name}.json").write_text(json.dumps(_results(falls)))
    files = [str(tmp_path / f"{name}.json") for name in ("x2", "without_stage_II")]
    assert main(["report", *files, "--plots", str(tmp_path / "plots")]) == 0
    assert "| without stage II |" in capsys.readouterr().out
    plots = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert plots == ["lmo_falls.png", "lmo_power.png", "lmo_torque.png"]
    assert all(path.stat().st_size < 200_000 for path in (tmp_path / "plots").iterdir())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read"),
        ("[1", "cannot be read"),
        ("[]", "lacks forward"),
        ('{"sway": {}}', "lacks forward"),
    ],
)
def test_a_file_that_is_no_evaluation_is_refused_by_name(content, words, tmp_path, capsys):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    assert main(["report", str(path)]) == 2
    error = capsys.readouterr().err
    assert "other.json" in error and words in error and error.count("\n") == 1


def test_quick_and_sweeps_are_not_both_possible(capsys):
    assert main(["eval", "--policy", "x", "--quick", "--sweeps"]) == 2
    assert "--sweeps" in capsys.readouterr().err
