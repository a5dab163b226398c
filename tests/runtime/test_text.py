"""Text ↔ token ids: the rule as a table, the JSON form, and what is refused."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetool_runtime.errors import InputError, ManifestError
from aetool_runtime.strict_json import Node
from aetool_runtime.text import BYTES, Tokenizer, parse_tokenizer, tokenizer_json

PAD = 256
WORDS = Tokenizer((*BYTES, b"", b"ab", b"abc", b"bcd", "é".encode()), pad=PAD, length=4)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("", []),
        ("a", [97]),
        ("ab", [257]),
        ("abc", [258]),  # the longest entry, not the first
        ("abcd", [258, 100]),  # from the left: not a, bcd
        ("bcd", [259]),
        ("é", [260]),
        ("ü", [0xC3, 0xBC]),  # bytes, where there is no entry
        ("\0", [0]),
        ("ababab!", [257, 257, 257, 33]),
    ],
)
def test_the_longest_entry_from_left_to_right(text: str, ids: list[int]) -> None:
    assert WORDS.tokens(text) == ids
    assert WORDS.encode([text]).tolist() == [ids + [PAD] * (4 - len(ids))]
    assert WORDS.decode(WORDS.encode([text])) == [text]


def test_what_is_longer_is_cut_off() -> None:
    assert WORDS.decode(WORDS.encode(["vwxyz"])) == ["vwxy"]
    assert WORDS.encode(["x", "yz"]).dtype == np.int32
    assert WORDS.encode([]).shape == (0, 4)


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(text: str) -> None:
    tokens = WORDS.tokens(text)
    assert WORDS.decode(np.array([tokens], np.int32).reshape(1, -1)) == [text]


def test_ids_that_are_no_text() -> None:
    assert WORDS.decode(np.array([[0xC3, PAD, 97]])) == ["\ufffda"]  # pads stand for nothing wherever they are


@pytest.mark.parametrize("ids", [[[261]], [[-1]], [[1.0]], [1]])
def test_ids_without_an_entry(ids: list[object]) -> None:
    with pytest.raises(InputError, match="token ids"):
        WORDS.decode(np.array(ids))


def test_half_a_surrogate_pair() -> None:
    with pytest.raises(InputError, match=re.escape("cannot be written as UTF-8 (character 1)")):
        WORDS.encode(["a\ud800"])


def test_the_json_form_reads_back_equal() -> None:
    document = tokenizer_json(WORDS)
    assert {key: value for key, value in document.items() if key != "entries"} == {
        "rule": "longest-match",
        "length": 4,
        "pad": 256,
    }
    assert document["entries"][254:] == ["fe", "ff", "", "6162", "616263", "626364", "c3a9"]
    assert parse_tokenizer(Node(json.loads(json.dumps(document)), "m")) == WORDS
    assert parse_tokenizer(None) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rule": "bpe"}, "rule is 'bpe'; expected one of longest-match"),
        ({"length": 0}, "length is 0"),
        ({"pad": 255}, "the entry 255 is to be the pad"),
        ({"pad": 900}, "the entry 900 is to be the pad"),
        ({"entries": ["", "61"]}, "a single byte is missing|is to be the pad"),
        ({"entries": [*tokenizer_json(WORDS)["entries"], "6162"]}, "two entries are the same"),
        ({"entries": [*tokenizer_json(WORDS)["entries"], "6"]}, r"entries\[261\] is '6'"),
        ({"entries": [*tokenizer_json(WORDS)["entries"], "6G"]}, "pairs of lower-case hexadecimal digits"),
        ({"entries": 3}, "entries is 3"),
    ],
)
def test_a_damaged_json_form_is_refused_by_name(change: dict[str, object], message: str) -> None:
    with pytest.raises(ManifestError, match=message):
        parse_tokenizer(Node(tokenizer_json(WORDS) | change, "m"))


def test_a_missing_member() -> None:
    with pytest.raises(ManifestError, match="no 'pad'"):
        parse_tokenizer(Node({"rule": "longest-match", "length": 1, "entries": []}, "m"))
