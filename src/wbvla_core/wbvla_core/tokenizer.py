"""Sentences as token numbers, the same in training and on the robot, without torch.

Two kinds. ``pieces``: a word-piece vocabulary of the project's own, a small JSON file read here. ``huggingface``: a
``tokenizer.json`` of a published language model, read by the ``tokenizers`` package, which only that kind needs.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from pathlib import Path
from typing import Protocol

import numpy as np

FORMAT = "wbvla-pieces-1"
PAD, START = "<pad>", "<s>"
BYTES = tuple(f"<0x{value:02X}>" for value in range(256))
SPECIALS = (PAD, START, *BYTES)
WORD_START = "▁"
PIECES, HUGGINGFACE = "pieces", "huggingface"
KINDS = (PIECES, HUGGINGFACE)
_WORDS = re.compile(r"\w+|[^\w\s]")


class TokenizerError(ValueError):
    """A tokenizer file or a sentence cannot be used; says why."""


class Tokenizer(Protocol):
    """``size`` tokens; ``hash`` identifies the vocabulary; ``pad`` fills up, ``start`` begins a text."""

    size: int
    hash: str
    pad: int
    start: int

    def pieces(self, text: str) -> list[int]:
        """Token numbers of a text, without start and padding."""
        ...


class PieceTokenizer:
    """Longest known piece first, per word; what no piece covers becomes the bytes of its UTF-8.

    Text is brought to NFKC and lower case, words and punctuation marks are apart; a piece that begins a word begins
    with ``▁``. Nothing is lost but case and spacing."""

    def __init__(self, pieces: tuple[str, ...]) -> None:
        """``pieces`` without the specials, which always come first: padding, start, 256 bytes."""
        self._all = (*SPECIALS, *pieces)
        if len(set(self._all)) != len(self._all):
            raise TokenizerError("the vocabulary has a piece twice")
        self._number = {piece: i for i, piece in enumerate(self._all)}
        self._longest = max((len(piece) for piece in pieces), default=1)
        self.size = len(self._all)
        self.pad, self.start = self._number[PAD], self._number[START]
        self.hash = hashlib.sha256("\n".join(self._all).encode()).hexdigest()[:16]

    def pieces(self, text: str) -> list[int]:
        """See Tokenizer."""
        found: list[int] = []
        for word in words(text):
            rest = WORD_START + word
            while rest:
                for length in range(min(len(rest), self._longest), 0, -1):
                    number = self._number.get(rest[:length])
                    if number is not None:
                        found.append(number)
                        rest = rest[length:]
                        break
                else:
                    if rest[0] != WORD_START:  # a word's start needs no byte of its own
                        found += [self._number[BYTES[value]] for value in rest[0].encode("utf-8")]
                    rest = rest[1:]
        return found

    def to_json(self) -> str:
        """The content of its file."""
        return (
            json.dumps({"format": FORMAT, "pieces": self._all[len(SPECIALS) :]}, ensure_ascii=False, indent=0)
            + "\n"
        )


class HuggingFaceTokenizer:
    """A ``tokenizer.json``; needs the ``tokenizers`` package."""

    def __init__(self, file: Path) -> None:
        try:
            from tokenizers import Tokenizer as Reader
        except ModuleNotFoundError:
            raise TokenizerError(
                f"{file}: this tokenizer needs the Python package 'tokenizers'; install it"
            ) from None
        try:
            self._reader = Reader.from_file(str(file))
        except Exception as error:  # the package raises bare Exceptions
            raise TokenizerError(f"{file}: not a usable tokenizer ({error})") from None
        self.file = file
        self._reader.no_truncation()
        self._reader.no_padding()
        self.size = self._reader.get_vocab_size()
        self.hash = hashlib.sha256(file.read_bytes()).hexdigest()[:16]
        self.start = self._first(file, "<s>", "<|begin_of_text|>", "[CLS]")
        self.pad = self._first(file, "<pad>", "<PAD>", "<unk>", "<|end_of_text|>", "[PAD]")

    def pieces(self, text: str) -> list[int]:
        """See Tokenizer."""
        return self._reader.encode(text, add_special_tokens=False).ids

    def _first(self, file: Path, *names: str) -> int:
        for name in names:
            number = self._reader.token_to_id(name)
            if number is not None:
                return number
        raise TokenizerError(f"{file}: the vocabulary has none of {', '.join(names)}")


def words(text: str) -> list[str]:
    """Words and punctuation marks of a text, in NFKC and lower case."""
    return _WORDS.findall(unicodedata.normalize("NFKC", text).lower())


def load_tokenizer(file: Path, kind: str) -> Tokenizer:
    """The tokenizer in ``file``; raises TokenizerError."""
    if kind not in KINDS:
        raise TokenizerError(f"tokenizer kind '{kind}' is unknown; known are {', '.join(KINDS)}")
    if not file.is_file():
        raise TokenizerError(f"{file}: not found; copy the whole bundle or checkpoint again")
    if kind == HUGGINGFACE:
        return HuggingFaceTokenizer(file)
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
        if data["format"] != FORMAT:
            raise TokenizerError(f"{file}: format is {data['format']!r}, expected {FORMAT!r}")
        return PieceTokenizer(tuple(str(piece) for piece in data["pieces"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TokenizerError(f"{file}: not a tokenizer of kind {PIECES} ({error})") from None


def encode(tokenizer: Tokenizer, text: str, length: int) -> np.ndarray:
    """Tokens int64 [length] of a sentence: start, pieces, padding.

    Raises:
        TokenizerError: it does not fit; cutting it off could turn its meaning round.
    """
    found = [tokenizer.start, *tokenizer.pieces(text)]
    if len(found) > length:
        raise TokenizerError(
            f"instruction has {len(found)} tokens, the model takes at most {length}; say it in fewer or plainer words"
        )
    tokens = np.full(length, tokenizer.pad, np.int64)
    tokens[: len(found)] = found
    return tokens
