"""What exports answer, beside the Keras models they are made from."""

import subprocess
import sys
from functools import cache

import keras
import numpy as np
import pytest
import tensorflow as tf

from kerasrnn import Infiller, Tagger, Vocabulary, Writer, models
from kerasrnn.exporting import export
from kerasrnn.exporting import signatures as serving
from kerasrnn.text import BLANK

WORDS = Vocabulary(["the", "cat", "sat", ".", "(", ")", "do", "n't", "café"])
LETTERS = Vocabulary("abcdehnstfé")
LABELS = ["NOUN", "VERB", "é"]
CELLS = ("lstm", "gru", "simple")


def some_tagger(unit="word", **stack):
    options = {"num_labels": 3, "units": 6, **stack}
    if unit == "char":
        model = models.build_tagger(vocabulary_size=len(LETTERS) + 1, **options)
        return Tagger(model, LABELS, LETTERS, Vocabulary(), "char")
    sizes = {"vocabulary_size": len(WORDS) + 1, "characters": len(LETTERS) + 1}
    return Tagger(models.build_tagger(**sizes, **options), LABELS, WORDS, LETTERS)


def some_writer(tokens="abcdefgh\n", unit="char", lines=False, classic=False, **stack):
    vocabulary = Vocabulary(tokens)
    model = models.build_generator(len(vocabulary), **{"units": (8, 6), **stack})
    model.set_weights([2 * weight for weight in model.get_weights()])
    return Writer(model, vocabulary, unit, lines=lines, classic=classic)


def some_infiller(tokens="abcdefgh", unit="char", classic=False, **stack):
    vocabulary = Vocabulary(tokens, reserved=[BLANK])
    model = models.build_infiller(len(vocabulary), **{"units": 6, **stack})
    return Infiller(model, vocabulary, unit, classic=classic)


def subjects():
    """Name → what is exported, and the arguments of ``export``, over tasks, cells, directions."""
    for cell in CELLS:
        for both in (True, False):
            name, stack = f"{cell}-{both}", {"cell": cell, "bidirectional": both}
            plain = models.build_classifier((8, 3), 3, units=(6, 5), **stack)
            padded = models.build_classifier((None, 3), 3, units=6, lengths=True, **stack)
            yield f"classifier-{name}", plain, {"labels": LABELS}
            yield f"classifier-padded-{name}", padded, {"labels": LABELS}
            if both or cell == "lstm":
                yield f"infiller-{name}", some_infiller(**stack), {}
                yield f"tagger-{name}", some_tagger(**stack), {}
        yield f"generator-{cell}", some_writer(cell=cell), {}
    scaling = keras.layers.Normalization(mean=[5.0, -1, 0], variance=[2.0, 1, 1])
    scaled = models.build_classifier((None, 3), 3, units=6, lengths=True, scaling=scaling)
    yield "classifier-scaled", scaled, {"labels": LABELS}
    yield "generator-lines", some_writer(lines=True, cell="gru", tied=True), {}
    words = {"tokens": ["the", "cat", "sat", ".", "("], "unit": "word", "classic": True}
    yield "generator-words", some_writer(**words), {}
    yield "infiller-words", some_infiller(**words), {}
    yield "tagger-characters", some_tagger("char"), {}
    reads = models.build_classifier(vocabulary_size=len(WORDS) + 1, num_classes=3, units=6)
    yield "classifier-words", reads, {"labels": LABELS, "vocabulary": WORDS}
    yield "classifier-ids", reads, {"labels": LABELS}
    x = keras.Input((None, 6))
    y = keras.layers.Bidirectional(keras.layers.LSTM(3, return_sequences=True))(x)
    yield "stock", keras.Model(x, [y, keras.layers.GRU(2)(y)]), {}


CHECK_ALL = """
import importlib.util, pathlib, sys
for folder in map(pathlib.Path, sys.argv[1:]):
    spec = importlib.util.spec_from_file_location("check", folder / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    print(folder.name, module.check(folder))
assert "kerasrnn" not in sys.modules
"""


def test_every_task_cell_and_direction_agrees_in_a_process_without_this_package(tmp_path):
    keras.utils.set_random_seed(0)
    folders = [
        export(subject, tmp_path / name, check=False, **given)
        for name, subject, given in subjects()
    ]
    command = [sys.executable, "-P", "-c", CHECK_ALL, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if not line.startswith("largest")]
    assert lines == [f"{folder.name} True" for folder in folders]


def graphs(servable):
    return {
        name: tf.function(function, input_signature=inputs, autograph=False)
        for name, (function, inputs) in servable.signatures.items()
    }


SAMPLING = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "seed": 3}


