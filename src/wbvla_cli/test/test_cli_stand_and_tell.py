"""``wbvla stand``, ``tell`` and ``teleop`` with a stand-in for the graph: what they ask of it, and what they say instead."""

from types import SimpleNamespace

import pytest
from wbvla_core.types import Source, State
from wbvla_sim.script import ScriptError
from wbvla_sim.tasks import graph_trial
from wbvla_teleop.devices.scripted import REST

from wbvla_cli import main, stand, teleop, tell


class Graph:
    """Supervisor and watcher in one: ``log`` is what was asked of it; the VLA takes sentences of up to ``longest``."""

    def __init__(self, driver=State.STANDING, bar_m=1.7, longest=60, silent=False):
        self.log, self.driver, self._bar_m, self._longest = [], driver, bar_m, longest
        self.sim, self.there = SimpleNamespace(hoisted=False), ("reach_table", 3)
        self.silent, self.node = silent, SimpleNamespace(get_namespace=lambda: "/wbvla")
        self.statuses = {} if silent else {"vla_node": SimpleNamespace(detail="bundle x2: no authority; stand still")}

    def wait_for_nodes(self, names, timeout_s=60.0):
        self.log.append("nodes")
        if self.silent:
            raise ScriptError("waited for driver to be active")

    def wait_for_state(self, *states, timeout_s):
        pass

    def wait_for(self, what, condition, timeout_s):
        if not condition():
            raise ScriptError(f"waited for {what}")

    def call(self, name, **fields):
        self.log.append(name)
        if name == "sim/reset":
            self.there = (fields["task"], fields["seed"])
        if name == "set_authority":
            self.log.append(Source(fields["source"]).name)

    def instruct(self, sentence):
        self.log.append(sentence)
        if len(sentence) <= self._longest:
            self.statuses["vla_node"].detail = f"bundle x2: no authority; {sentence}"

    def scene(self):
        return self.there

    def gantry_height_m(self):
        return self._bar_m


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr(graph_trial, "SETTLE_S", 0.0)
    monkeypatch.setattr(graph_trial.time, "sleep", lambda _seconds: None)


def test_a_hanging_robot_is_released_lowered_and_unhooked():
    graph = Graph(State.DAMPING)
    assert stand.stand(graph, graph, None, None) == "it stands; scene reach_table, seed 3"
    assert graph.log == ["nodes", "release", "sim/gantry", "sim/gantry"]


def test_with_a_seed_it_is_hung_up_in_another_scene_first():
    graph = Graph(State.DAMPING)
    assert stand.stand(graph, graph, "box_cart", 8) == "it stands; scene box_cart, seed 8"
    assert graph.log[1:4] == [REST, "estop", "sim/reset"] and graph.log[4] == "release"


def test_a_robot_that_stands_is_left_alone_and_one_that_lies_is_not_released():
    graph = Graph(State.STANDING, bar_m=float("nan"))
    assert "stands already" in stand.stand(graph, graph, None, None) and graph.log == ["nodes"]
    fallen = Graph(State.DAMPING, bar_m=float("nan"))
    with pytest.raises(ScriptError, match="--seed 3 hangs it up again"):
        stand.stand(fallen, fallen, None, None)


def test_where_nobody_answers_is_said(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", "12")
    graph = Graph(silent=True)
    with pytest.raises(ScriptError, match="nobody answers in /wbvla, ROS_DOMAIN_ID 12"):
        stand.wait_for_graph(graph, ("driver",), 1.0)
    graph.statuses["driver"] = SimpleNamespace(detail="")
    with pytest.raises(ScriptError, match="driver to be active"):
        stand.wait_for_graph(graph, ("driver",), 1.0)


def test_a_sentence_is_followed_once_the_vla_has_it():
    graph = Graph()
    assert tell.tell(graph, "raise your left hand").splitlines() == ["told: raise your left hand", "who acts: bundle x2"]
    assert graph.log == ["raise your left hand", "set_authority", "VLA"]


@pytest.mark.parametrize(
    ("graph", "complaint"), [(Graph(State.DAMPING), "wbvla stand"), (Graph(longest=5), "did not take the sentence")]
)
def test_nobody_gets_the_authority_for_a_sentence_that_cannot_be_followed(graph, complaint):
    with pytest.raises(ScriptError, match=complaint):
        tell.tell(graph, "raise your left hand")
    assert "set_authority" not in graph.log


@pytest.mark.parametrize(
    ("arguments", "complaint"), [(["tell"], "empty"), (["stand", "--scene", "box_cart"], "--seed")]
)
def test_a_wrong_call_starts_nothing(capsys, arguments, complaint):
    assert main.main(arguments) == 2
    assert complaint in capsys.readouterr().err


def test_a_terminal_drives_with_the_sentence_of_its_episodes(monkeypatch):
    monkeypatch.setattr(teleop, "TeleopNode", lambda **arguments: arguments)
    made = teleop.make_node(teleop.Arguments(task="raise your left hand", namespace="/robot/"))
    values = {parameter.name: parameter.value for parameter in made["parameter_overrides"]}
    assert made["namespace"] == "/robot" and values["autostart"] is True
    assert (values["device"], values["task"]) == ("keyboard", "raise your left hand")
