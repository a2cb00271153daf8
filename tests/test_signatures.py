"""What exports answer, beside the Keras models they are made from."""

from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf
from factories import (
    LABELS,
    LETTERS,
    WORDS,
    check_together,
    some_generator,
    some_infiller,
    some_tagger,
)

from kerasrnn import Classifier, build_classifier, export
from kerasrnn.data.batches import sentence_inputs
from kerasrnn.options import CELLS
from kerasrnn.tasks import task_of


def some_classifier(shape=(None, 3), *, vocabulary=None, **options):
    options = {"num_classes": len(LABELS), "units": 6, **options}
    if shape is None:
        options["vocabulary_size"] = WORDS.num_ids
    return Classifier(build_classifier(shape, **options), LABELS, vocabulary)


def sources():
    """Name → what is exported, over tasks, cells and directions; further options are spread."""
    scaling = keras.layers.Normalization(mean=[5.0, -1, 0], variance=[2.0, 1, 1])
    words = {"tokens": ["the", "cat", "sat", ".", "("], "level": "word", "letters_only": True}
    logits = {"activation": None}
    padded = {"lstm": {"scaling": scaling}, "simple": logits}
    filling = {"gru": logits, "simple": words}
    writing = {"lstm": logits, "gru": {"lines": True, "tied": True}, "simple": words}
    for cell in CELLS:
        for both in (True, False):
            name, stack = f"{cell}-{both}", {"cell": cell, "bidirectional": both}
            yield f"classifier-{name}", some_classifier((8, 3), **stack | {"units": (6, 5)})
        both = {"cell": cell, "bidirectional": True}
        more = padded.get(cell, {})
        yield f"classifier-padded-{cell}", some_classifier(lengths=True, **both | more)
        yield f"infiller-{cell}", some_infiller(**both | filling.get(cell, {}))
        yield f"generator-{cell}", some_generator(cell=cell, **writing[cell])
    yield "generator", some_generator()
    yield "tagger-gru", some_tagger(cell="gru", bidirectional=False)
    yield "tagger-logits", some_tagger(**logits)
    yield "tagger-characters", some_tagger("char")
    yield "classifier-words", some_classifier(None, vocabulary=WORDS)
    yield "classifier-ids", some_classifier(None)
    x = keras.Input((None, 6))
    y = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))(x)
    yield "stock", keras.Model(x, [y, keras.layers.GRU(2)(y)])


@pytest.mark.slow
def test_every_task_cell_and_direction_agrees_in_a_process_without_this_package(tmp_path):
    keras.utils.set_random_seed(0)
    folders = [export(source, tmp_path / name, check=False) for name, source in sources()]
    assert check_together(folders) == [f"{folder.name} True" for folder in folders]


def graphs(predictor):
    """The signatures of an export as functions."""
    servable = task_of(predictor.task).servable(predictor)
    return {
        name: tf.function(function, input_signature=inputs, autograph=False)
        for name, (function, inputs) in servable.signatures.items()
    }


SAMPLING = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3}


@cache  # tracing the loops takes seconds
def generator_and_graph(lines=False):
    generator = some_generator(lines=lines)
    return generator, graphs(generator)["generate"]


def generate(ask, prompts, max_length, **given):
    given = SAMPLING | given
    kinds = {"temperature": tf.float32, "top_k": tf.int32, "top_p": tf.float32, "seed": tf.int64}
    numbers = [tf.constant(given[name], kind) for name, kind in kinds.items()]
    found = ask(tf.constant(prompts), tf.constant(max_length), *numbers)["text"]
    return [text.decode() for text in found.numpy()]


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.5}, {"top_k": 4, "top_p": 0.9, "seed": 9}],
)
def test_the_same_seed_gives_the_text_of_the_generator(given):
    generator, ask = generator_and_graph()
    assert generate(ask, ["abc"], 60, **given) == generator.generate("abc", 60, **SAMPLING | given)
    three = generator.generate("abc", 20, samples=3, **SAMPLING | given)
    assert generate(ask, ["abc"] * 3, 20, **given) == three


@pytest.mark.slow
def test_prompts_of_a_batch_do_not_change_one_another():
    _, ask = generator_and_graph()
    greedy = {"temperature": 0.0}
    alone = [generate(ask, [prompt], 20, **greedy)[0] for prompt in ("a", "bcdefgh", "ab")]
    assert generate(ask, ["a", "bcdefgh", "ab"], 20, **greedy) == alone


@pytest.mark.slow
def test_independent_lines_end_and_need_no_prompt():
    generator, ask = generator_and_graph(lines=True)
    for seed in range(5):
        assert generate(ask, [""], 50, seed=seed) == generator.generate("", 50, seed=seed)


