"""Hidden states and saliency of one input: ``kerasrnn explain`` and what is under it."""

import json

import keras
import numpy as np
import pytest
from conftest import invoke, refused
from factories import LABELS, LETTERS, WORDS, some_generator, some_infiller, some_tagger

from kerasrnn import Tagger, build_classifier, build_ensemble, build_tagger
from kerasrnn.inference.explaining import LayerStates, close_reader
from kerasrnn.layers import LabelPairs
from kerasrnn.tasks.explanations import explain_blanks, explain_tags, explain_text

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1, 6, 3)).astype("float32")


def scale():
    return keras.layers.Normalization(
        axis=-1, mean=[1.0, 0, 2], variance=[4.0, 1, 9], name="scaling"
    )


@pytest.mark.parametrize(("cell", "functional"), [("lstm", False), ("gru", True)])
def test_the_saliency_of_numbers_is_gradient_times_scaled_input(cell, functional):
    options = {"cell": cell, "units": (5, 4), "scaling": scale(), "functional": functional}
    model = build_classifier((6, 3), num_classes=3, activation=None, **options)
    reading = close_reader(model)([X], lambda out: out[0, 1])
    gradient, step = np.zeros((6, 3)), 1e-2
    for place in np.ndindex(6, 3):
        ends = []
        for sign in (1, -1):
            moved = X.copy()
            moved[(0, *place)] += sign * step
            ends.append(float(model(moved)[0, 1]))
        gradient[place] = (ends[0] - ends[1]) / (2 * step)
    expected = (gradient * (X[0] - [1, 0, 2])).sum(-1)
    np.testing.assert_allclose(reading.saliency, expected, atol=2e-4)
    assert reading.method == "gradient x input"


def test_a_softmax_is_explained_by_its_logits():
    model = build_classifier((6, 3), num_classes=3, units=4)
    plain = build_classifier((6, 3), num_classes=3, units=4, activation=None)
    plain.set_weights(model.get_weights())
    both = [close_reader(one)([X], lambda out: out[0, 2]).saliency for one in (model, plain)]
    np.testing.assert_allclose(*both, rtol=1e-5)


def test_the_saliency_of_a_token_is_the_norm_of_the_gradient_at_its_embedding():
    sizes = {"vocabulary_size": 9, "embedding_dim": 4, "units": 4}
    model = build_tagger(num_labels=2, activation=None, **sizes)
    ids, step = np.array([[3, 5, 7]]), 1e-2
    reading = close_reader(model)([ids], lambda out: out[0, 0, 1])
    table = model.get_layer("embedding").embeddings
    start, gradient = table.numpy(), np.zeros((3, table.shape[1]))
    for place, row in enumerate(ids[0]):
        for column in range(table.shape[1]):
            ends = []
            for sign in (1, -1):
                moved = start.copy()
                moved[row, column] += sign * step
                table.assign(moved)
                ends.append(float(model(ids)[0, 0, 1]))
            gradient[place, column] = (ends[0] - ends[1]) / (2 * step)
    np.testing.assert_allclose(reading.saliency, np.linalg.norm(gradient, axis=1), rtol=5e-3)


def simple(x, weights, backward=False):
    """The states of a simple recurrent layer, step by step."""
    kernel, recurrent, bias = weights
    h, states = np.zeros(recurrent.shape[0]), []
    for step in x[::-1] if backward else x:
        h = np.tanh(step @ kernel + h @ recurrent + bias)
        states.append(h)
    return np.array(states[::-1] if backward else states)


def test_the_states_are_those_of_a_loop_over_time():
    """Of the last layer too, which gives its last state only."""
    model = build_classifier((6, 3), num_classes=2, units=(5, 4), cell="simple")
    weights, x = model.get_weights(), X[0]
    for layer in range(2):
        given = weights[6 * layer : 6 * layer + 6]
        forward, backward = simple(x, given[:3]), simple(x, given[3:], backward=True)
        layers = close_reader(model)([X], lambda out: out[0, 0]).layers[2 * layer : 2 * layer + 2]
        assert [one.direction for one in layers] == ["forward", "backward"]
        np.testing.assert_allclose(layers[0].states, forward, atol=1e-5)
        np.testing.assert_allclose(layers[1].states, backward, atol=1e-5)
        x = np.concatenate([forward, backward], axis=1)


