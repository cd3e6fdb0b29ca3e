"""Makes the ``stand`` bundle: ``python -m wbvla_core.stand_bundle [--robot x2_ultra] [--out
models/lmo/stand]``.

A locomotion bundle without learning, in the format of the learned ones: the posture table with its gravity
torques fed forward, and a network of one Gemm that adds linear feedback of ankles, knees and hips. It
balances, follows the stance height and takes pushes; it does not step, so flags and velocities are ignored.
Needs mujoco and onnx; runs in about a minute on one core and gives the same figures each time.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from . import observation
from .bundle import Bundle, write_bundle
from .gait import GaitConfig
from .lmo_bundle import ActionSection, LmoSection, observation_config
from .paths import models_dir
from .posture import PostureTable
from .posture_builder import PostureBuilder
from .ramp import RampConfig
from .robot_spec import RobotSpec
from .stand_design import Weights, design, spectral_radius
from .stand_model import Disturbances, StandModel, linearise

NETWORK = "policy.onnx"
SCALE_RAD = 0.25
# Height [m] and delay from measurement to torque [ms]; neighbours first, so that each start holds the next.
DESIGN_POINTS = ((0.64, 14), (0.57, 18), (0.50, 18), (0.50, 26), (0.64, 26))
# Twice the learned policies' ankle gain: near the ankle's stop half the set-point range gives the same
# torque.
ANKLE_PITCH_GAINS = (80.0, 3.0)
ANKLE_MARGIN_RAD = 0.10
# The feedback knows no trunk speed to aim at: from here down the trunk leans evenly, 0.6 rad/s at the fastest
# slew.
LEAN_FROM_M = 0.60
TERMS = (
    observation.Term("posture_error"),
    observation.Term("joint_velocity"),
    observation.Term("upper_position"),
    observation.Term("upper_velocity"),
    observation.Term("angular_velocity"),
    observation.Term("gravity_error"),
    observation.Term("last_action", history=2),
)


def make_section(spec: RobotSpec) -> LmoSection:
    """The section of the stand bundle for a robot: posture table, gains and observation, all but the
    network."""
    kp, kd = _gains(spec)
    return LmoSection(
        network=NETWORK,
        joints=spec.lmo_joints,
        default_rad=tuple(spec.default_rad.tolist()),
        kp=tuple(kp[spec.lmo_index].tolist()),
        kd=tuple(kd[spec.lmo_index].tolist()),
        dt_s=0.02,
        command_modes=(),
        action=ActionSection(scale_rad=(SCALE_RAD,) * len(spec.lmo_joints), clip=12.0, gravity_share=1.0),
        observation=TERMS,
        ramp=RampConfig(height_range_m=spec.stance_height_m),
        gait=GaitConfig(enabled=False),
        posture=PostureBuilder(spec, margin_rad=ANKLE_MARGIN_RAD).table(
            highest_m=spec.stance_height_m[1],
            lowest_stand_m=spec.stance_height_m[0],
            lean_from_m=LEAN_FROM_M,
        ),
    )


def linear_models(spec: RobotSpec, table: PostureTable) -> list[StandModel]:
    """The linear models of all design points."""
    kp, kd = _gains(spec)
    sizes = Disturbances()
    return [
        linearise(spec, table, kp, kd, SCALE_RAD, height, delay, sizes) for height, delay in DESIGN_POINTS
    ]


def feedback(spec: RobotSpec, section: LmoSection, models: list[StandModel]) -> np.ndarray:
    """Gain [m, O] of the stand bundle; raises ValueError when it does not hold every design point."""
    config = observation_config(section, spec)
    permutation, sign = observation.mirror(config, *spec.mirror)
    action_permutation, action_sign = observation.mirror_joints(config.driven, *spec.mirror)

    def symmetric(gain: np.ndarray) -> np.ndarray:
        mirrored = np.empty_like(gain)
        mirrored[np.ix_(action_permutation, permutation)] = action_sign[:, None] * gain * sign
        return 0.5 * (gain + mirrored)

    ankles, knees = (np.flatnonzero([part in name for name in section.joints]) for part in ("ankle", "knee"))
    gain = design(models, ankles, knees, Weights(), symmetric)
    worst = max(spectral_radius(model, gain) for model in models)
    if worst >= 1.0:
        raise ValueError(f"the feedback does not stand at every design point (spectral radius {worst:.4f})")
    return gain


def network_bytes(gain: np.ndarray) -> bytes:
    """The ONNX file of action = gain @ observation, for any batch."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    outputs, inputs = gain.shape
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["observation", "gain"], ["action"], transB=1)],
        "stand",
        [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", inputs])],
        [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", outputs])],
        [numpy_helper.from_array(gain.astype(np.float32), "gain")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def make_bundle(spec: RobotSpec, folder: Path, commit: str = "none") -> Bundle:
    """Design the feedback and write the bundle into ``folder``."""
    section = make_section(spec)
    # Rounded so that machines whose last digits differ give the same file.
    gain = np.round(feedback(spec, section, linear_models(spec, section.posture)), 4)
    return write_bundle(folder, "lmo", "stand", section, {NETWORK: network_bytes(gain)}, spec, commit)


def _gains(spec: RobotSpec) -> tuple[np.ndarray, np.ndarray]:
    kp, kd = spec.kp.copy(), spec.kd.copy()
    ankles = spec.index(("left_ankle_pitch_joint", "right_ankle_pitch_joint"))
    kp[ankles], kd[ankles] = ANKLE_PITCH_GAINS
    return kp, kd


def main(arguments: list[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m wbvla_core.stand_bundle", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--robot", default="x2_ultra", help="name of a packaged robot or path of its YAML")
    parser.add_argument("--out", type=Path, help="folder of the bundle (default: lmo/stand among the models)")
    parser.add_argument("--commit", default="none", help="commit of this code, written into the bundle")
    options = parser.parse_args(arguments)
    folder = options.out or models_dir() / "lmo" / "stand"
    bundle = make_bundle(RobotSpec.load(options.robot), folder, options.commit)
    print(f"wrote {folder} for {bundle.robot} ({bundle.robot_spec_hash})")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
