"""From a checkpoint to the bundle that the node runs: ONNX network, section, hashes; checked against torch."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from wbvla_core.bundle import Bundle, onnx_session, write_bundle
from wbvla_core.lmo_bundle import LmoSection, observation_config
from wbvla_core.observation import mirror, mirror_joints
from wbvla_core.robot_spec import RobotSpec

from .config import ConfigError
from .networks import SymmetricMlp
from .task import NETWORK_FILE

TOLERANCE = 1e-5


def actor_from_state(state: dict, section: LmoSection, spec: RobotSpec) -> SymmetricMlp:
    """The actor network of a checkpoint ``state`` (see ``checkpoint.read``)."""
    config = observation_config(section, spec)
    inputs = mirror(config, *spec.mirror)
    actor = SymmetricMlp(tuple(state["hidden"]), inputs, mirror_joints(config.driven, *spec.mirror))
    weights = state["algorithm"]["actor_state_dict"]
    actor.load_state_dict({k.removeprefix("mlp."): v for k, v in weights.items() if k.startswith("mlp.")})
    return actor.eval()


def to_onnx(actor: SymmetricMlp) -> bytes:
    """The network as ONNX: input ``observation`` [batch, O], output ``action`` [batch, m], float32.

    Written node by node: the mirrored half is the same layers on mirrored first weights, and the mirror of the output and
    the mean are folded into the two heads."""
    nodes, weights = [], []

    def add_weight(name: str, tensor: torch.Tensor) -> str:
        weights.append(numpy_helper.from_array(tensor.detach().numpy().astype(np.float32), name))
        return name

    first = actor.layers[0]
    mirrored = first.weight[:, actor.input_order] * actor.input_sign
    order, sign = actor.output_order, actor.output_sign
    heads = {
        "own": (actor.head.weight * 0.5, actor.head.bias * 0.5),
        "mirrored": (actor.head.weight[order] * sign[:, None] * 0.5, actor.head.bias[order] * sign * 0.5),
    }
    for i, layer in enumerate(actor.layers[1:], 1):
        add_weight(f"layer{i}.weight", layer.weight)
        add_weight(f"layer{i}.bias", layer.bias)
    add_weight("layer0.bias", first.bias)
    for side, weight in (("own", first.weight), ("mirrored", mirrored)):
        add_weight(f"{side}.layer0.weight", weight)
        previous = "observation"
        for i in range(len(actor.layers)):
            matrix = f"{side}.layer0.weight" if i == 0 else f"layer{i}.weight"
            linear, active = f"{side}.linear{i}", f"{side}.hidden{i}"
            nodes.append(helper.make_node("Gemm", [previous, matrix, f"layer{i}.bias"], [linear], transB=1))
            nodes.append(helper.make_node("Elu", [linear], [active]))
            previous = active
        names = [
            add_weight(f"{side}.head.{part}", value)
            for part, value in zip(("weight", "bias"), heads[side], strict=True)
        ]
        nodes.append(helper.make_node("Gemm", [previous, *names], [f"{side}.action"], transB=1))
    nodes.append(helper.make_node("Add", ["own.action", "mirrored.action"], ["action"]))
    graph = helper.make_graph(
        nodes,
        "lmo",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", first.in_features])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", actor.head.out_features])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def export(
    state: dict, section: LmoSection, spec: RobotSpec, folder: Path, name: str
) -> tuple[Bundle, float]:
    """Write the bundle of checkpoint ``state`` into ``folder``; returns it and the largest difference to torch.

    Raises ConfigError when that exceeds 1e-5."""
    actor = actor_from_state(state, section, spec)
    bundle = write_bundle(
        folder, "lmo", name, section, {NETWORK_FILE: to_onnx(actor)}, spec, training_commit()
    )
    config = observation_config(section, spec)
    session = onnx_session(
        bundle.file(NETWORK_FILE), {"observation": config.size}, {"action": len(section.joints)}
    )
    sample = np.random.default_rng(0).normal(size=(256, config.size)).astype(np.float32)
    with torch.no_grad():
        wanted = actor(torch.from_numpy(sample)).numpy()
    difference = float(np.abs(session.run(None, {"observation": sample})[0] - wanted).max())
    if difference > TOLERANCE:
        raise ConfigError(
            f"{folder}: ONNX and torch differ by {difference:.2e} (limit {TOLERANCE}); do not use this bundle"
        )
    return bundle, difference


def training_commit() -> str:
    """Short commit of the working tree this code lies in, with "+" when it has changes; "unknown" outside git."""
    here = Path(__file__).resolve().parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short=12", "HEAD"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--", "."],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
            timeout=10,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return commit + ("+" if changed else "")
