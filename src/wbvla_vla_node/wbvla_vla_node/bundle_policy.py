"""A policy that runs an ONNX bundle on one CPU thread."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from wbvla_core.bundle import Bundle, BundleError, load_bundle, onnx_session
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.types import LocoMode
from wbvla_core.vla_bundle import VlaSection
from wbvla_core.vla_input import InputError, decode_jpeg, prepare_image, state_names

from wbvla_vla_node.policy import Chunk, Observation, PolicyError


class BundlePolicy:
    """Feeds image and state to the bundle's network and reads its chunk."""

    def __init__(self, bundle: Bundle, spec: RobotSpec) -> None:
        """Raises:
        BundleError: the bundle names other states or joints than the robot has, or its network does not fit.
        """
        section: VlaSection = bundle.section
        where = bundle.path / "bundle.json"
        expected = state_names(spec.joint_names, spec.hand_names)
        if section.state_names != expected:
            raise BundleError(
                f"{where}: vla.state_names has {len(section.state_names)} names that differ from the "
                f"{len(expected)} of {spec.name}; export the bundle for this robot"
            )
        unknown = set(section.joint_names) - set(spec.joint_names) - set(spec.hand_names)
        if unknown:
            raise BundleError(f"{where}: vla.action_names has {sorted(unknown)[0]}, which {spec.name} lacks")
        self.name = f"bundle {bundle.name}"
        self.section = section
        self._session = onnx_session(
            bundle.file(section.network),
            {"image": section.image.width, "state": len(section.state_names)},
            {"action": len(section.action_names)},
        )
        self._state_mean, self._state_std = _statistics(section.state_statistics)
        self._action_mean, self._action_std = _statistics(section.action_statistics)
        self._shape = (1, section.chunk_length, len(section.action_names))

    @staticmethod
    def load(path: Path, spec: RobotSpec, contract_hash: str | None = None) -> BundlePolicy:
        """The policy of the bundle folder ``path``; raises BundleError."""
        return BundlePolicy(load_bundle(path, "vla", spec, contract_hash), spec)

    def reset(self, instruction: str) -> None:
        """The bundles known so far keep nothing from one observation to the next."""

    def infer(self, observation: Observation, capture_stamp_ns: int) -> Chunk:
        """See Policy."""
        begin = time.perf_counter()
        try:
            rgb = observation.image_rgb
            if rgb is None:
                rgb = decode_jpeg(observation.image_jpeg or b"")
            decoded = time.perf_counter()
            image = prepare_image(rgb, self.section.image)
        except InputError as error:
            raise PolicyError(str(error)) from None
        prepared = time.perf_counter()
        state = ((observation.state - self._state_mean) / self._state_std)[None]
        (action,) = self._session.run(["action"], {"image": image, "state": state})
        if action.shape != self._shape:
            raise PolicyError(f"the network gave an action of shape {action.shape}, expected {self._shape}")
        values = action[0].astype(np.float64) * self._action_std + self._action_mean
        ended = time.perf_counter()
        return Chunk(
            joint_names=self.section.joint_names,
            positions=values[:, :-4],
            step_s=self.section.chunk_step_s,
            loco=values[:, -4:],
            mode=LocoMode.FLAGS if self.section.uses_flags else LocoMode.VELOCITY,
            stages_ms={
                "decode": (decoded - begin) * 1e3,
                "prepare": (prepared - decoded) * 1e3,
                "network": (ended - prepared) * 1e3,
            },
        )


def _statistics(section) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(section.mean, np.float32), np.asarray(section.std, np.float32)
