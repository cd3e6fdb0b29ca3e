"""The demo of a task: who acts is chosen and said plainly, and the judge's word reaches people."""

import pytest
from wbvla_core.bundle import FILE_NAME
from wbvla_core.robot_spec import RobotSpec
from wbvla_sim.tasks.base import Outcome, Verdict
from wbvla_sim.tasks.lockstep_trial import OPERATOR, TrialResult
from wbvla_sim.tasks.referee import Referee
from wbvla_sim.tasks.sentences import BOX_LOADING, CART_PUSHING

from wbvla_cli import main, open_session, task_demo


def test_the_shipped_bundle_acts_else_the_operator(tmp_path, monkeypatch):
    monkeypatch.setenv("WBVLA_MODELS", str(tmp_path))
    assert task_demo.choose_policy(None) == OPERATOR
    bundle = tmp_path / "vla" / "x2"
    bundle.mkdir(parents=True)
    (bundle / FILE_NAME).write_text("{}")
    assert task_demo.choose_policy(None) == "vla/x2"
    assert task_demo.choose_policy("vla/hold") == "vla/hold"


def test_a_report_says_that_no_vla_took_part_when_the_operator_acted():
    verdict = Verdict(Outcome.FAILED, "cart <astray>", 3.0, {"grab_handle": True, "push_ahead": False})
    trial = TrialResult(7, CART_PUSHING, verdict, None, 3.0, 4.0)
    page = task_demo.story([trial], OPERATOR, {7: "film.mp4"})
    assert "no VLA took part" in page and "scripted operator" in page
    assert "cart &lt;astray&gt;" in page and "push_ahead: not met" in page and 'src="film.mp4"' in page
    assert "no VLA" not in task_demo.story([trial], "vla/x2", {})


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--task", "dance"], "box_loading"),
        (["--task", "cart_pushing", "--trials", "0"], "--trials 0"),
        (["--task", "cart_pushing", "--policy", "vla/nobody"], "vla/nobody"),
        (["--trials", "3"], "--task"),
    ],
)
def test_a_demo_that_cannot_be_is_refused_before_anything_starts(tmp_path, capsys, monkeypatch, arguments, complaint):
    monkeypatch.setenv("ROS_DOMAIN_ID", "1")
    monkeypatch.setattr(task_demo, "graph_session", lambda *_: pytest.fail("started"))
    assert main.main(["demo", "--out", str(tmp_path / "out"), *arguments]) != 0
    assert complaint in capsys.readouterr().err


def test_a_typed_sentence_is_judged_by_the_task_that_means_it():
    class Still(Referee):
        def __init__(self):
            self._spec = RobotSpec.load("x2_ultra")

        def scene(self):
            return "box_cart", 3

    referee = Still()
    assert open_session.get_ready(referee, BOX_LOADING)
    assert open_session.get_ready(referee, CART_PUSHING)
    assert not open_session.get_ready(referee, "make coffee")


def test_what_is_reached_is_told_in_one_line():
    running = Verdict(Outcome.RUNNING, "", 2.0, {"grab_handle": True, "push_ahead": False})
    assert open_session.verdict_line("push", running) == "'push': grab_handle"
    done = Verdict(Outcome.SUCCESS, "", 9.0, {"grab_handle": True, "push_ahead": True})
    assert open_session.verdict_line("push", done) == "'push': done after 9.0 s (grab_handle, push_ahead)"
