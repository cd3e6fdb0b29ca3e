"""The chain itself: its lines are lines that the commands understand, its parts fit, and the plan's sums are right."""

from __future__ import annotations

from pathlib import Path

import pytest
import tyro
from wbvla_sim.tasks import cli as task_cli
from wbvla_training.data import cli as data_cli
from wbvla_training.lam import cli as lam_cli
from wbvla_training.pipeline import cli
from wbvla_training.pipeline.chain import Wanted, chain
from wbvla_training.pipeline.curves import read_lines, smoothed
from wbvla_training.pipeline.paper_sizes import vla_sizes
from wbvla_training.pipeline.plan import Cluster, paper_plan, plan_text
from wbvla_training.pipeline.results import Results
from wbvla_training.pipeline.scale import ROWS, SMOKE, TINY
from wbvla_training.pipeline.steps import dependants, needs
from wbvla_training.vla import cli as vla_cli

TASKS = ("reach_table", "box_loading", "cart_pushing")


def whole(tmp_path: Path, scale=TINY, tasks=TASKS):
    return chain(Wanted(tmp_path / "out", scale, tasks, ROWS, shared=True))


def understand(argv: tuple[str, ...]) -> object:
    """Parse a line as its command would. Raises SystemExit when it would be refused."""
    name, rest = argv[0], list(argv[1:])
    if name == "task":
        return tyro.extras.subcommand_cli_from_dict(task_cli.COMMANDS, args=rest)
    if name == "results":
        return tyro.cli(Results, args=rest)
    if name == "data":
        commands = {"convert": data_cli.Convert}
        return tyro.extras.subcommand_cli_from_dict(commands, args=rest)
    return tyro.cli({"lam": lam_cli, "vla": vla_cli}[name].Command, args=rest)  # type: ignore[call-overload]


@pytest.mark.parametrize("scale", [TINY, SMOKE], ids=lambda scale: scale.name)
def test_every_line_is_understood_by_its_command(tmp_path, scale):
    for step in whole(tmp_path, scale):
        understand(step.argv)
        if step.resume is not None:
            understand((*step.argv, *step.resume.argv))


def test_every_step_writes_below_the_folder_and_has_its_inputs_made_before(tmp_path):
    steps = whole(tmp_path)
    made: set[Path] = set()
    for step in steps:
        for path in (*step.outputs, *step.work):
            assert path.is_relative_to(tmp_path / "out"), step.name
        for path in step.inputs:
            inside = path.is_relative_to(tmp_path / "out")
            assert not inside or any(path == m or m in path.parents for m in made), (step.name, path)
        made.update(step.outputs)
    assert len({step.name for step in steps}) == len(steps)


def test_a_new_video_changes_everything_but_the_demonstrations(tmp_path):
    steps = whole(tmp_path)
    changed = set(dependants(steps, "video_loco"))
    assert {"lam_mani", "pretrain", "finetune_x2", "full_box_loading", "results"} <= changed
    assert not changed & {
        "collect_box_loading",
        "convert_x2",
        "operator_box_loading",
        "pretrain_no_lam",
        "pictures",
    }


def test_the_row_without_lam_differs_by_the_latent_actions_only(tmp_path):
    steps = {step.name: step for step in whole(tmp_path)}

    def words(name: str) -> set[str]:
        argv = steps[name].argv
        given = {argv[i]: argv[i + 1] for i in range(len(argv) - 1) if argv[i].startswith("--")}
        return {f"{k} {v}" for k, v in given.items() if k not in ("--out", "--start", "--cache")}

    lost = words("finetune_x2") - words("finetune_x2_no_lam")
    assert {word.split()[0] for word in lost} == {"--lam-loco", "--lam-mani"}
    lost = words("pretrain") - words("pretrain_no_lam")
    assert {word.split()[0] for word in lost} == {"--lam-loco", "--lam-mani", "--videos"}
    assert "pretrain_no_lam/model.safetensors" in " ".join(map(str, steps["finetune_x2_no_lam_first"].inputs))
    assert "x2_no_lam_first/model.safetensors" in " ".join(map(str, steps["finetune_x2_no_lam"].inputs))


def test_corrections_are_of_the_first_policy_and_both_methods_learn_from_them(tmp_path):
    steps = {step.name: step for step in whole(tmp_path)}
    assert steps["export_x2_first"].outputs[0] in steps["correct_cart_pushing"].inputs
    corrections = steps["convert_x2_corrections"].outputs[0]
    assert all(corrections in steps[name].inputs for name in ("finetune_x2", "finetune_x2_no_lam"))
    assert corrections not in steps["finetune_x2_few"].inputs