@pytest.mark.slow
def test_unknown_tokens_are_read_as_the_unknown_one():
    generator, ask = generator_and_graph()
    assert generate(ask, ["aXc"], 9) == generator.generate("aXc", 9, unknown="unk", seed=3)
    tagger, text = some_tagger(), "the zebra 'd sat, émile!"
    found = graphs(tagger)["serving_default"](tf.constant([text]))
    (expected,) = tagger.predict(text)
    pairs = zip(*(found[name].numpy()[0] for name in ("tokens", "labels")), strict=True)
    assert [(token.decode(), label.decode()) for token, label in pairs] == expected


@pytest.mark.slow
def test_words_are_looked_up_in_lower_case_and_spelled_as_they_are():
    tagger, tokens = some_tagger(), ["The", "CAFÉ", "sat", "Zebra"]
    ask = graphs(tagger)["tag_tokens"]
    upper = ask(tf.constant([tokens]))["probabilities"].numpy()[0]
    np.testing.assert_allclose(upper, tagger.predict_proba([tokens]), atol=1e-6)
    ids = sentence_inputs([tokens], tagger, use_characters=True)
    assert (ids["tokens"] == WORDS.encode(["the", "café", "sat", "zebra"])).all()
    assert ids["characters"][0, 0, 0] == LETTERS.unknown_id != LETTERS.encode("t")


@pytest.mark.parametrize(
    ("prompts", "given", "message"),
    [
        ([""], {}, "empty prompt: expected text to start from"),
        (["a"], {"temperature": -1.0}, "temperature out of range"),
        (["a"], {"top_p": 0.0}, "top_p out of range"),
        (["a"], {"top_k": -1}, "top_k out of range"),
    ],
)
def test_bad_numbers_are_refused_by_the_graph(prompts, given, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        generate(generator_and_graph()[1], prompts, 5, **given)


@pytest.mark.slow
def test_texts_of_a_batch_are_filled_one_by_one():
    for infiller, texts in (
        (some_infiller(), ["ab__ef_h", "_", "no blank: abc", "a_c" * 9]),
        (some_infiller(letters_only=True), ["Ab_ ,, D_f", "th_ time"]),
        (some_infiller(["the", "cat", "sat", "."], "word"), ["the ____ sat _ .", "_ cat dog"]),
    ):
        ask = graphs(infiller)["serving_default"]
        found = [text.decode() for text in ask(tf.constant(texts))["text"].numpy()]
        for text, one in zip(texts, found, strict=True):
            if "_" in text:
                assert one == infiller.fill(text, unknown="unk")[0]
            else:
                assert one == text


def test_any_length_and_batch_none_included():
    classifier = some_classifier(lengths=True)
    ask = graphs(classifier)
    for batch, time in ((0, 4), (3, 0), (1, 1), (70, 33)):
        x = np.ones((batch, time, 3), "float32")
        found = ask["whole"](x)
        assert found["probabilities"].shape == (batch, 3) and found["label"].shape == (batch,)
        if batch and time:
            np.testing.assert_allclose(
                found["probabilities"], classifier.predict_proba(x), atol=1e-5
            )


def test_ids_with_padding_before_a_token_are_refused():
    classifier = some_classifier(None)
    ask, ids = graphs(classifier)["serving_default"], tf.constant([[3, 4, 0]])
    np.testing.assert_allclose(ask(ids)["probabilities"], classifier.model(ids), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="padding on the right only"):
        ask(tf.constant([[0, 4, 3]]))


@pytest.mark.slow
def test_logits_become_probabilities():
    found = graphs(some_classifier(activation=None))["serving_default"](np.ones((2, 4, 3), "f4"))
    np.testing.assert_allclose(np.sum(found["probabilities"], -1), 1, atol=1e-6)
    found = graphs(some_tagger(activation=None))["serving_default"](tf.constant(["the cat"]))
    np.testing.assert_allclose(np.sum(found["probabilities"], -1), 1, atol=1e-6)
    tokens = tf.constant([["a", "b"]])
    found = graphs(some_infiller(activation=None))["predict_tokens"](tokens)["probabilities"]
    np.testing.assert_allclose(np.sum(found, -1), 1, atol=1e-6)
    states = [tf.zeros((1, size)) for size in (8, 8, 6, 6)]
    found = graphs(some_generator(activation=None))["step"](tf.constant([3]), *states)["logits"]
    np.testing.assert_allclose(np.sum(np.exp(found), -1), 1, atol=1e-6)
