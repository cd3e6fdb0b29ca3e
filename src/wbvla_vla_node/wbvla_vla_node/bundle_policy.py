"""A policy that runs a VLA bundle: prepares what the model sees and reads what it gives."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from wbvla_core.bundle import Bundle, BundleError, load_bundle
from wbvla_core.robot_spec import RobotSpec
from wbvla_core.tokenizer import Tokenizer, TokenizerError, encode, load_tokenizer
from wbvla_core.types import LatentAction, LocoMode
from wbvla_core.vla_bundle import TokenizerSection, VlaSection
from wbvla_core.vla_input import InputError, check_sentence, decode_jpeg, prepare_image, state_names

from wbvla_vla_node.networks import Codes, Networks, Outputs, SingleNetwork, StagedNetworks
from wbvla_vla_node.policy import Chunk, Observation, PolicyError

# The share of the work from which on the model's word that it is done is believed.
DONE_PROGRESS = 0.97


class BundlePolicy:
    """Feeds picture, sentence and state to the bundle's networks and reads their chunk."""

    def __init__(
        self, bundle: Bundle, spec: RobotSpec, networks: Networks | None = None, device: str = "cpu"
    ) -> None:
        """``networks`` instead of the bundle's ONNX files, as the torch backend has them.

        Raises:
            BundleError: the bundle names other states or joints than the robot has, or a network or the tokenizer
            does not fit.
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
        self._tokenizer = _tokenizer(bundle, section.tokenizer)
        self._networks = networks or (StagedNetworks if section.staged else SingleNetwork)(bundle, device)
        self._state_mean, self._state_std = _statistics(section.state_statistics)
        self._action_mean, self._action_std = _statistics(section.action_statistics)
        self._shape = (section.chunk_length, len(section.action_names))
        self._is_gripper = np.array([name in spec.hand_names for name in section.joint_names], bool)

    @staticmethod
    def load(
        path: Path, spec: RobotSpec, contract_hash: str | None = None, device: str = "cpu"
    ) -> BundlePolicy:
        """The policy of the bundle folder ``path``, run by onnxruntime; raises BundleError."""
        return BundlePolicy(load_bundle(path, "vla", spec, contract_hash), spec, device=device)

    def check(self, instruction: str) -> str:
        """The instruction as the model can take it; raises InputError when it cannot."""
        cleaned = check_sentence(instruction)
        self._tokens(cleaned)
        return cleaned

    def reset(self, instruction: str) -> None:
        """Nothing is kept from one observation to the next."""

    def infer(self, observation: Observation, capture_stamp_ns: int) -> Chunk:
        """See Policy."""
        begin = time.perf_counter()
        try:
            rgb = observation.image_rgb
            if rgb is None:
                rgb = decode_jpeg(observation.image_jpeg or b"")
            decoded = time.perf_counter()
            image = prepare_image(rgb, self.section.image)
            tokens = self._tokens(observation.instruction)
        except InputError as error:
            raise PolicyError(str(error)) from None
        prepared = time.perf_counter()
        state = ((observation.state - self._state_mean) / self._state_std)[None]
        outputs = self._networks.run(image, tokens, state)
        if outputs.action.shape != self._shape:
            raise PolicyError(
                f"the network gave an action of shape {outputs.action.shape}, expected {self._shape}"
            )
        times = {
            "decode": (decoded - begin) * 1e3,
            "prepare": (prepared - decoded) * 1e3,
            **outputs.stages_ms,
        }
        return self._chunk(outputs, capture_stamp_ns, times)

    def _chunk(self, outputs: Outputs, stamp_ns: int, stages_ms: dict[str, float]) -> Chunk:
        section = self.section
        values = outputs.action.astype(np.float64) * self._action_std + self._action_mean
        loco, positions = values[:, -4:].copy(), values[:, :-4]
        # A regression to 0 or 1 overshoots half of the time; that is "shut" or "open", not a fault for the driver to note.
        positions[:, self._is_gripper] = np.clip(positions[:, self._is_gripper], 0.0, 1.0)
        if section.flag_classes:
            if outputs.flags is None or outputs.flags.shape != (self._shape[0], 3, 3):
                raise PolicyError("the network gave no flags of shape [T, 3, 3]")
            # Not finite logits must not pass for a choice.
            sure = np.isfinite(outputs.flags).all(axis=-1)
            loco[:, :3] = np.where(
                sure, np.array(section.flag_classes)[outputs.flags.argmax(axis=-1)], np.nan
            )
        return Chunk(
            joint_names=section.joint_names,
            positions=positions,
            step_s=section.chunk_step_s,
            loco=loco,
            mode=LocoMode.FLAGS if section.uses_flags else LocoMode.VELOCITY,
            latent=_latent(outputs, stamp_ns) if outputs.codes else None,
            done=None if outputs.progress is None else outputs.progress >= DONE_PROGRESS,
            progress=outputs.progress,
            stages_ms=stages_ms,
        )

    def _tokens(self, instruction: str) -> np.ndarray | None:
        if self._tokenizer is None:
            return None
        try:
            return encode(self._tokenizer, instruction, self.section.tokenizer.length)[None]
        except TokenizerError as error:
            raise InputError(str(error)) from None


def _tokenizer(bundle: Bundle, section: TokenizerSection) -> Tokenizer | None:
    if section.kind == "none":
        return None
    file = bundle.file(section.file)
    try:
        tokenizer = load_tokenizer(file, section.kind)
    except TokenizerError as error:
        raise BundleError(str(error)) from None
    if (tokenizer.size, tokenizer.hash) != (section.size, section.hash):
        raise BundleError(
            f"{file}: tokenizer {tokenizer.hash} of {tokenizer.size} tokens is not the one that the model was trained "
            f"with ({section.hash}, {section.size} tokens); copy the whole bundle again"
        )
    return tokenizer


def _latent(outputs: Outputs, stamp_ns: int) -> LatentAction:
    none = Codes(np.zeros(0, np.int64), np.zeros(0))
    mani, loco = outputs.codes.get("mani", none), outputs.codes.get("loco", none)
    return LatentAction(mani.index, mani.confidence, loco.index, loco.confidence, stamp_ns)


def _statistics(section) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(section.mean, np.float32), np.asarray(section.std, np.float32)
