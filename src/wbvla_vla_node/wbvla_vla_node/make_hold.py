"""Makes the ``hold`` bundle: ``python -m wbvla_vla_node.make_hold FOLDER``.

The bundle has the inputs and outputs of a real VLA and answers each observation with the robot's standing arm
pose, closed grippers, no steps and the nominal stance height. The picture and the state enter its sum with
weight zero, so that a broken input is seen in the output as it would be with a real model.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
from wbvla_core.bundle import Bundle, write_bundle
from wbvla_core.contract import Contract
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.vla_bundle import ImageSection, StatisticsSection, TokenizerSection, VlaSection

NETWORK = "policy.onnx"
SIDE = 112
CHUNK_LENGTH = 8
CHUNK_STEP_S = 0.1


def hold_section(contract: Contract) -> VlaSection:
    """Section of the bundle for the state and action names of ``contract``."""
    states = contract.features["observation.state"].names
    actions = contract.features["action"].names
    return VlaSection(
        networks={"policy": NETWORK},
        weights="",
        model="",
        decoding="none",
        image=ImageSection((0.0, 0.0, 1.0, 1.0), SIDE, SIDE, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        tokenizer=TokenizerSection("none", "", 0, 0, ""),
        codebooks={},
        state_names=states,
        action_names=actions,
        flag_classes=(),
        chunk_length=CHUNK_LENGTH,
        chunk_step_s=CHUNK_STEP_S,
        state_statistics=StatisticsSection((0.0,) * len(states), (1.0,) * len(states)),
        action_statistics=StatisticsSection((0.0,) * len(actions), (1.0,) * len(actions)),
    )


def hold_action(spec: RobotSpec, names: tuple[str, ...]) -> np.ndarray:
    """The action [A] that the bundle gives always."""
    values = dict(zip(spec.joint_names, spec.default_rad, strict=True))
    values.update(dict.fromkeys(spec.hand_names, 0.0))
    values.update({"s_x": 0.0, "s_y": 0.0, "s_yaw": 0.0, "h": spec.nominal_height_m})
    return np.array([values[name] for name in names], dtype=np.float32)


def hold_network(section: VlaSection, action: np.ndarray) -> bytes:
    """ONNX model: ``action`` [1, T, A] = constant + 0 * (mean of image + mean of state)."""
    from onnx import TensorProto, checker, helper, numpy_helper

    image, state = section.image, len(section.state_names)
    chunk = np.tile(action, (1, section.chunk_length, 1))
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["image"], ["image_mean"], keepdims=0),
            helper.make_node("ReduceMean", ["state"], ["state_mean"], keepdims=0),
            helper.make_node("Add", ["image_mean", "state_mean"], ["seen"]),
            helper.make_node("Mul", ["seen", "zero"], ["nothing"]),
            helper.make_node("Add", ["chunk", "nothing"], ["action"]),
        ],
        "hold",
        [
            helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, image.height, image.width]),
            helper.make_tensor_value_info("state", TensorProto.FLOAT, [1, state]),
        ],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, list(chunk.shape))],
        [numpy_helper.from_array(np.float32(0.0), "zero"), numpy_helper.from_array(chunk, "chunk")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model.SerializeToString()


def make_hold(folder: Path, spec: RobotSpec, contract: Contract, commit: str) -> Bundle:
    """Write the bundle into ``folder`` and read it back."""
    section = hold_section(contract)
    network = hold_network(section, hold_action(spec, section.action_names))
    return write_bundle(folder, "vla", "hold", section, {NETWORK: network}, spec, commit, contract.hash)


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m wbvla_vla_node.make_hold FOLDER", file=sys.stderr)
        return 2
    described = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False
    )
    bundle = make_hold(
        Path(sys.argv[1]),
        RobotSpec.load("x2_ultra"),
        Contract.load("x2"),
        described.stdout.strip() or "unknown",
    )
    print(f"{bundle.path}: {bundle.name} for {bundle.robot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
