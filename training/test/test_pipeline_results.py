"""The table of results: figures from accounts, nothing invented, nothing that is not what its name says."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
from wbvla_training.pipeline import results
from wbvla_training.pipeline.results import table
from wbvla_training.pipeline.rows import ResultsError, read_accounts
from wbvla_training.pipeline.summary import write_summary

GOALS = {"box_loading": ("squat_and_grasp", "rise_and_load"), "cart_pushing": ("grab_handle", "push_ahead")}
OPTIONS = {
    "policy": "bundles/box_cart",
    "policy_sha256": "aa",
    "blind": False,
    "swap_sentence": False,
    "graph": False,
}


def leave(folder: Path, row: str, task: str, first: int, second: int, trials: int = 50, **options) -> Path:
    """An account as ``wbvla task eval`` writes it."""
    goals = dict(zip(GOALS[task], (first, second), strict=True))
    episodes = [
        {"seed": 1000 + i, "outcome": "success" if i < second else "failed",
         "reason": "done" if i < second else "the box fell", "time_s": 30.0}
        for i in range(trials)
    ]  # fmt: skip
    told = {
        "task": task, "command": f"wbvla task eval --task {task} --json {row}", "options": {**OPTIONS, **options},
        "trials": trials, "complete": True, "successes": second, "subgoals": goals, "falls": 1, "mean_success_s": 31.0,
        "safety": {"TILT": 1}, "limited_ticks": 7, "refused": 0,
        "command_age": {"loco": {"p50_ms": 61.0, "p99_ms": 140.0, "max_ms": 150.0}}, "episodes": episodes,
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{row}.{task}.json"
    file.write_text(json.dumps(told))
    return file


@pytest.fixture
def runs(tmp_path) -> Path:
    folder = tmp_path / "eval"
    leave(folder, "full", "box_loading", 40, 30)
    leave(folder, "full", "cart_pushing", 45, 35)
    leave(folder, "operator", "box_loading", 50, 49, policy="operator", policy_sha256="")
    leave(folder, "no_lam", "box_loading", 10, 5, policy_sha256="bb")
    leave(folder, "no_lam", "cart_pushing", 10, 5, policy_sha256="bb")
    return folder


def test_keys_of_the_table(runs):
    found = table(read_accounts(runs))
    assert found["average"] == pytest.approx((0.8 + 0.6 + 0.9 + 0.7) / 4)
    assert found["box_loading"] == {"squat_and_grasp": 0.8, "rise_and_load": 0.6}
    assert found["operator"]["box_loading"] == 0.98 and found["operator"]["average"] is None
    assert found["no_lam"]["average"] == pytest.approx(0.15)
    entry = found["rows"]["full"]["box_loading"]["subgoals"]["rise_and_load"]
    assert (entry["n"], entry["successes"]) == (50, 30)
    assert entry["confidence_95"] == [pytest.approx(0.462, abs=0.001), pytest.approx(0.724, abs=0.001)]
    low, high = found["average_confidence_95"]
    assert low < 0.75 < high and high - low == pytest.approx(0.168, abs=0.01), (
        "of 100 trials, not of 200 subgoals"
    )


def test_what_was_not_evaluated_is_missing_and_has_no_figure(runs):
    found = table(read_accounts(runs))
    assert "operator.cart_pushing" in found["missing"] and "blind.box_loading" in found["missing"]
    assert "cart_pushing" not in found["operator"] and "blind" not in found
    (runs / "full.cart_pushing.json").unlink()
    found = table(read_accounts(runs))
    assert found["average"] is None and "full.cart_pushing" in found["missing"]
    assert found["box_loading"]["rise_and_load"] == 0.6


def test_a_stopped_evaluation_is_named(runs):
    file = runs / "full.box_loading.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "complete": False}))
    assert "full.box_loading (stopped after 50 trials)" in table(read_accounts(runs))["missing"]


@pytest.mark.parametrize(
    ("row", "options", "complaint"),
    [
        ("full", {"policy": "operator"}, "with the scripted operator"),
        ("operator", {}, "without the scripted operator"),
        ("blind", {}, "without black pictures"),
        ("full", {"swap_sentence": True}, "with the swapped sentence"),
        ("graph", {}, "without the running graph"),
        ("full", {"sentence": "sit"}, "a sentence of its own"),
        ("no_lam", {}, "is of the same bundle"),
        ("blind", {"blind": True, "policy_sha256": "cc"}, "is of another bundle"),
    ],
)
def test_a_row_must_be_what_was_run(tmp_path, row, options, complaint):
    leave(tmp_path, "full", "cart_pushing", 1, 1)
    leave(tmp_path, "full", "box_loading", 1, 1)
    leave(tmp_path, row, "box_loading", 1, 1, **options)
    with pytest.raises(ResultsError, match=complaint):
        read_accounts(tmp_path)


def test_seeds_of_training_other_tasks_and_broken_files_are_refused(tmp_path):
    file = leave(tmp_path, "full", "box_loading", 1, 1, trials=2)
    told = json.loads(file.read_text())
    for change, complaint in (
        (
            {"episodes": [{**e, "seed": e["seed"] - 500} for e in told["episodes"]]},
            "seed 500 is for training",
        ),
        ({"episodes": told["episodes"][:1] * 2}, "counts 2 trials of 1 seeds"),
        ({"task": "cart_pushing"}, "its name says box_loading"),
        ({"episodes": 3}, "is not an account of trials"),
    ):
        file.write_text(json.dumps({**told, **change}))
        with pytest.raises(ResultsError, match=complaint):
            read_accounts(tmp_path)
    file.rename(tmp_path / "full_box.json")
    with pytest.raises(ResultsError, match=r"expected the name ROW\.TASK\.json"):
        read_accounts(tmp_path)


def test_command_writes_both_files_with_pictures_and_notes(runs, tmp_path, capsys):
    films = tmp_path / "films" / "box_loading"
    films.mkdir(parents=True)
    for seed in (1000, 1001):
        film(films / f"box_loading_{seed:05d}.mp4")
    trials = [
        {"seed": 1000, "outcome": "success", "reason": "loaded"},
        {"seed": 1001, "outcome": "failed", "reason": "fell"},
    ]
    (films / "trials.json").write_text(json.dumps({"episodes": trials}))
    notes, out = tmp_path / "notes.md", tmp_path / "out"
    notes.write_text("Demonstrations: 200 a task.\n")
    arguments = ["--runs", str(runs), "--out", str(out), "--films", str(films.parent), "--notes", str(notes)]
    assert results.main(arguments) == 0
    assert "5 accounts, average 0.75" in capsys.readouterr().out
    page = (out / "results.md").read_text()
    for part in ("**Average of the full method over the four subgoals: 0.75**", "30/50 = 0.60 (0.46..0.72)", "61 / 140 ms",
                 "wbvla task eval --task box_loading --json full    # full, seeds 1000..1049", "`blind.box_loading`",
                 "20 x the box fell", "Demonstrations: 200 a task.", "![box_loading](images/results_box_loading.jpg)",
                 "TILT 1"):  # fmt: skip
        assert part in page, part
    assert json.loads((out / "results.json").read_text())["average"] == pytest.approx(0.75)
    assert (out / "images" / "results_box_loading.jpg").stat().st_size > 1000


def test_wrong_folder_is_told(tmp_path, capsys):
    assert results.main(["--runs", str(tmp_path / "no"), "--out", str(tmp_path)]) == 1
    assert "not a folder" in capsys.readouterr().err


def test_nothing_at_all_gives_a_table_that_says_so(tmp_path):
    (tmp_path / "eval").mkdir()
    assert results.main(["--runs", str(tmp_path / "eval"), "--out", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "results.md").read_text()
    assert "There is no average yet" in page and "`full.box_loading`" in page


def test_summary_shows_what_is_there(runs, tmp_path):
    from wbvla_training.pipeline.cache import Cache
    from wbvla_training.pipeline.chain import Wanted, chain
    from wbvla_training.pipeline.scale import TINY

    out = tmp_path / "out"
    results.main(["--runs", str(runs), "--out", str(out / "results")])
    log = out / "vla" / "pretrain" / "log.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text("".join(json.dumps({"step": i, "total": 3.0 / (i + 1)}) + "\n" for i in range(9)))
    (out / "lam").mkdir()
    (out / "lam" / "probe.json").write_text(
        json.dumps({"model": "loco", "rrg": 0.36, "variants": {"mani": {"rrg": 0.3}}})
    )
    page = write_summary(out, chain(Wanted(out, TINY, ("cart_pushing",))), Cache(out)).read_text()
    for part in ("vla/pretrain", "data:image/png;base64", "0.360", "<td>no_lam</td>", "35 of 50", "not yet"):
        assert part in page, part


def film(file: Path) -> None:
    with av.open(str(file), "w") as container:
        stream = container.add_stream("libx264", rate=15)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i in range(8):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 30 * i, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
