"""Text as data: files, the built-in sentences, and the vocabulary learned from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aetool.config import DataConfig
from aetool.data import open_source, open_texts, prepare_data, read_samples
from aetool.data.subwords import learn_entries
from aetool_runtime.errors import InputError, UsageError
from aetool_runtime.text import BYTES, Tokenizer

CONFIG = DataConfig(normalization="none", text_length=8)
BYTES_ONLY = Tokenizer((*BYTES, b""), pad=256, length=8)


def written(folder: Path, text: str, name: str = "texts.txt") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_one_sample_per_line(tmp_path: Path) -> None:
    texts = open_texts(written(tmp_path, "one\n\n  \ntwo words\nthrée"))
    assert texts is not None
    assert texts.lines == ("one", "two words", "thrée")


@pytest.mark.parametrize(
    ("first", "is_text"), [("1.5 2", False), ("1", True), ("1 apple", True), ("3 4 5", False), ("words", True)]
)
def test_a_table_is_no_text(tmp_path: Path, first: str, is_text: bool) -> None:
    assert (open_texts(written(tmp_path, f"{first}\n")) is not None) == is_text


@pytest.mark.parametrize("spec", ["builtin:ecg", "data.npy", "missing.txt"])
def test_what_is_no_text(spec: str) -> None:
    assert open_texts(spec) is None


def test_the_built_in_sentences() -> None:
    texts = open_texts("builtin:text")
    assert texts is not None
    assert len(texts.lines) > 1000
    assert len(set(texts.lines)) == len(texts.lines)
    assert all(16 <= len(line) <= 64 and line.isascii() for line in texts.lines)
    assert open_texts("builtin:text") == texts


def test_merges_worked_by_hand() -> None:
    # aa occurs 3 times, ab twice; then aaab is aa a b and aab is aa b, and no pair occurs twice.
    assert learn_entries(["aaab aab"], 260)[257:] == (b"aa",)
    assert learn_entries(["xyxyxy"], 258)[257:] == (b"xy",)
    assert learn_entries(["abcd"], 300)[257:] == ()  # no pair occurs twice


def test_the_vocabulary_depends_on_the_text_only() -> None:
    lines = ["the cat and the hat", "the mat", "a cat", "that hat"]
    entries = learn_entries(lines, 270)
    assert entries == learn_entries(lines, 270)
    assert entries[:257] == (*BYTES, b"")
    assert len(set(entries)) == len(entries)
    assert learn_entries(lines, 262) == entries[:262]


def test_prepared_texts(tmp_path: Path) -> None:
    lines = [f"line {index:02} of many" for index in range(50)]
    notices: list[str] = []
    data = prepare_data(written(tmp_path, "\n".join(lines)), CONFIG, notices.append)
    assert data.tokenizer == BYTES_ONLY
    assert data.sample_shape == (8,)
    tokens = data.split.test.take(np.arange(5))
    assert tokens.dtype == np.int32
    assert all(text in {line[:8] for line in lines} for text in data.tokenizer.decode(tokens))
    assert data.normalization.is_identity
    assert notices == ["50 of 50 texts are longer than 8 tokens and are cut off"]


def test_the_vocabulary_is_learned_from_the_training_part_only(tmp_path: Path) -> None:
    file = written(tmp_path, "\n".join(["aaaa bbbb"] * 9 + ["qzqzqzqz"]))
    config = DataConfig(normalization="none", vocabulary=300, split_seed=next(_seeds_with_last_in_test()))
    tokenizer = prepare_data(file, config, lambda _: None).tokenizer
    assert tokenizer is not None
    assert b"aaaa" in tokenizer.entries
    assert b"qz" not in tokenizer.entries


def _seeds_with_last_in_test():
    return (seed for seed in range(100) if np.random.default_rng(seed).permutation(10)[-1] == 9)


def test_repeated_texts_are_told(tmp_path: Path) -> None:
    notices: list[str] = []
    prepare_data(written(tmp_path, "same\n" * 20), CONFIG, notices.append)
    assert notices == ["2 of 2 texts of the test part stand in the training part as well"]


def test_tokens_have_no_scale(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match='normalization is "standard", and token ids have no scale'):
        prepare_data(written(tmp_path, "a\nb\nc\n"), DataConfig(), print)


def test_text_needs_a_tokenizer_to_become_rows(tmp_path: Path) -> None:
    file = written(tmp_path, "one\ntwo\n")
    with pytest.raises(InputError, match="is text; expected numbers"):
        open_source(file)
    rows = read_samples(open_source(file, tokenizer=BYTES_ONLY), (8,), dtype="int32")
    assert rows.dtype == np.int32
    assert BYTES_ONLY.decode(rows) == ["one", "two"]


@pytest.mark.parametrize(("content", "message"), [(b"\n \n", "holds no text"), (b"\xff\n", "is not UTF-8 text")])
def test_files_that_are_no_text(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "bad.txt").write_bytes(content)
    with pytest.raises(InputError, match=message):
        open_texts(tmp_path / "bad.txt")
