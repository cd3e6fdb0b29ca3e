"""The networks of a VLA bundle behind one call, whatever runs them: prepared inputs in, raw outputs and times out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from wbvla_core.bundle import Bundle, onnx_session
from wbvla_core.vla_bundle import VlaSection


@dataclass(frozen=True)
class Codes:
    """Chosen codes of one codebook [n] and their probabilities [n], 0..1."""

    index: np.ndarray
    confidence: np.ndarray


@dataclass(frozen=True)
class Outputs:
    """``action`` [T, A] normalised; ``flags`` logits [T, 3, 3] and ``progress`` 0..1 where the model gives them;
    ``codes`` by codebook; ``stages_ms`` the times of its parts."""

    action: np.ndarray
    flags: np.ndarray | None = None
    progress: float | None = None
    codes: dict[str, Codes] = field(default_factory=dict)
    stages_ms: dict[str, float] = field(default_factory=dict)


class Networks(Protocol):
    """``run``: image float32 [1, 3, H, W], tokens int64 [1, L] (None: no language), state float32 [1, S],
    normalised."""

    def run(self, image: np.ndarray, tokens: np.ndarray | None, state: np.ndarray) -> Outputs: ...


class SingleNetwork:
    """One ONNX file from image and state to action."""

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        section: VlaSection = bundle.section
        self._session = onnx_session(
            bundle.file(section.networks["policy"]),
            {"image": section.image.width, "state": len(section.state_names)},
            {"action": len(section.action_names)},
            device,
        )

    def run(self, image: np.ndarray, tokens: np.ndarray | None, state: np.ndarray) -> Outputs:
        """See Networks."""
        begin = time.perf_counter()
        (action,) = self._session.run(["action"], {"image": image, "state": state})
        return Outputs(action[0], stages_ms={"policy": (time.perf_counter() - begin) * 1e3})


class StagedNetworks:
    """Three ONNX files: vision, language with latent codes, decoder."""

    def __init__(self, bundle: Bundle, device: str = "cpu") -> None:
        section: VlaSection = bundle.section
        self._section = section
        files = {stage: bundle.file(name) for stage, name in section.networks.items()}
        book_widths = {f"logits_{name}": book.codes for name, book in section.codebooks.items()}
        # How wide features are, the bundle leaves to the model.
        self._vision = onnx_session(
            files["vision"], {"image": section.image.width}, {"features": None}, device
        )
        (width,) = (output.shape[-1] for output in self._vision.get_outputs())
        taken = {"features": width, "tokens": section.tokenizer.length}
        if section.decoding == "autoregressive":
            taken["codes"] = section.code_tokens
        given = {"hidden": width, "visual": width, **book_widths}
        self._language = onnx_session(files["language"], taken, given, device)
        decoded = {
            "action": len(section.action_names),
            "progress": 1,
            **({"flags": 3} if section.flag_classes else {}),
        }
        self._decoder = onnx_session(
            files["decoder"],
            {"hidden": width, "visual": width, "state": len(section.state_names)},
            decoded,
            device,
        )
        self._given, self._decoded = list(given), list(decoded)

    def run(self, image: np.ndarray, tokens: np.ndarray | None, state: np.ndarray) -> Outputs:
        """See Networks."""
        begin = time.perf_counter()
        (features,) = self._vision.run(["features"], {"image": image})
        seen = time.perf_counter()
        if self._section.decoding == "autoregressive":
            read = self._one_by_one(features, tokens)
        else:
            read = self._read({"features": features, "tokens": tokens})
        codes = {name: chosen(read[f"logits_{name}"][0]) for name in self._section.codebooks}
        understood = time.perf_counter()
        given = {"hidden": read["hidden"], "visual": read["visual"], "state": state}
        decoded = dict(zip(self._decoded, self._decoder.run(self._decoded, given), strict=True))
        stages = {
            "vision": (seen - begin) * 1e3,
            "language": (understood - seen) * 1e3,
            "decoder": (time.perf_counter() - understood) * 1e3,
        }
        flags = decoded["flags"][0] if "flags" in decoded else None
        return Outputs(decoded["action"][0], flags, float(decoded["progress"][0, 0]), codes, stages)

    def _read(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(self._given, self._language.run(self._given, inputs), strict=True))

    def _one_by_one(self, features: np.ndarray, tokens: np.ndarray) -> dict[str, np.ndarray]:
        """Each code is chosen with those before it in sight."""

        def read(codes: np.ndarray) -> dict[str, np.ndarray]:
            return self._read({"features": features, "tokens": tokens, "codes": codes})

        books = {name: book.tokens for name, book in self._section.codebooks.items()}
        return autoregress(read, books)


def autoregress(
    read: Callable[[np.ndarray], dict[str, np.ndarray]], books: dict[str, int]
) -> dict[str, np.ndarray]:
    """Choose the codes one after the other; ``read(codes int64 [1, N])`` runs the language stage. Returns its last
    outputs."""
    codes = np.zeros((1, sum(books.values())), np.int64)
    outputs: dict[str, np.ndarray] = {}
    place = 0
    for name, tokens in books.items():
        for i in range(tokens):
            outputs = read(codes)
            codes[0, place] = int(outputs[f"logits_{name}"][0, i].argmax())
            place += 1
    return outputs


def chosen(logits: np.ndarray) -> Codes:
    """The likeliest code of each token; ``logits`` [n, codes]."""
    index = logits.argmax(axis=-1)
    share = np.exp(logits - logits.max(axis=-1, keepdims=True))
    share = share / share.sum(axis=-1, keepdims=True)
    return Codes(index, np.take_along_axis(share, index[:, None], axis=-1)[:, 0])
