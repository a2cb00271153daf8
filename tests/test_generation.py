import keras
import numpy as np
import pytest

from kerasrnn import InputError, build_generator
from kerasrnn.tasks.generator import Writer
from kerasrnn.text import Vocabulary

LETTERS = Vocabulary("abcdefgh ")


def random_writer(cell="lstm", activation="softmax", seed=0, **options):
    keras.utils.set_random_seed(seed)
    options |= {"units": (12, 8), "cell": cell, "activation": activation}
    model = build_generator(len(LETTERS), **options)
    model.set_weights([3 * weight for weight in model.get_weights()])
    return model, Writer(model, LETTERS)


@pytest.fixture(scope="module")
def pair():
    return random_writer()


@pytest.fixture(scope="module")
def flat():
    """A writer whose next token never depends on what came before, and its probabilities."""
    model = build_generator(len(LETTERS), units=2, cell="simple")
    weights = [np.zeros_like(weight) for weight in model.get_weights()]
    logits = np.linspace(0, 3, len(LETTERS), dtype="float32")
    model.set_weights([*weights[:-1], logits])
    logits[0] = -np.inf  # the unknown token is never written
    return Writer(model, LETTERS), np.exp(logits) / np.exp(logits).sum()


@pytest.mark.parametrize(
    ("cell", "activation", "options"),
    [
        ("lstm", "softmax", {}),
        ("gru", None, {"embedding": None}),
        ("simple", "softmax", {"tied": True}),
        ("lstm", None, {"tied": True, "embedding": 8}),
    ],
)
def test_greedy_text_is_that_of_a_loop_that_reads_everything_again(cell, activation, options):
    model, writer = random_writer(cell, activation, **options)
    ids = LETTERS.encode(list("a bad"))
    for _ in range(20):
        output = np.array(model(np.array([ids])))[0, -1]
        ids.append(1 + int(output[1:].argmax()))
    assert writer.write("a bad", 20, temperature=0) == ["".join(LETTERS.decode(ids[5:]))]


def test_the_same_seed_gives_the_same_text_in_whatever_company(pair):
    _, writer = pair
    alone = writer.write("abc", 150, seed=7)
    assert writer.write("abc", 150, seed=7) == alone
    assert writer.write("abc", 150, seed=7, samples=3)[0] == alone[0]
    assert writer.write("abc", 150, seed=8) != alone
    assert writer.write("abc", 40, seed=7)[0] == alone[0][:40]
    assert len(set(writer.write("abc", 150, samples=3))) == 3


def frequencies(writer, **options):
    text = "".join(writer.write("a", 400, samples=25, **options))
    return np.array([text.count(token) for token in LETTERS.tokens]) / len(text)


def test_tokens_come_as_often_as_their_probabilities_say(flat):
    writer, probabilities = flat
    np.testing.assert_allclose(frequencies(writer), probabilities, atol=0.02)
    sharper = probabilities**2 / (probabilities**2).sum()
    np.testing.assert_allclose(frequencies(writer, temperature=0.5), sharper, atol=0.02)


def test_top_k_and_top_p_keep_the_likeliest_only(flat):
    writer, probabilities = flat
    expected = np.where(probabilities >= np.sort(probabilities)[-3], probabilities, 0)
    expected /= expected.sum()
    np.testing.assert_allclose(frequencies(writer, top_k=3), expected, atol=0.02)
    reach = np.sort(probabilities)[::-1][:3].sum()
    np.testing.assert_allclose(frequencies(writer, top_p=reach - 0.01), expected, atol=0.02)
    only = frequencies(writer, top_p=1e-9)
    assert only[-1] == 1, "the likeliest token is always kept"
    np.testing.assert_allclose(frequencies(writer, top_k=99), probabilities, atol=0.02)


def test_a_repetition_penalty_brings_other_tokens(flat):
    writer, _ = flat
    assert set(writer.write("a", 8, temperature=0)[0]) == {LETTERS.tokens[-1]}
    varied = writer.write("a", 8, temperature=0, repetition_penalty=50.0)[0]
    assert len(set(varied)) == 8


def test_pieces_come_early_and_add_up(pair):
    _, writer = pair
    pieces = [piece for (piece,) in writer.stream("abc", 200, seed=1)]
    assert [len(piece) for piece in pieces[:4]] == [1, 2, 4, 8]
    assert "".join(pieces) == writer.write("abc", 200, seed=1)[0]


@pytest.mark.parametrize("stop", ["d", "ab", "h h", "aaaaaaaaa"])
def test_a_text_ends_before_its_stop(pair, stop):
    _, writer = pair
    whole = writer.write("abc", 300, samples=4)
    stopped = writer.write("abc", 300, samples=4, stop=stop)
    assert stopped == [text.split(stop)[0] for text in whole]


