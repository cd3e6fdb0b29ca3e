"""What makes model inputs of pictures, sentences and states, and actions of model outputs: saved with the weights,
and by the same functions of ``wbvla_core`` that the node runs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from wbvla_core.bundle import dump
from wbvla_core.tokenizer import (
    HUGGINGFACE,
    PIECES,
    PieceTokenizer,
    Tokenizer,
    TokenizerError,
    encode,
    load_tokenizer,
)
from wbvla_core.typed_json import TypedJsonError, from_json, to_json
from wbvla_core.vla_bundle import ImageSection, StatisticsSection
from wbvla_core.vla_input import scale_pictures, shrink_picture

from .configuration import VlaConfig
from .errors import VlaError
from .tokenizer import fit, known_sentences

PROCESSOR_FILE, TOKENIZER_FILE = "processor.json", "tokenizer.json"
FLAGS = 3


@dataclass(frozen=True)
class ProcessorFile:
    """Content of ``processor.json``. The statistics are empty until a dataset has been seen (pretraining)."""

    image: ImageSection
    tokenizer: str
    tokenizer_hash: str
    length: int
    robot: str
    robot_spec_hash: str
    contract_hash: str
    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    state_statistics: StatisticsSection
    action_statistics: StatisticsSection

    @property
    def has_statistics(self) -> bool:
        """Whether demonstrations have been seen."""
        return any(abs(value) > 0.0 for value in self.state_statistics.mean)


@dataclass(frozen=True)
class VlaProcessor:
    """``about`` is what is saved; ``tokenizer`` its vocabulary."""

    about: ProcessorFile
    tokenizer: Tokenizer

    def pictures(self, small: np.ndarray) -> torch.Tensor:
        """Model input [B, 3, H, W] of cached pictures uint8 [B, H, W, 3]."""
        return torch.from_numpy(scale_pictures(small, self.about.image))

    def shrink(self, rgb: np.ndarray) -> np.ndarray:
        """What the cache keeps of a camera picture uint8 [H, W, 3]."""
        return shrink_picture(rgb, self.about.image)

    def tokens(self, sentence: str) -> np.ndarray:
        """Tokens int64 [L]; raises VlaError when it is too long."""
        try:
            return encode(self.tokenizer, sentence, self.about.length)
        except TokenizerError as error:
            raise VlaError(f"sentence '{sentence[:60]}': {error}") from None

    def state(self, values: np.ndarray) -> np.ndarray:
        """Normalised states float32 [B, S]."""
        return _scale(values, self.about.state_statistics)

    def action(self, values: np.ndarray) -> np.ndarray:
        """Normalised actions float32 [..., A]; the model learns these."""
        return _scale(values, self.about.action_statistics)

    def action_units(self, values: np.ndarray) -> np.ndarray:
        """The model's action [..., A] in rad, m and fractions."""
        mean, std = _arrays(self.about.action_statistics)
        return values * std + mean

    def save(self, folder: Path) -> None:
        """Write ``processor.json`` and the tokenizer."""
        (folder / PROCESSOR_FILE).write_text(dump(to_json(self.about)), encoding="utf-8")
        target = folder / TOKENIZER_FILE
        if isinstance(self.tokenizer, PieceTokenizer):
            target.write_text(self.tokenizer.to_json(), encoding="utf-8")
        elif self.tokenizer.file.resolve() != target.resolve():
            shutil.copyfile(self.tokenizer.file, target)

    @staticmethod
    def load(folder: Path) -> VlaProcessor:
        """Read it back; raises VlaError, also for a tokenizer that the model was not trained with."""
        file = folder / PROCESSOR_FILE
        try:
            about = from_json(ProcessorFile, json.loads(file.read_text(encoding="utf-8")), str(file))
            tokenizer = load_tokenizer(folder / TOKENIZER_FILE, about.tokenizer)
        except FileNotFoundError:
            raise VlaError(f"{file}: not found; give the folder of a trained VLA") from None
        except (OSError, json.JSONDecodeError, TypedJsonError, TokenizerError) as error:
            raise VlaError(str(error)) from None
        if tokenizer.hash != about.tokenizer_hash:
            raise VlaError(
                f"{folder / TOKENIZER_FILE}: tokenizer {tokenizer.hash} is not the one that the model was trained with "
                f"({about.tokenizer_hash}); copy the whole checkpoint again"
            )
        return VlaProcessor(about, tokenizer)


def new_tokenizer(config: VlaConfig) -> Tokenizer:
    """The tokenizer of a model that begins: fitted here, or that of a published language model."""
    if config.tokenizer == PIECES:
        return fit(known_sentences())
    file = Path(config.language.source) / TOKENIZER_FILE
    if config.tokenizer == HUGGINGFACE and not file.exists():
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            file = Path(hf_hub_download(config.language.source, TOKENIZER_FILE))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
            reason = str(error).splitlines()[0]
            raise VlaError(
                f"no tokenizer.json at '{config.language.source}' ({reason}); give a folder that has it"
            ) from None
    try:
        return load_tokenizer(file, config.tokenizer)
    except TokenizerError as error:
        raise VlaError(str(error)) from None


def statistics_of(values: np.ndarray, least_std: float = 0.02) -> StatisticsSection:
    """Mean and spread of each column [N, D]; ``least_std`` keeps what hardly moves from being blown up."""
    mean, std = values.mean(axis=0), np.maximum(values.std(axis=0), least_std)
    return StatisticsSection(tuple(float(v) for v in mean), tuple(float(v) for v in std))


def _scale(values: np.ndarray, statistics: StatisticsSection) -> np.ndarray:
    mean, std = _arrays(statistics)
    return ((np.asarray(values, np.float32) - mean) / std).astype(np.float32)


def _arrays(statistics: StatisticsSection) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(statistics.mean, np.float32), np.asarray(statistics.std, np.float32)
