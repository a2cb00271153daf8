import keras
import numpy as np
import pytest

from kerasrnn import InputError, TextGenerator, build_generator
from kerasrnn.text import Vocabulary

LETTERS = Vocabulary("abcdefgh ")


def random_generator(cell="lstm", activation="softmax", seed=0, **options):
    keras.utils.set_random_seed(seed)
    options |= {"units": (12, 8), "cell": cell, "activation": activation}
    model = build_generator(len(LETTERS), **options)
    model.set_weights([3 * weight for weight in model.get_weights()])
    return model, TextGenerator(model, LETTERS)


@pytest.fixture(scope="module")
def pair():
    return random_generator()


@pytest.fixture(scope="module")
def flat():
    """A generator whose next token never depends on what came before, and its probabilities."""
    model = build_generator(len(LETTERS), units=2, cell="simple")
    weights = [np.zeros_like(weight) for weight in model.get_weights()]
    logits = np.linspace(0, 3, len(LETTERS), dtype="float32")
    model.set_weights([*weights[:-1], logits])
    logits[0] = -np.inf  # the unknown token is never written
    return TextGenerator(model, LETTERS), np.exp(logits) / np.exp(logits).sum()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cell", "activation", "options"),
    [
        ("lstm", "softmax", {}),
        ("gru", None, {"embedding_dim": None}),
        ("simple", "softmax", {"tied": True}),
        ("lstm", None, {"tied": True, "embedding_dim": 8}),
    ],
)
def test_greedy_text_is_that_of_a_loop_that_reads_everything_again(cell, activation, options):
    model, generator = random_generator(cell, activation, **options)
    ids = LETTERS.encode(list("a bad"))
    for _ in range(20):
        output = np.array(model(np.array([ids])))[0, -1]
        ids.append(1 + int(output[1:].argmax()))
    assert generator.generate("a bad", 20, temperature=0) == ["".join(LETTERS.decode(ids[5:]))]


def test_the_same_seed_gives_the_same_text_in_whatever_company(pair):
    _, generator = pair
    alone = generator.generate("abc", 150, seed=7)
    assert generator.generate("abc", 150, seed=7) == alone
    assert generator.generate("abc", 150, seed=7, samples=3)[0] == alone[0]
    assert generator.generate("abc", 150, seed=8) != alone
    assert generator.generate("abc", 40, seed=7)[0] == alone[0][:40]
    assert len(set(generator.generate("abc", 150, samples=3, seed=0))) == 3


def frequencies(generator, **options):
    text = "".join(generator.generate("a", 400, samples=25, seed=0, **options))
    return np.array([text.count(token) for token in LETTERS.tokens]) / len(text)


def test_tokens_come_as_often_as_their_probabilities_say(flat):
    generator, probabilities = flat
    np.testing.assert_allclose(frequencies(generator), probabilities, atol=0.02)
    sharper = probabilities**2 / (probabilities**2).sum()
    np.testing.assert_allclose(frequencies(generator, temperature=0.5), sharper, atol=0.02)


def test_top_k_and_top_p_keep_the_likeliest_only(flat):
    generator, probabilities = flat
    expected = np.where(probabilities >= np.sort(probabilities)[-3], probabilities, 0)
    expected /= expected.sum()
    np.testing.assert_allclose(frequencies(generator, top_k=3), expected, atol=0.02)
    reach = np.sort(probabilities)[::-1][:3].sum()
    np.testing.assert_allclose(frequencies(generator, top_p=reach - 0.01), expected, atol=0.02)
    only = frequencies(generator, top_p=1e-9)
    assert only[-1] == 1, "the likeliest token is always kept"
    np.testing.assert_allclose(frequencies(generator, top_k=99), probabilities, atol=0.02)


def test_a_repetition_penalty_brings_other_tokens(flat):
    generator, _ = flat
    assert set(generator.generate("a", 8, temperature=0)[0]) == {LETTERS.tokens[-1]}
    varied = generator.generate("a", 8, temperature=0, repetition_penalty=50.0)[0]
    assert len(set(varied)) == 8


def test_pieces_come_early_and_add_up(pair):
    _, generator = pair
    pieces = [piece for (piece,) in generator.stream("abc", 200, seed=1)]
    assert [len(piece) for piece in pieces[:4]] == [1, 2, 4, 8]
    assert "".join(pieces) == generator.generate("abc", 200, seed=1)[0]


