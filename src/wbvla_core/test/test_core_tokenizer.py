"""Sentences become tokens by longest pieces and bytes; what does not fit is refused, nothing is cut off."""

from __future__ import annotations

import json

import numpy as np
import pytest
from wbvla_core.tokenizer import BYTES, SPECIALS, PieceTokenizer, TokenizerError, encode, load_tokenizer

PIECES = ("▁", "▁touch", "▁the", "▁ball", "▁b", "a", "l", "s", "▁bal")


@pytest.fixture
def tokenizer():
    return PieceTokenizer(PIECES)


def names(tokenizer, text):
    everything = (*SPECIALS, *PIECES)
    return [everything[number] for number in tokenizer.pieces(text)]


def test_longest_piece_wins_and_case_and_spacing_do_not_matter(tokenizer):
    assert names(tokenizer, "Touch  the BALL") == ["▁touch", "▁the", "▁ball"]
    assert names(tokenizer, "balls") == ["▁ball", "s"]
    assert names(tokenizer, "bala") == ["▁bal", "a"]


def test_unknown_characters_become_their_bytes(tokenizer):
    assert names(tokenizer, "é") == ["▁", *(BYTES[value] for value in "é".encode())]
    assert names(PieceTokenizer(("a",)), "请")[-3:] == [BYTES[value] for value in "请".encode()]


def test_different_texts_have_different_tokens(tokenizer):
    texts = ["touch the ball", "touch the bal", "the ball touch", "请", "诈", "ball s", "balls"]
    assert len({tuple(tokenizer.pieces(text)) for text in texts}) == len(texts)


def test_sentence_is_padded_and_a_longer_one_refused_not_cut(tokenizer):
    tokens = encode(tokenizer, "touch the ball", 6)
    assert tokens.dtype == np.int64 and tokens[0] == tokenizer.start
    assert tokens[4:].tolist() == [tokenizer.pad] * 2
    with pytest.raises(TokenizerError, match="has 5 tokens, the model takes at most 4"):
        encode(tokenizer, "touch the ball touch", 4)


def test_file_gives_back_the_same_tokenizer_and_another_vocabulary_another_hash(tokenizer, tmp_path):
    file = tmp_path / "tokenizer.json"
    file.write_text(tokenizer.to_json(), encoding="utf-8")
    again = load_tokenizer(file, "pieces")
    assert (again.size, again.hash) == (tokenizer.size, tokenizer.hash)
    assert PieceTokenizer((*PIECES, "x")).hash != tokenizer.hash


@pytest.mark.parametrize(
    "content", ["", "[]", json.dumps({"format": "other", "pieces": []}), '{"pieces": ["a"]}']
)
def test_malformed_file_is_refused_naming_it(tmp_path, content):
    file = tmp_path / "tokenizer.json"
    file.write_text(content)
    with pytest.raises(TokenizerError, match=r"tokenizer\.json"):
        load_tokenizer(file, "pieces")


def test_missing_file_unknown_kind_and_double_piece_are_refused(tmp_path):
    with pytest.raises(TokenizerError, match="not found"):
        load_tokenizer(tmp_path / "none.json", "pieces")
    with pytest.raises(TokenizerError, match="sentencepiece"):
        load_tokenizer(tmp_path / "none.json", "sentencepiece")
    with pytest.raises(TokenizerError, match="twice"):
        PieceTokenizer(("a", "a"))