def test_one_task_is_a_shorter_chain(tmp_path):
    names = {step.name for step in chain(Wanted(tmp_path, TINY, ("cart_pushing",)))}
    assert "full_cart_pushing" in names and not any(
        "reach" in name or "box_loading" in name for name in names
    )


def test_every_tiny_step_is_estimated_below_75_minutes_and_the_chain_below_6_hours_on_two_cores(tmp_path):
    steps = chain(Wanted(tmp_path, TINY, TASKS))
    assert max(step.minutes for step in steps) < 75
    assert cli.makespan(steps, 2) < 6 * 60 < cli.makespan(steps, 1) + 60
    assert cli.makespan(steps, 1) == pytest.approx(sum(step.minutes for step in steps))


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--only", "no_step"], "there is no step 'no_step'"),
        (["--from", "pretrain", "--only", "pretrain"], "exclude each other"),
        (["--tasks", "juggle", "--list"], "task 'juggle' is not part"),
        (["--rows", "mystery", "--list"], "there is no row 'mystery'"),
        (["--jobs", "-1", "--list"], "--jobs -1"),
    ],
)
def test_wrong_calls_are_told_what_to_do(arguments, complaint, tmp_path, capsys):
    assert cli.main(["--out", str(tmp_path), *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_list_and_dry_run_start_nothing(tmp_path, capsys):
    out = tmp_path / "out"
    assert cli.main(["--out", str(out), "--list"]) == 0
    assert "31 steps" in capsys.readouterr().out
    assert cli.main(["--out", str(out), "--dry-run", "--from", "convert_x2"]) == 0
    told = capsys.readouterr().out
    assert "would run: anew" in told and "would run: was never run" in told
    assert {path.name for path in out.iterdir()} == {"stamps"}


def test_sizes_of_the_paper_are_those_of_its_published_parts():
    sizes = vla_sizes()
    assert sizes.language == pytest.approx(6.738e9, rel=2e-3), "Llama 2 7B"
    assert sizes.vision == pytest.approx(0.304e9 + 0.412e9, rel=0.01), "DINOv2-L and SigLIP-so400m"
    assert sizes.patches == 256 and sizes.total == pytest.approx(7.5e9, rel=0.02)


def test_the_plan_keeps_the_papers_batches_and_says_what_does_not_fit():
    lines = {line.name: line for line in paper_plan(Cluster())}
    tuning, pretraining = lines["VLA fine-tuning, LoRA"], lines["VLA pretraining"]
    assert tuning.at_once * tuning.accumulate * 8 == tuning.batch == 64 and tuning.memory_gb() < 80
    assert pretraining.at_once == 0 and pretraining.need.state_gb > 80
    assert pretraining.accumulate * 8 == 1024
    assert "does not fit" in plan_text(Cluster())
    roomy = {line.name: line for line in paper_plan(Cluster(memory_gb=288.0))}["VLA pretraining"]
    assert roomy.at_once * roomy.accumulate * 8 == 1024 and roomy.memory_gb() < 288
    twice = {line.name: line for line in paper_plan(Cluster(gpus=16, memory_gb=288.0))}["VLA pretraining"]
    assert twice.hours == pytest.approx(roomy.hours / 2)


def test_torchrun_lines_of_the_plan_are_understood():
    for line in paper_plan(Cluster()):
        words = line.command.split()
        assert words[:4] == ["torchrun", "--nproc-per-node", "8", "-m"]
        # What follows is the module's; without the dashes torchrun takes --start for one of its own.
        assert words[5] == "--"
        module = {"wbvla_training.lam.cli": "lam", "wbvla_training.vla.cli": "vla"}[words[4]]
        understand((module, *words[6:]))


def test_curves_take_the_last_word_on_a_step_and_leave_out_a_torn_line(tmp_path):
    file = tmp_path / "log.jsonl"
    file.write_text(
        '{"step": 1, "loss": 3.0}\n{"step": 2, "loss": 2.0}\n{"step": 2, "loss": 1.5, "lr": 1}\n{"step": 3, "lo'
    )
    assert read_lines(file) == {"loss": [(1, 3.0), (2, 1.5)]}
    assert read_lines(tmp_path / "none") == {}
    assert smoothed([(i, float(i)) for i in range(400)], 200)[0] == (0.5, 0.5)


def test_steps_that_share_a_cache_do_not_run_together(tmp_path):
    before = needs(whole(tmp_path))
    assert {"lam_loco", "lam_mani"} <= set(before["lam_shared"])
    assert "finetune_x2_first" in before["finetune_x2_few"]
