"""Fits the project's own small tokenizer: task sentences and a word list in, a piece vocabulary out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from wbvla_core.tokenizer import SPECIALS, WORD_START, PieceTokenizer, words

SIZE = 1000
WORDS_FILE = Path(__file__).parent / "data" / "words.txt"


def known_sentences() -> list[str]:
    """Sentences of reach_table, all variants. The other tasks' words are in the list or made of pieces; one more sentence
    here would give every new model another vocabulary."""
    from wbvla_sim.scene_parts import BALL_COLOURS
    from wbvla_sim.tasks.reach_table import HANDS, sentence_of

    return [sentence_of(colour, hand) for colour in BALL_COLOURS for hand in HANDS]


def fit(sentences: Iterable[str], size: int = SIZE) -> PieceTokenizer:
    """A vocabulary of ``size`` tokens: every character of plain English, the words of ``sentences`` whole, then words of
    the packaged list, then their most frequent endings and beginnings. The same input gives the same vocabulary."""
    listed = WORDS_FILE.read_text(encoding="utf-8").split()
    counted = Counter(word for sentence in sentences for word in words(sentence))
    characters = "abcdefghijklmnopqrstuvwxyz0123456789.,;:!?'\"-()/%&+"
    pieces = [*characters, *(WORD_START + c for c in characters if c.isalnum())]
    room = size - len(SPECIALS)
    wanted = [WORD_START + word for word, _ in sorted(counted.items(), key=lambda item: (-item[1], item[0]))]
    wanted += [WORD_START + word for word in listed]
    wanted += _fragments([*counted, *listed])
    for piece in wanted:
        if len(pieces) >= room:
            break
        if piece not in pieces:
            pieces.append(piece)
    return PieceTokenizer(tuple(pieces))


def _fragments(vocabulary: list[str]) -> list[str]:
    """Endings and beginnings of words, the most useful first."""
    found: Counter[str] = Counter()
    for word in vocabulary:
        for length in range(2, min(5, len(word))):
            found[word[-length:]] += length
            found[WORD_START + word[:length]] += length
    return [piece for piece, _ in sorted(found.items(), key=lambda item: (-item[1], item[0]))]