def test_a_layer_that_reads_backwards_is_shown_in_the_order_of_time():
    options = {"units": (5, 4), "bidirectional": False, "go_backwards": True, "cell": "simple"}
    model = build_classifier((6, 3), num_classes=2, **options)
    weights = model.get_weights()
    first, second = close_reader(model)([X], lambda out: out[0, 0]).layers
    expected = simple(X[0], weights[:3], backward=True)
    np.testing.assert_allclose(first.states, expected, atol=1e-5)
    np.testing.assert_allclose(second.states, simple(expected, weights[3:6], True), atol=1e-5)


def test_a_stem_with_a_stride_leaves_fewer_states_and_all_steps_salient():
    options = {"stem": "conv", "stem_filters": 4, "stem_stride": 2, "lengths": True}
    model = build_classifier((None, 3), num_classes=2, units=4, **options)
    reading = close_reader(model)([X, np.array([6])], lambda out: out[0, 0])
    assert len(reading.layers[0].states) == 3 and reading.saliency.shape == (6,)


def test_of_many_units_those_that_vary_most_are_shown():
    states = np.zeros((4, 100), "float32")
    states[1::2, [70, 3]] = 1
    chosen = LayerStates("lstm_1", "forward", states).most_varied()
    assert len(chosen) == 64 and {3, 70} <= {*chosen} and [*chosen] == sorted(chosen)


def test_an_average_of_models_is_refused_plainly():
    from kerasrnn import InputError

    models = [build_classifier((6, 3), num_classes=2, units=4) for _ in range(2)]
    with pytest.raises(InputError, match="an average of 2 models.*explain one of the runs in it"):
        close_reader(build_ensemble(models))


@pytest.mark.parametrize("embedding", [{"embedding_dim": 6, "tied": True}, {"embedding_dim": None}])
def test_a_generator_says_how_likely_each_token_was(embedding):
    generator = some_generator(**embedding)
    found = explain_text(generator, "abc")
    probabilities = generator.model(np.array([generator.vocabulary.encode(list("abc"))]))[0].numpy()
    ids = generator.vocabulary.encode(list("abc"))
    assert np.isnan(found.sure[0])
    np.testing.assert_allclose(found.sure[1:], probabilities[[0, 1], ids[1:]], rtol=1e-5)
    assert found.answer["next"][0][1] == pytest.approx(probabilities[2].max(), rel=1e-5)
    assert found.reading.saliency.shape == (3,)


def test_an_infiller_gives_its_candidates_and_a_tagger_its_labels():
    infiller, tagger = some_infiller(), some_tagger()
    found = explain_blanks(infiller, "a_c_")
    assert found.answer["text"] == infiller.predict("a_c_")
    assert [len(best) for best in found.answer["candidates"]] == [3, 3]
    assert [*np.flatnonzero(~np.isnan(found.sure))] == [1, 3]
    labels = LabelPairs(np.ones((4, 4), bool).tolist(), name="together")(tagger.model.output)
    together = keras.Model(tagger.model.inputs, labels)
    tagger = Tagger(together, LABELS, WORDS, LETTERS, lower_case=True)
    found = explain_tags(tagger, ["the", "cat", "sat"])
    assert found.notes == [label for _, label in tagger.tag([["the", "cat", "sat"]])[0]]
    assert found.reading.saliency.shape == (3,) and found.steps == ["the", "cat", "sat"]


@pytest.mark.slow
def test_explain_draws_and_says_what_predict_says(trained, workplace):
    predicted = json.loads(invoke("predict", trained, "digits", "--json").stdout)[7]
    result = invoke("explain", trained, "digits", "--row", 7)
    assert result.stdout.startswith(predicted["label"]) and "wrote" in result.stderr
    assert (trained / "explain.png").read_bytes().startswith(b"\x89PNG")
    (trained / "explain.png").unlink()
    found = json.loads(invoke("explain", trained, "digits", "--row", 7, "--json").stdout)
    assert found["label"] == predicted["label"] and not (trained / "explain.png").exists()
    assert found["probabilities"] == pytest.approx(predicted["probabilities"], abs=1e-5)
    assert np.shape(found["steps"]) == (8, 8) and np.shape(found["saliency"]) == (8,)
    shapes = [np.shape(layer["states"]) for layer in found["layers"]]
    assert shapes == [(8, 8)] * 4 and "Simonyan et al. 2014" in found["method"]


def test_explain_refuses_what_is_not_there(trained, writing):
    assert "no such row: found 360; expected 0 to 359" in refused(
        "explain", trained, "digits", "--row", 360
    )
    assert "inputs to explain: found 0; expected one" in refused("explain", trained)
    assert "--row is for files" in refused("explain", writing, "abc", "--row", 1)
    assert "empty text" in refused("explain", writing, "")
    invoke("explain", writing, "abc fed", "-o", "abc.svg", "--style", "dark")
