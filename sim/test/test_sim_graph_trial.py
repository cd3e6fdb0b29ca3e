"""The order of a trial on the graph, with a stand-in for the graph: recorded from the hoist on, and how it may end."""

from types import SimpleNamespace

import pytest
from wbvla_core.types import Source, State
from wbvla_sim.script import ScriptError
from wbvla_sim.tasks import graph_trial
from wbvla_sim.tasks.base import Outcome, Verdict, find_task
from wbvla_sim.tasks.graph_trial import run_on_graph
from wbvla_sim.tasks.scribes import Teller, WholeTrialScribe
from wbvla_teleop.devices.scripted import REST

TASK = find_task("cart_pushing")
RUNNING = Verdict(Outcome.RUNNING, "", 1.0, {"grab_handle": False})
DONE = Verdict(Outcome.SUCCESS, "", 2.0, {"grab_handle": True})


class Graph:
    """Supervisor and referee in one; ``log`` is what was asked of it, ``verdicts`` what the judge says."""

    def __init__(self, *verdicts, stands=True):
        self.log, self.verdicts, self.stands = [], list(verdicts), stands
        self.sim, self.driver = SimpleNamespace(hoisted=False), State.ACTIVE

    def call(self, name, **fields):
        self.log.append(name)
        if name == "set_authority":
            self.log.append(Source(fields["source"]).name)
        return SimpleNamespace(episode="episode_1")

    def instruct(self, sentence):
        self.log.append(sentence)

    def wait_for(self, what, condition, timeout_s):
        assert condition()

    def wait_for_state(self, *states, timeout_s):
        if not self.stands:
            raise ScriptError("waited")

    def prepare(self, task, seed):
        return "push it"

    def shows(self):
        return True

    def gantry_height_m(self):
        return 1.7

    def look(self):
        return self.verdicts.pop(0) if len(self.verdicts) > 1 else self.verdicts[0]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(graph_trial, "SETTLE_S", 0.0)
    monkeypatch.setattr(graph_trial, "AFTER_S", 0.0)


def trial(graph, tmp_path, vla=True, **options):
    return run_on_graph(graph, graph, WholeTrialScribe(graph, vla, "ann"), TASK, 3, tmp_path, **options)


def test_a_trial_is_recorded_from_the_hoist_and_the_vla_commands_only_once_it_stands(tmp_path):
    graph = Graph(RUNNING, DONE)
    result = trial(graph, tmp_path)
    assert graph.log == [
        REST, "estop", "sim/reset", "start_episode", "release", "sim/gantry", "sim/gantry",
        "push it", "set_authority", "VLA", "stop_episode", REST,
    ]  # fmt: skip
    assert result.verdict.success and result.bag == tmp_path / "episode_1"


def test_the_operator_takes_the_authority_by_itself(tmp_path):
    graph = Graph(DONE)
    trial(graph, tmp_path, vla=False)
    assert "set_authority" not in graph.log


def test_a_robot_that_does_not_stand_up_leaves_a_discarded_episode(tmp_path):
    graph = Graph(DONE, stands=False)
    result = trial(graph, tmp_path)
    assert result.verdict.reason.startswith("did not stand up") and not result.verdict.success
    assert graph.log[-2:] == ["discard_episode", REST]


def test_what_happens_meanwhile_may_end_a_trial(tmp_path):
    def fault(time_s):
        raise ScriptError(f"refused at {time_s:g} s")

    graph = Graph(RUNNING)
    result = trial(graph, tmp_path, meanwhile=fault)
    assert (result.verdict.outcome, result.verdict.reason) == (Outcome.FAILED, "refused at 1 s")
    assert "discard_episode" in graph.log and "stop_episode" not in graph.log


def test_a_driver_that_gives_up_ends_a_trial(tmp_path):
    graph = Graph(RUNNING)
    graph.driver = State.DAMPING
    assert trial(graph, tmp_path).verdict.reason == "the driver went to DAMPING"


def test_without_a_recorder_nothing_is_recorded(tmp_path):
    graph = Graph(DONE)
    result = run_on_graph(graph, graph, Teller(graph, vla=True), TASK, 3, tmp_path)
    assert result.bag is None and not any("episode" in step for step in graph.log)
