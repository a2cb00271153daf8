import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasrnn import InputError
from kerasrnn import text as text_module
from kerasrnn.text import Vocabulary, clean, count, detokenize, encode_corpus, tokenize

LINES = ["this is a good story ,", "that is a pen ."]


@pytest.fixture(scope="module")
def time_machine():
    path = Path(os.environ.get("KERASRNN_DATA", "")) / "text" / "timemachine.txt"
    if not path.is_file():
        pytest.skip("The Time Machine is not under KERASRNN_DATA")
    return [clean(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_worked_example():
    lines = [tokenize(clean(line), "word") for line in LINES]
    vocabulary = Vocabulary(lines)
    assert vocabulary.tokens == ("<unk>", "is", "a", "this", "good", "story", "that", "pen")
    assert vocabulary.encode(lines) == [[3, 1, 2, 4, 5], [6, 1, 2, 7]]
    assert vocabulary.decode(vocabulary.encode(lines)) == lines
    one_hot = np.eye(len(vocabulary))[vocabulary.encode(lines[0])]
    assert one_hot.shape == (5, 8) and one_hot[0].argmax() == 3 and one_hot[0].sum() == 1


def test_the_time_machine_has_the_published_counts(time_machine):
    characters = [tokenize(line, "char") for line in time_machine]
    assert len(Vocabulary(characters)) == 28
    assert sum(map(len, characters)) == 170_580
    assert len(Vocabulary([tokenize(line, "word") for line in time_machine])) == 4_580


def test_what_is_unknown_gets_id_0():
    vocabulary = Vocabulary("abba")
    assert vocabulary.encode("z") == 0 and vocabulary.encode(["a", "z"]) == [1, 0]
    assert "a" in vocabulary and "z" not in vocabulary and len(vocabulary) == 3
    assert vocabulary.decode([np.int32(1), 0]) == ["a", "<unk>"]


def test_reserved_tokens_frequencies_and_sizes():
    vocabulary = Vocabulary("aaabbc", reserved=["<pad>", "c"], min_frequency=2)
    assert vocabulary.tokens == ("<unk>", "<pad>", "c", "a", "b")
    assert Vocabulary("aaabbc", max_size=2).tokens == ("<unk>", "a")
    assert Vocabulary(count("aab")) == Vocabulary("aab") != Vocabulary("abb")


@given(st.lists(st.text()))
def test_json_round_trip_and_decode_of_any_text(texts):
    vocabulary = Vocabulary(texts)
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary
    assert vocabulary.decode(vocabulary.encode(texts)) == texts


@pytest.mark.parametrize("text", ["", "{}", "[]", '["a"]', '["<unk>", "a", "a"]', '["<unk>", 1]'])
def test_what_is_no_vocabulary_is_named(text):
    with pytest.raises(InputError, match="vocabulary"):
        Vocabulary.from_json(text)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="unknown unit of text: found 'line'"):
        tokenize("a", "line")
    with pytest.raises(InputError, match="repeat"):
        Vocabulary("a", reserved=["<unk>"])
    with pytest.raises(InputError, match="max_size too small: found 1; expected at least 2"):
        Vocabulary("a", max_size=1, reserved=["b"])
    with pytest.raises(InputError, match="found 9; expected 0 to 1"):
        Vocabulary("a").decode(9)


def test_words_are_joined_as_text():
    assert detokenize(["Hello", ",", "(", "world", ")", "!"], "word") == "Hello, (world)!"
    assert detokenize(["a", " ", "b"], "char") == "a b"
    assert detokenize(["b", "c"], "word", after="a") == " b c"
    assert detokenize(["b"], "word", after="a ") == detokenize(["b"], "word", after="(") == "b"


def test_characters_are_code_points():
    text = "é😀שלום\r\n"
    assert detokenize(tokenize(text)) == text and len(tokenize("😀")) == 1


PIECES = ["the quick  bro", "wn fox\njumps\tover 😀 ", "the\n", "\nlazy d", "og"]


@pytest.mark.parametrize("unit", ["char", "word"])
@pytest.mark.parametrize("classic", [False, True])
@pytest.mark.parametrize("max_tokens", [None, 1, 4, 13])
def test_a_corpus_in_pieces_is_encoded_like_the_whole(unit, classic, max_tokens):
    whole = "".join(PIECES)
    lines = [clean(line) for line in whole.split("\n")] if classic else [whole]
    tokens = [token for line in lines for token in tokenize(line, unit)][:max_tokens]
    vocabulary, ids = encode_corpus(
        lambda: iter(PIECES), unit, classic=classic, max_tokens=max_tokens
    )
    assert vocabulary == Vocabulary(tokens)
    assert ids.tolist() == vocabulary.encode(tokens) and ids.dtype == np.uint8


@pytest.mark.parametrize("unit", ["char", "word"])
def test_rare_tokens_become_unknown(unit):
    vocabulary, ids = encode_corpus(lambda: iter(["a b a c a b"]), unit, min_frequency=2)
    assert "c" not in vocabulary and 0 in ids.tolist()


def test_a_large_corpus_is_memory_mapped(monkeypatch):
    monkeypatch.setattr(text_module, "LARGE", 10)
    vocabulary, ids = encode_corpus(lambda: iter(PIECES))
    assert isinstance(ids, np.memmap)
    assert "".join(vocabulary.decode(ids)) == "".join(PIECES)
