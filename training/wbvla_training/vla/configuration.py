"""What a VLA is made of. ``paper`` and ``tiny`` are the same classes and differ by these numbers only."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

from wbvla_core.bundle import dump
from wbvla_core.typed_json import TypedJsonError, from_json, to_json
from wbvla_core.vla_bundle import DECODINGS, ImageSection

from .errors import VlaError

CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class EncoderConfig:
    """One vision transformer. ``source``: folder (Hugging Face layout) or hub name to load it from, "" to make it from
    the sizes; ``layer``: whose hidden states are taken (-1 the last, -2 the one before, as Prismatic does). ``mean`` and
    ``std``: how this encoder wants its pixels scaled, whatever the image section does."""

    source: str
    width: int
    depth: int
    heads: int
    mlp: int
    patch: int
    layer: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class LanguageConfig:
    """A Llama. ``source`` as for encoders; ``attention``: "causal", or "full": every token sees every other one, which
    parallel decoding allows and a small model needs, because only so its picture tokens see the sentence."""

    source: str
    width: int
    depth: int
    heads: int
    mlp: int
    attention: str
    length: int
    """Tokens of the sentence, start and padding included."""


@dataclass(frozen=True)
class CodebookConfig:
    """Codes of one latent action model: ``tokens`` an observation, each one of ``codes``. ``hash`` of the codebook whose
    labels it learned, "" for none yet."""

    tokens: int
    codes: int
    hash: str = ""


@dataclass(frozen=True)
class DecoderConfig:
    """Execution decoder. ``chunk`` rows ``step_s`` apart; ``flags``: classify s_x, s_y, s_yaw, else regress velocities;
    ``queries`` of the attention pools; ``blind``: states kept from the decoder (their names). ``state_dropout``: share
    of samples without any state, ``state_noise``: of the states' spread, both in training only, against copying."""

    width: int
    heads: int
    queries: int
    depth: int
    chunk: int
    step_s: float
    flags: bool
    blind: tuple[str, ...]
    state_dropout: float
    state_noise: float


@dataclass(frozen=True)
class VlaConfig:
    """A whole model. ``codebooks`` in the order of their tokens: ("mani", "loco"). ``tokenizer``: kind, and for a
    published language model the tokenizer's file is taken from its ``source``."""

    name: str
    image: ImageSection
    dinov2: EncoderConfig
    siglip: EncoderConfig
    language: LanguageConfig
    tokenizer: str
    codebooks: dict[str, CodebookConfig]
    decoding: str
    decoder: DecoderConfig

    def __post_init__(self) -> None:
        if self.decoding not in DECODINGS[1:]:
            raise ValueError(f"decoding {self.decoding!r} must be one of {', '.join(DECODINGS[1:])}")
        if self.language.attention not in ("causal", "full"):
            raise ValueError(f"attention {self.language.attention!r} must be causal or full")
        if self.decoding == "autoregressive" and self.language.attention == "full":
            raise ValueError("autoregressive decoding needs causal attention")
        if self.image.width != self.image.height:
            raise ValueError("the encoders take square pictures")
        for name in ("dinov2", "siglip"):
            if self.image.width % getattr(self, name).patch:
                raise ValueError(f"{name}: pictures of {self.image.width} px do not divide into patches")
        if self.dinov2.patch != self.siglip.patch:
            raise ValueError(
                f"dinov2.patch {self.dinov2.patch} and siglip.patch {self.siglip.patch} must be equal: features of the same "
                "patch are put side by side"
            )
        if not self.codebooks:
            raise ValueError("codebooks must not be empty: the code tokens are what the decoder reads")

    @property
    def patches(self) -> int:
        """Picture tokens."""
        return (self.image.width // self.dinov2.patch) ** 2

    @property
    def code_tokens(self) -> int:
        return sum(book.tokens for book in self.codebooks.values())

    def with_hashes(self, hashes: dict[str, str]) -> VlaConfig:
        """The configuration of a model that learned the labels of these codebooks."""
        books = {
            name: replace(book, hash=hashes.get(name, book.hash)) for name, book in self.codebooks.items()
        }
        return replace(self, codebooks=books)

    def save(self, folder: Path) -> None:
        (folder / CONFIG_FILE).write_text(dump(to_json(self)), encoding="utf-8")

    @staticmethod
    def load(file: Path) -> VlaConfig:
        """Read a configuration file; raises VlaError."""
        try:
            return from_json(VlaConfig, json.loads(file.read_text(encoding="utf-8")), str(file))
        except FileNotFoundError:
            raise VlaError(f"{file}: not found; give the folder of a trained VLA") from None
        except (OSError, json.JSONDecodeError, TypedJsonError) as error:
            raise VlaError(f"{file}: not a VLA configuration ({error})") from None


_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
LEGS = tuple(
    f"{side}_{joint}_joint"
    for side in ("left", "right")
    for joint in ("hip_pitch", "hip_roll", "hip_yaw", "knee", "ankle_pitch", "ankle_roll")
)
"""Legs say whether the robot walks already, which a small model would copy instead of looking."""


def tiny() -> VlaConfig:
    """What two cores train: 112 px, 64 patches, width 128, 0.33 GFLOP a picture and 3.1 million parameters."""
    encoder = {"source": "", "width": 128, "depth": 3, "heads": 4, "mlp": 512, "patch": 14, "layer": -1}
    return VlaConfig(
        name="tiny",
        image=ImageSection((0.0, 0.0, 1.0, 1.0), 112, 112, *_IMAGENET),
        dinov2=EncoderConfig(**encoder, mean=_IMAGENET[0], std=_IMAGENET[1]),
        siglip=EncoderConfig(**encoder, mean=_HALF[0], std=_HALF[1]),
        language=LanguageConfig("", 128, 3, 4, 256, "full", 24),
        tokenizer="pieces",
        codebooks={"mani": CodebookConfig(4, 16), "loco": CodebookConfig(4, 16)},
        decoding="parallel",
        decoder=DecoderConfig(160, 4, 4, 2, 8, 0.1, True, LEGS, 0.1, 0.12),
    )


def paper() -> VlaConfig:
    """Prismatic 7B, what the paper starts from: DINOv2-L and SigLIP-so400m at 224 px, fused, and Llama-2 7B. Codebooks by
    UniVLA's values, the decoder by its real-world one (12 rows, width 512, 8 heads)."""
    return VlaConfig(
        name="paper",
        image=ImageSection((0.0, 0.0, 1.0, 1.0), 224, 224, *_IMAGENET),
        dinov2=EncoderConfig("facebook/dinov2-large", 1024, 24, 16, 4096, 14, -2, *_IMAGENET),
        siglip=EncoderConfig("google/siglip-so400m-patch14-224", 1152, 27, 16, 4304, 14, -2, *_HALF),
        language=LanguageConfig("meta-llama/Llama-2-7b-hf", 4096, 32, 32, 11008, "causal", 64),
        tokenizer="huggingface",
        codebooks={"mani": CodebookConfig(4, 16), "loco": CodebookConfig(4, 16)},
        decoding="parallel",
        decoder=DecoderConfig(512, 8, 1, 2, 12, 0.1, True, (), 0.1, 0.03),
    )


PRESETS = {"tiny": tiny, "paper": paper}


def preset(name: str) -> VlaConfig:
    """A configuration by name, or of a JSON file; raises VlaError."""
    if name in PRESETS:
        return PRESETS[name]()
    if name.endswith(".json"):
        return VlaConfig.load(Path(name))
    raise VlaError(f"there is no configuration '{name}'; choose {', '.join(PRESETS)}, or give a JSON file")
