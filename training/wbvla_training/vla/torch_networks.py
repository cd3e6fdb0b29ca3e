"""A bundle's safetensors weights behind the robot's interface: the torch backend."""

from __future__ import annotations

import time

import numpy as np
import torch
from wbvla_core.bundle import Bundle, BundleError
from wbvla_core.tokenizer import TokenizerError, load_tokenizer
from wbvla_core.vla_bundle import VlaSection
from wbvla_vla_node.networks import Outputs, chosen

from .configuration import VlaConfig
from .errors import VlaError
from .files import PARTS_FILE, load_weights, read_parts, without_sources
from .modeling import VlaModel


class TorchNetworks:
    """See wbvla_vla_node.networks.Networks."""

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        """Raises BundleError when weights and section do not fit, or there is no such device."""
        section: VlaSection = bundle.section
        weights = bundle.file(section.weights)
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise BundleError(f"{bundle.path}: torch has no CUDA device here; use device:=cpu")
        try:
            config = VlaConfig.load(bundle.file(section.model))
            if config.image != section.image or config.decoding != section.decoding:
                raise VlaError(
                    f"{section.model}: image or decoding differ from bundle.json; export the bundle again"
                )
            for name, book in config.codebooks.items():
                if section.codebooks.get(name) is None or section.codebooks[name].hash != book.hash:
                    raise VlaError(
                        f"{section.model}: codebook '{name}' {book.hash or 'without a hash'} is not the one in bundle.json; "
                        "export the bundle again"
                    )
            tokenizer = load_tokenizer(bundle.file(section.tokenizer.file), section.tokenizer.kind)
            model = VlaModel(
                without_sources(config), tokenizer.size, tokenizer.pad, section.state_names, len(section.action_names),
                read_parts(bundle.file(PARTS_FILE)),
            )  # fmt: skip
            load_weights(model, weights)
        except (VlaError, TokenizerError) as error:
            raise BundleError(str(error)) from None
        self._model, self._device = model.to(device).eval(), device

    @torch.inference_mode()
    def run(self, image: np.ndarray, tokens: np.ndarray | None, state: np.ndarray) -> Outputs:
        """See Networks."""
        begin = time.perf_counter()
        features = self._model.features(torch.from_numpy(image).to(self._device))
        self._wait()
        seen = time.perf_counter()
        reading = self._model.choose(features, torch.from_numpy(tokens).to(self._device))
        codes = {name: chosen(logits[0].float().cpu().numpy()) for name, logits in reading.logits.items()}
        understood = time.perf_counter()
        decoded = self._model.act(reading, torch.from_numpy(state).to(self._device))
        action = decoded.action[0].float().cpu().numpy()
        flags = None if decoded.flags is None else decoded.flags[0].float().cpu().numpy()
        stages = {
            "vision": (seen - begin) * 1e3,
            "language": (understood - seen) * 1e3,
            "decoder": (time.perf_counter() - understood) * 1e3,
        }
        return Outputs(action, flags, float(decoded.progress[0, 0]), codes, stages)

    def _wait(self) -> None:
        if self._device.startswith("cuda"):
            torch.cuda.synchronize()