@pytest.mark.parametrize("stop", ["d", "ab", "h h", "aaaaaaaaa"])
def test_a_text_ends_before_its_stop(pair, stop):
    _, generator = pair
    whole = generator.generate("abc", 300, samples=4, seed=0)
    stopped = generator.generate("abc", 300, samples=4, stop=stop, seed=0)
    assert stopped == [text.split(stop)[0] for text in whole]


def test_what_the_vocabulary_lacks(pair):
    _, generator = pair
    with pytest.raises(InputError, match="lacks tokens of the text: found 'X', 'Y'; leave"):
        generator.generate("aXbYX")
    assert generator.generate("aXbY", 9, unknown="skip", seed=0) == generator.generate(
        "ab", 9, seed=0
    )
    assert len(generator.generate("XY", 9, unknown="unk")[0]) == 9
    for prompt, unknown in (("", "error"), ("XY", "skip")):
        with pytest.raises(InputError, match="empty prompt"):
            generator.generate(prompt, unknown=unknown)


def test_words_are_generated_as_text():
    vocabulary = Vocabulary(["the", "cat", "sat", "."])
    model = build_generator(len(vocabulary), units=4)
    text = TextGenerator(model, vocabulary, level="word").generate("the cat", 60, seed=0)[0]
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
        ({"max_length": 0}, "max_length out of range"),
        ({"samples": 0}, "samples out of range"),
        ({"stop": ""}, "empty stop"),
        (
            {"unknown": "ignore"},
            "unknown treatment of tokens: found 'ignore'; expected error or skip or unk",
        ),
    ],
)
def test_a_bad_argument_is_named_at_once(pair, options, message):
    with pytest.raises(InputError, match=message):
        pair[1].stream("abc", **options)


def test_a_vocabulary_of_another_size_is_refused(pair):
    with pytest.raises(InputError, match="found 3 tokens; expected 10"):
        TextGenerator(pair[0], Vocabulary("ab"))


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
    model, generator = pair
    assert generator.search("abc", 3, beams=81, samples=5) == best_of_all(model, "abc", 3)[:5]
    assert generator.search("abc", 12, beams=1) == generator.generate("abc", 12, temperature=0)
    assert generator.search("abc", 12, beams=3, stop="a")[0].count("a") == 0
    with pytest.raises(InputError, match="more samples than beams: found 5; expected at most 4"):
        generator.search("abc", samples=5)


def line_generator(**options):
    keras.utils.set_random_seed(3)
    vocabulary = Vocabulary("abc", reserved=["\n"])
    model = build_generator(len(vocabulary), units=4)
    return TextGenerator(model, vocabulary, lines=True, **options)


def test_lines_start_from_nothing_and_end_where_they_end():
    generator = line_generator()
    texts = generator.generate("", 50, samples=9, seed=0)
    assert len(set(texts)) > 3 and not any("\n" in text for text in texts)
    assert min(map(len, texts)) < 49
    assert generator.generate("ab", 50, stop="c", samples=9, seed=0) == [
        text.split("c")[0] for text in generator.generate("ab", 50, samples=9, seed=0)
    ]


def test_beams_of_lines_stop_at_the_end_of_the_line():
    generator = line_generator()
    found = generator.search("", 6, beams=200, samples=200)
    assert "" in found and len(set(found)) == 200  # no line is counted again for what follows it


def test_prompts_are_cleaned_as_the_text_was():
    keras.utils.set_random_seed(0)
    vocabulary = Vocabulary("abc defgh")
    model = build_generator(len(vocabulary), units=4)
    plain = TextGenerator(model, vocabulary)
    cleaned = TextGenerator(model, vocabulary, letters_only=True)
    assert cleaned.generate("Bad,  Cafe", 9, seed=0) == plain.generate("bad cafe", 9, seed=0)
    assert cleaned.generate("Bad,", 9, seed=0) == plain.generate("bad ", 9, seed=0)
    with pytest.raises(InputError, match="empty prompt"):
        cleaned.generate("123")


def test_several_stops(pair):
    _, generator = pair
    whole = generator.generate("abc", 200, seed=0)[0]
    first = min(whole.index(letter) for letter in "dh" if letter in whole)
    assert generator.generate("abc", 200, stop=["d", "h"], seed=0) == [whole[:first]]


def test_without_a_seed_each_text_is_another(pair):
    _, generator = pair
    assert len({generator.generate("abc", 60)[0] for _ in range(4)}) == 4


@pytest.mark.parametrize("name", ["top_k", "max_length", "samples", "seed"])
def test_a_number_beyond_what_a_tensor_holds_is_refused(pair, name):
    with pytest.raises(InputError, match=f"{name} out of range"):
        pair[1].stream("abc", **{name: 10**20})