def test_what_the_vocabulary_lacks(pair):
    _, writer = pair
    with pytest.raises(InputError, match="lacks tokens of the text: found 'X', 'Y'; leave"):
        writer.write("aXbYX")
    assert writer.write("aXbY", 9, unknown="skip") == writer.write("ab", 9)
    assert len(writer.write("XY", 9, unknown="unk")[0]) == 9
    for prompt, unknown in (("", "error"), ("XY", "skip")):
        with pytest.raises(InputError, match="empty prompt"):
            writer.write(prompt, unknown=unknown)


def test_words_are_written_as_text():
    vocabulary = Vocabulary(["the", "cat", "sat", "."])
    model = build_generator(len(vocabulary), units=4)
    text = Writer(model, vocabulary, unit="word").write("the cat", 60)[0]
    assert text[0] in " ." and " ." not in text and "  " not in text
    assert set(text.replace(".", " ").split()) <= {"the", "cat", "sat"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature out of range: found -1; expected 0 or more"),
        ({"temperature": float("nan")}, "temperature out of range"),
        ({"top_k": -1}, "top_k out of range"),
        ({"top_p": 0}, "expected 0 < top_p ≤ 1"),
        ({"top_p": 1.1}, "expected 0 < top_p ≤ 1"),
        ({"repetition_penalty": 0}, "repetition_penalty out of range"),
        ({"length": 0}, "length out of range"),
        ({"samples": 0}, "samples out of range"),
        ({"stop": ""}, "empty stop"),
        ({"unknown": "ignore"}, "bad unknown: found 'ignore'; expected error or skip or unk"),
    ],
)
def test_a_bad_argument_is_named_at_once(pair, options, message):
    with pytest.raises(InputError, match=message):
        pair[1].stream("abc", **options)


def test_a_vocabulary_of_another_size_is_refused(pair):
    with pytest.raises(InputError, match="found 3 tokens; expected 10"):
        Writer(pair[0], Vocabulary("ab"))


def best_of_all(model, prompt, length):
    """The likeliest continuation and its log-probability, by trying every one."""
    import itertools

    start = LETTERS.encode(list(prompt))
    rows = np.array([start + list(c) for c in itertools.product(range(1, 10), repeat=length)])
    output = np.log(np.array(model(rows[:, :-1])))[:, len(start) - 1 :]
    totals = np.take_along_axis(output, rows[:, len(start) :, None], -1).sum((1, 2))
    order = totals.argsort()[::-1]
    return ["".join(LETTERS.decode(row[len(start) :])) for row in rows[order]]


def test_beam_search_finds_what_trying_everything_finds(pair):
    model, writer = pair
    assert writer.search("abc", 3, beams=81, samples=5) == best_of_all(model, "abc", 3)[:5]
    assert writer.search("abc", 12, beams=1) == writer.write("abc", 12, temperature=0)
    assert writer.search("abc", 12, beams=3, stop="a")[0].count("a") == 0
    with pytest.raises(InputError, match="more samples than beams: found 5; expected at most 4"):
        writer.search("abc", samples=5)


def line_writer(**options):
    keras.utils.set_random_seed(3)
    vocabulary = Vocabulary("abc", reserved=["\n"])
    model = build_generator(len(vocabulary), units=4)
    return Writer(model, vocabulary, lines=True, **options)


def test_lines_start_from_nothing_and_end_where_they_end():
    writer = line_writer()
    texts = writer.write("", 50, samples=9)
    assert len(set(texts)) > 3 and not any("\n" in text for text in texts)
    assert min(map(len, texts)) < 49
    assert writer.write("ab", 50, stop="c", samples=9) == [
        text.split("c")[0] for text in writer.write("ab", 50, samples=9)
    ]


def test_beams_of_lines_stop_at_the_end_of_the_line():
    writer = line_writer()
    found = writer.search("", 6, beams=200, samples=200)
    assert "" in found and len(set(found)) == 200  # no line is counted again for what follows it


def test_prompts_are_cleaned_as_the_text_was():
    keras.utils.set_random_seed(0)
    vocabulary = Vocabulary("abc defgh")
    model = build_generator(len(vocabulary), units=4)
    plain, classic = Writer(model, vocabulary), Writer(model, vocabulary, classic=True)
    assert classic.write("Bad,  Cafe", 9) == plain.write("bad cafe", 9)
    assert classic.write("Bad,", 9) == plain.write("bad ", 9)
    with pytest.raises(InputError, match="empty prompt"):
        classic.write("123")


def test_several_stops(pair):
    _, writer = pair
    whole = writer.write("abc", 200)[0]
    first = min(whole.index(letter) for letter in "dh" if letter in whole)
    assert writer.write("abc", 200, stop=["d", "h"]) == [whole[:first]]
