import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kerasrnn import InputError
from kerasrnn.text import MASK, Vocabulary, clean, tokens_of

CHARACTERS, WORDS = tokens_of("char"), tokens_of("word")

LINES = ["this is a good story ,", "that is a pen ."]


@pytest.fixture(scope="module")
def time_machine():
    path = Path(os.environ.get("KERASRNN_DATA", "")) / "text" / "timemachine.txt"
    if not path.is_file():
        pytest.skip("The Time Machine is not under KERASRNN_DATA")
    return [clean(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_worked_example():
    lines = [WORDS.split(clean(line)) for line in LINES]
    vocabulary = Vocabulary(lines)
    assert vocabulary.tokens == ("<unk>", "is", "a", "this", "good", "story", "that", "pen")
    assert vocabulary.encode(lines) == [[3, 1, 2, 4, 5], [6, 1, 2, 7]]
    assert vocabulary.decode(vocabulary.encode(lines)) == lines
    one_hot = np.eye(len(vocabulary))[vocabulary.encode(lines[0])]
    assert one_hot.shape == (5, 8) and one_hot[0].argmax() == 3 and one_hot[0].sum() == 1


def test_the_time_machine_has_the_published_counts(time_machine):
    characters = [CHARACTERS.split(line) for line in time_machine]
    assert len(Vocabulary(characters)) == 28
    assert sum(map(len, characters)) == 170_580
    assert len(Vocabulary([WORDS.split(line) for line in time_machine])) == 4_580


def test_what_is_unknown_gets_id_0():
    vocabulary = Vocabulary("abba")
    assert vocabulary.encode("z") == 0 and vocabulary.encode(["a", "z"]) == [1, 0]
    assert "a" in vocabulary and "z" not in vocabulary and len(vocabulary) == 3
    assert vocabulary.decode([np.int32(1), 0]) == ["a", "<unk>"]


def test_reserved_tokens_frequencies_and_sizes():
    vocabulary = Vocabulary("aaabbc", reserved=["<pad>", "c"], min_frequency=2)
    assert vocabulary.tokens == ("<unk>", "<pad>", "c", "a", "b")
    assert Vocabulary("aaabbc", max_size=2).tokens == ("<unk>", "a")
    assert Vocabulary(Counter("aab")) == Vocabulary("aab") != Vocabulary("abb")


def test_a_vocabulary_owns_its_ids():
    plain, padded = (Vocabulary("ab", reserved=["\n", MASK], padded=p) for p in (False, True))
    for vocabulary, first in ((plain, 0), (padded, 1)):
        assert vocabulary.unknown_id == vocabulary.first_id == vocabulary.encode("?") == first
        assert (vocabulary.line_end_id, vocabulary.mask_id) == (first + 1, first + 2)
        assert vocabulary.num_ids == first + 5 and vocabulary.decode([first, first + 3])[1] == "a"
        with pytest.raises(InputError, match=f"an id outside .*expected {first} to {first + 4}"):
            vocabulary.decode(first - 1)
    assert plain != padded and Vocabulary("ab").mask_id is Vocabulary("ab").line_end_id is None


def test_known_tokens_of_a_text():
    vocabulary = Vocabulary("ab")
    assert vocabulary.known("abc", "skip") == ["a", "b"]
    assert vocabulary.known("abc", "unk") == ["a", "b", "c"]
    with pytest.raises(InputError, match="lacks tokens of the text: found 'c', 'd'"):
        vocabulary.known("acd")
    with pytest.raises(InputError, match="found 'drop'; expected error or skip or unk"):
        vocabulary.known("a", "drop")


@given(st.lists(st.text()), st.booleans())
def test_json_round_trip_and_decode_of_any_text(texts, padded):
    vocabulary = Vocabulary(texts, padded=padded)
    assert Vocabulary.from_json(vocabulary.to_json(), padded=padded) == vocabulary
    assert vocabulary.decode(vocabulary.encode(texts)) == texts


@pytest.mark.parametrize("text", ["", "{}", "[]", '["a"]', '["<unk>", "a", "a"]', '["<unk>", 1]'])
def test_what_is_no_vocabulary_is_named(text):
    with pytest.raises(InputError, match="vocabulary"):
        Vocabulary.from_json(text)


def test_bad_arguments_are_named():
    with pytest.raises(InputError, match="unknown level: found 'line'; expected char or word"):
        tokens_of("line")
    with pytest.raises(InputError, match="repeat"):
        Vocabulary("a", reserved=["<unk>"])
    with pytest.raises(InputError, match="max_vocabulary too small: found 1; expected at least 2"):
        Vocabulary("a", max_size=1, reserved=["b"])
    with pytest.raises(InputError, match="found 9; expected 0 to 1"):
        Vocabulary("a").decode(9)


def test_words_are_joined_as_text():
    assert WORDS.join(["Hello", ",", "(", "world", ")", "!"]) == "Hello, (world)!"
    assert CHARACTERS.join(["a", " ", "b"]) == "a b"
    assert WORDS.join(["b", "c"], after="a") == " b c"
    assert WORDS.join(["b"], after="a ") == WORDS.join(["b"], after="(") == "b"


def test_characters_are_code_points():
    text = "é😀שלום\r\n"
    assert CHARACTERS.join(CHARACTERS.split(text)) == text and CHARACTERS.split("😀") == ["😀"]
