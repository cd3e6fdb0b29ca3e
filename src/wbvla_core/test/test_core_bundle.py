"""Bundles are read strictly, and the controller refuses what does not fit; each refusal is one clear
sentence."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from wbvla_core.bundle import BundleError, load_bundle, onnx_session, write_bundle
from wbvla_core.lmo import LmoController, LmoNotFinite
from wbvla_core.paths import models_dir
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.rotations import projected_gravity
from wbvla_core.types import LocoCommand, LocoMode, PlantState, RobotState


@pytest.fixture(scope="module")
def spec():
    return RobotSpec.load("x2_ultra")


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(models_dir() / "lmo" / "stand", tmp_path / "stand")


def change(folder, edit):
    file = folder / "bundle.json"
    data = json.loads(file.read_text())
    edit(data)
    file.write_text(json.dumps(data))


def set_key(*path, value):
    def edit(data):
        for key in path[:-1]:
            data = data[key]
        data[path[-1]] = value

    return edit


def drop_key(*path):
    def edit(data):
        for key in path[:-1]:
            data = data[key]
        del data[path[-1]]

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (drop_key("lmo", "kp"), "lmo.kp: missing"),
        (drop_key("robot_spec_hash"), "robot_spec_hash: missing"),
        (set_key("lmo", "colour", value=1), "lmo.colour: unknown key"),
        (set_key("lmo", "kp", value=[1.0]), "kp has 1 entries for 13 joints"),
        (set_key("lmo", "dt_s", value="fast"), "lmo.dt_s: expected a finite number"),
        (set_key("lmo", "ramp", "form", value="jump"), "ramp.form is 'jump'"),
        (set_key("lmo", "gait", "swing_left", value=[0.5, 0.1]), "swing_left"),
        (set_key("lmo", "action", "clip", value=True), "lmo.action.clip"),
        (set_key("kind", value="vla"), "a bundle of kind 'lmo' is needed"),
        (set_key("schema_version", value=99), "schema_version"),
        (set_key("robot_spec_hash", value="0" * 16), "use a bundle made for this robot"),
        (set_key("files", "policy.onnx", value="0" * 64), "SHA-256"),
        (set_key("files", "../policy.onnx", value="0" * 64), "plain name"),
        (set_key("files", "weights.pkl", value="0" * 64), "plain name ending in"),
        (set_key("files", "more.onnx", value="0" * 64), "more.onnx: missing"),
    ],
)
def test_altered_bundle_is_refused_with_file_key_and_reason(folder, spec, edit, words):
    change(folder, edit)
    with pytest.raises(BundleError) as error:
        load_bundle(folder, "lmo", spec)
    assert words in str(error.value) and str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_folder_broken_json_and_unknown_kind_are_refused(folder, spec, tmp_path):
    with pytest.raises(BundleError, match="not found"):
        load_bundle(tmp_path / "nowhere", "lmo", spec)
    with pytest.raises(BundleError, match="unknown"):
        change(folder, lambda data: data.update(kind="music", music={}))
        load_bundle(folder, "music", spec)
    (folder / "bundle.json").write_text("{")
    with pytest.raises(BundleError, match="not readable as JSON"):
        load_bundle(folder, "lmo", spec)


def test_other_contract_is_refused_only_when_asked_for(folder, spec):
    load_bundle(folder, "lmo", spec)
    with pytest.raises(BundleError, match="contract_hash none is not abc"):
        load_bundle(folder, "lmo", spec, contract_hash="abc")


def test_file_that_is_no_network_or_has_other_widths_is_refused(folder):
    network = folder / "policy.onnx"
    with pytest.raises(BundleError, match=r"inputs are .*export it again"):
        onnx_session(network, {"observation": 3}, {"action": 13})
    network.write_bytes(b"rubbish")
    with pytest.raises(BundleError, match="not a usable ONNX model"):
        onnx_session(network, {"observation": 3}, {"action": 13})


def test_written_bundle_reads_back_the_same(folder, spec, tmp_path):
    first = load_bundle(folder, "lmo", spec)
    content = {"policy.onnx": first.file("policy.onnx").read_bytes()}
    again = write_bundle(tmp_path / "copy", "lmo", first.name, first.section, content, spec, "abc")
    assert again.section == first.section and again.files == first.files
    assert again.training_commit == "abc"
    with pytest.raises(BundleError, match=r"no other\.onnx"):
        again.file("other.onnx")


def standing(spec, **changes):
    zeros = np.zeros(spec.n)
    state = RobotState(
        5, 1, spec.default_rad.copy(), zeros, zeros, np.zeros(2), np.array([1.0, 0, 0, 0]), np.zeros(3),
        np.array([0.0, 0.0, 9.81]), PlantState.ACTIVE,
    )  # fmt: skip
    return replace(state, **changes)


@pytest.fixture
def controller(folder, spec):
    return LmoController(load_bundle(folder, "lmo", spec), spec)


def test_controller_states_the_torque_of_its_own_law_within_the_limits(controller, spec):
    state = standing(spec)
    controller.reset(state, 0.64)
    command = controller.step(state, LocoCommand(0.64))
    index = spec.lmo_index
    law = (
        command.stiffness * (command.position_rad - state.position_rad[index]) + command.effort_feedforward_nm
    )
    np.testing.assert_allclose(command.effort_nm, np.clip(law, -spec.effort_nm[index], spec.effort_nm[index]))
    assert (command.position_rad >= spec.lower_rad[index]).all() and command.state_stamp_ns == 5


def test_value_that_is_not_finite_is_refused_and_leaves_no_trace(folder, spec):
    bundle, state = load_bundle(folder, "lmo", spec), standing(spec)
    tried, other = LmoController(bundle, spec), LmoController(bundle, spec)
    bad = (
        (standing(spec, velocity_rad_s=np.full(spec.n, np.nan)), LocoCommand(0.6)),
        (state, LocoCommand(float("inf"))),
    )
    for controller in (tried, other):
        controller.reset(state, 0.64)
        controller.step(state, LocoCommand(0.6))
    for wrong, command in bad:
        with pytest.raises(LmoNotFinite):
            tried.step(wrong, command)
    answers = [c.step(state, LocoCommand(0.6)).position_rad for c in (tried, other)]
    np.testing.assert_array_equal(*answers)
    with pytest.raises(LmoNotFinite):
        tried.reset(state, float("nan"))


def test_bundle_that_only_stands_ignores_flags_and_velocities(controller, spec):
    state = standing(spec)
    controller.reset(state, 0.64)
    controller.step(state, LocoCommand(0.64, flags=(1, 0, 0)))
    controller.step(state, LocoCommand(0.64, velocity=(0.5, 0, 0), mode=LocoMode.VELOCITY))
    assert not controller.stepping and not controller.ramp.any()


def test_commanded_height_is_slewed_and_bounded(controller, spec):
    state = standing(spec)
    controller.reset(state, 0.64)
    controller.step(state, LocoCommand(0.3))
    assert controller.height_m == pytest.approx(0.636)
    controller.reset(state, 0.1)
    assert controller.height_m == pytest.approx(0.45)


def test_gravity_points_down_in_the_base_frame():
    np.testing.assert_allclose(projected_gravity(np.array([2.0, 0, 0, 0])), [0, 0, -1])
    half = np.array([np.cos(0.1), 0, np.sin(0.1), 0])
    np.testing.assert_allclose(projected_gravity(half), [np.sin(0.2), 0, -np.cos(0.2)])
    left = np.array([np.cos(-0.1), np.sin(-0.1), 0, 0])
    assert projected_gravity(left)[1] > 0.0
