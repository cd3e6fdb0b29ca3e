"""The packaged contract fits robot and messages; a faulty one is refused with its file and field."""

import numpy as np
import pytest
import yaml
from wbvla_core.contract import Contract, ContractError
from wbvla_core.robot_spec import RobotSpec


@pytest.fixture(scope="module")
def contract():
    return Contract.load("x2")


def altered(contract, change):
    document = yaml.safe_load(contract.text)
    change(document)
    return yaml.safe_dump(document)


def test_state_and_action_are_those_of_the_robot(contract):
    spec = RobotSpec.load(contract.robot)
    state = contract.features["observation.state"]
    assert state.names == (*spec.joint_names, *spec.hand_names, "gravity_x", "gravity_y", "gravity_z")
    assert state.shape == (36,)
    action = contract.features["action"]
    arms = tuple(np.array(spec.joint_names)[spec.index("arms")])
    assert action.names == (*arms, *spec.hand_names, "s_x", "s_y", "s_yaw", "h")
    assert action.shape == (20,)


def test_splits_cover_the_action_without_gap(contract):
    parts = sorted(contract.splits.values(), key=lambda split: split.start)
    assert [p.start for p in parts] + [20] == [0] + [p.stop for p in parts]


def test_simulation_topics_are_recorded_only_in_simulation_and_feed_no_feature(contract):
    real = {topic.topic for topic in contract.recorded(simulation=False)}
    assert "sim/state" not in real and "/clock" not in real
    assert "sim/state" in {topic.topic for topic in contract.recorded(simulation=True)}
    document = altered(contract, lambda d: d["features"]["action"]["parts"][3].update(topic="sim_state"))
    with pytest.raises(ContractError, match="simulation only"):
        Contract.parse(document)


def test_hash_ignores_layout_and_sees_content(contract):
    same = Contract.parse(yaml.safe_dump(yaml.safe_load(contract.text)))
    assert same.hash == contract.hash and len(contract.hash) == 16
    other = altered(contract, lambda d: d["topics"]["robot_state"].update(rate_hz=100))
    assert Contract.parse(other).hash != contract.hash


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda d: d.update(schema_version=9), "schema_version: is 9"),
        (lambda d: d.update(extra=1), "unknown key extra"),
        (lambda d: d.pop("robot"), "robot: expected text"),
        (lambda d: d["topics"]["imu"].update(type="Imu"), "topics.imu.type: 'Imu' is not a message type"),
        (lambda d: d["topics"]["imu"].update(topic="a b"), "topics.imu.topic"),
        (lambda d: d["topics"]["imu"].update(topic="robot_state"), "robot_state listed more than once"),
        (lambda d: d["topics"]["imu"].update(record="maybe"), "topics.imu.record"),
        (lambda d: d["topics"]["imu"].update(rate_hz=-1), "topics.imu.rate_hz"),
        (lambda d: d["topics"]["imu"].update(latched="yes"), "topics.imu.latched"),
        (lambda d: d["features"]["action"].update(parts=[]), "features.action.parts"),
        (lambda d: d["features"]["action"]["parts"][0].update(topic="no"), "no topic 'no'"),
        (lambda d: d["features"]["action"]["parts"][2].update(fields=["s_x", "s_y"]), "2 fields for 3 names"),
        (lambda d: d["features"]["action"]["parts"][3].update(names=["s_x"]), "s_x named more than once"),
        (lambda d: d["features"]["action"]["parts"][3].update(alignment="late"), "alignment"),
        (lambda d: d["features"]["observation.images.head_cam"].pop("shape"), "height, width, channels"),
        (lambda d: d["splits"]["action.loco_cmd"].update(stop=21), "not a slice of action with 20 values"),
        (lambda d: d.update(topics=[]), "topics: expected a mapping"),
    ],
)
def test_a_faulty_contract_is_refused_with_its_field(contract, change, complaint):
    with pytest.raises(ContractError) as refusal:
        Contract.parse(altered(contract, change), "some.yaml")
    assert complaint in str(refusal.value) and str(refusal.value).startswith("some.yaml: ")


def test_broken_yaml_and_missing_files_are_one_clear_message(tmp_path):
    with pytest.raises(ContractError, match="not valid YAML"):
        Contract.parse("a: [1", "x.yaml")
    with pytest.raises(ContractError, match=r"packaged: .*x2"):
        Contract.load("g7")
    with pytest.raises(ContractError, match="cannot be read"):
        Contract.load(tmp_path / "none.yaml")