@cache  # tracing the loops takes seconds
def writer_and_graph(lines=False):
    writer = some_writer(lines=lines)
    return writer, graphs(serving.serve_generator(writer))["generate"]


def generate(ask, prompts, length, **given):
    given = SAMPLING | given
    kinds = {"temperature": tf.float32, "top_k": tf.int32, "top_p": tf.float32, "seed": tf.int64}
    numbers = [tf.constant(given[name], kind) for name, kind in kinds.items()]
    found = ask(tf.constant(prompts), tf.constant(length), *numbers)["text"]
    return [text.decode() for text in found.numpy()]


@pytest.mark.parametrize(
    "given",
    [{}, {"temperature": 0.0}, {"top_k": 3}, {"top_p": 0.5}, {"top_k": 4, "top_p": 0.9, "seed": 9}],
)
def test_the_same_seed_gives_the_text_of_the_writer(given):
    writer, ask = writer_and_graph()
    assert generate(ask, ["abc"], 60, **given) == writer.write("abc", 60, **SAMPLING | given)
    three = writer.write("abc", 20, samples=3, **SAMPLING | given)
    assert generate(ask, ["abc"] * 3, 20, **given) == three


def test_prompts_of_a_batch_do_not_change_one_another():
    _, ask = writer_and_graph()
    greedy = {"temperature": 0.0}
    alone = [generate(ask, [prompt], 20, **greedy)[0] for prompt in ("a", "bcdefgh", "ab")]
    assert generate(ask, ["a", "bcdefgh", "ab"], 20, **greedy) == alone


def test_independent_lines_end_and_need_no_prompt():
    writer, ask = writer_and_graph(lines=True)
    for seed in range(5):
        assert generate(ask, [""], 50, seed=seed) == writer.write("", 50, seed=seed)


def test_unknown_tokens_are_read_as_the_unknown_one():
    writer, ask = writer_and_graph()
    assert generate(ask, ["aXc"], 9) == writer.write("aXc", 9, unknown="unk", seed=3)
    tagger, text = some_tagger(), "the zebra 'd sat, émile!"
    found = graphs(serving.serve_tagger(tagger))["serving_default"](tf.constant([text]))
    (expected,) = tagger.tag_text(text)
    pairs = zip(*(found[name].numpy()[0] for name in ("tokens", "labels")), strict=True)
    assert [(token.decode(), label.decode()) for token, label in pairs] == expected


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
        generate(writer_and_graph()[1], prompts, 5, **given)


def test_texts_of_a_batch_are_filled_one_by_one():
    for infiller, texts in (
        (some_infiller(), ["ab__ef_h", "_", "no blank: abc", "a_c" * 9]),
        (some_infiller(classic=True), ["Ab_ ,, D_f", "th_ time"]),
        (some_infiller(["the", "cat", "sat", "."], "word"), ["the ____ sat _ .", "_ cat dog"]),
    ):
        ask = graphs(serving.serve_infiller(infiller))["serving_default"]
        found = [text.decode() for text in ask(tf.constant(texts))["text"].numpy()]
        for text, one in zip(texts, found, strict=True):
            if "_" in text:
                assert one == infiller.fill(text, unknown="unk")[0]
            else:
                assert one == text


def test_any_length_and_batch_none_included():
    model = models.build_classifier((None, 3), 3, units=6, lengths=True)
    ask = graphs(serving.serve_classifier(model, LABELS))
    for batch, time in ((0, 4), (3, 0), (1, 1), (70, 33)):
        x = np.ones((batch, time, 3), "float32")
        found = ask["whole"](x)
        assert found["probabilities"].shape == (batch, 3) and found["label"].shape == (batch,)
        if time:
            expected = model([x, np.full(batch, time, "int32")]) if batch else np.zeros((0, 3))
            np.testing.assert_allclose(found["probabilities"], expected, atol=1e-5)


def test_ids_with_padding_before_a_token_are_refused():
    model = models.build_classifier(vocabulary_size=9, num_classes=3, units=6)
    ask = graphs(serving.serve_classifier(model, LABELS))["serving_default"]
    ids = tf.constant([[3, 4, 0]])
    np.testing.assert_allclose(ask(ids)["probabilities"], model(ids), atol=1e-5)
    with pytest.raises(tf.errors.InvalidArgumentError, match="padding on the right only"):
        ask(tf.constant([[0, 4, 3]]))


def test_logits_become_probabilities():
    model = models.build_classifier((None, 3), 3, units=6, activation=None)
    ask = graphs(serving.serve_classifier(model, LABELS))["serving_default"]
    found = ask(np.ones((2, 4, 3), "float32"))["probabilities"]
    np.testing.assert_allclose(np.sum(found, -1), 1, atol=1e-6)
