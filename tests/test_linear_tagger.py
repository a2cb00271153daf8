"""The linear tagger of words and their neighbours that stands beside a tagger's network."""

import keras
import numpy as np
import pytest
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import LogisticRegression

from kerasrnn import Sentences, Tagger, build_tagger, layers, train
from kerasrnn.data.batches import sentence_inputs
from kerasrnn.tasks import linear_tagging, logistic, task_of
from kerasrnn.tasks.linear_tagging import fit_linear, with_linear

WORDS = "Ada ada Alan met sees in 1843 '43 London Londons café -- Mr. #one naïve-and-longer-than-24"
ALL = (-1, 1, -2, 2)
TINY = {"units": 4, "embedding_dim": 6, "epochs": 2, "batch_size": 8, "quiet": True}


def people(number=60, seed=0):
    """Sentences in which capitals before a verb are people, as entities."""
    rng = np.random.default_rng(seed)
    sentences = []
    for _ in range(number):
        words = rng.permutation(WORDS.split())[: rng.integers(1, 9)].tolist()
        verbs = [*words[1:], ""]
        people = [w[0].isupper() and v != "in" for w, v in zip(words, verbs, strict=True)]
        sentences.append([(w, "B-PER" if p else "O") for w, p in zip(words, people, strict=True)])
    return Sentences.from_lists(sentences, min_frequency=2)


def linear(data, buckets=1 << 18):
    model = with_linear(network(data), data, ALL)
    lower, kinds = model.get_layer("features").lower, model.get_layer("features").kinds
    layer = layers.LinearTagger(len(data.labels), buckets=buckets, lower=lower, kinds=kinds)
    layer.build(None)
    return layer


def network(data):
    sizes = {"vocabulary_size": data.vocabulary.num_ids}
    sizes["character_vocabulary_size"] = data.characters.num_ids
    return build_tagger(num_labels=len(data.labels), units=4, **sizes)


def shape(word, known):
    tests = {"X": str.isupper, "x": str.islower, "d": str.isdigit, 0: lambda c: c not in known}
    kinds = [next((kind for kind in tests if tests[kind](c)), c) for c in word]
    return tuple(k for n, k in enumerate(kinds) if n < 2 or kinds[n - 2 : n + 1] != [k] * 3)


def features(sentence, data):
    """The features of each token as anyone would write them, from the token itself."""
    known = {*data.characters.tokens}

    def token(place):
        if not 0 <= place < len(sentence):
            return None, None, None
        word, id = sentence[place][:24], data.vocabulary.encode(sentence[place].lower())
        small = [c.lower() if c.lower() in known else c for c in word]
        small = [c if c in known else "?" for c in small]
        return id, shape(word, known), tuple(small)

    for place, word in enumerate(sentence):
        (id, form, small), written = token(place), [c if c in known else "?" for c in word[:24]]
        padded = [*small, None, None, None, None]
        ends = [*small[::-1], None, None, None, None]
        found = [id, tuple(written), form]
        found += [tuple(padded[:n]) for n in (1, 2, 3, 4)] + [tuple(ends[:n]) for n in (1, 2, 3, 4)]
        for away in (-1, 1, -2, 2):
            other, its_form, letters = token(place + away)
            found += [other, its_form, letters and tuple([*letters[::-1], None, None, None][:3])]
        for away in (-1, 1):
            other, its_form, _ = token(place + away)
            found += [(other, id), (its_form, form)]
        yield found


def test_features_are_those_of_the_words_themselves():
    data = people()
    layer, tokens = linear(data), data.train.tokens + data.test.tokens
    inputs = sentence_inputs(tokens, data, True)
    codes = np.asarray(layer.codes(*inputs.values()))
    longer = [np.pad(x, [(0, 0), (0, 3)] + [(0, 5)] * (x.ndim - 2)) for x in inputs.values()]
    np.testing.assert_array_equal(np.asarray(layer.codes(*longer))[:, :-3], codes)
    assert not codes[inputs["tokens"] == 0].any()
    expected = [row for sentence in tokens for row in features(sentence, data)]
    found = codes[inputs["tokens"] != 0]
    assert found.shape == (len(expected), 27)
    for number, column in enumerate(zip(*expected, strict=True)):
        pairs = {*zip(column, found[:, number].tolist(), strict=True)}
        assert len(pairs) == len({*column}) == len({code for _, code in pairs}), number


def test_the_regression_is_that_of_scikit_learn():
    data = people()
    layer = linear(data)
    fit_linear(layer, data)
    vectors = DictVectorizer()
    rows = [dict(enumerate(map(str, row))) for s in data.train.tokens for row in features(s, data)]
    x = vectors.fit_transform(rows)
    often = np.asarray(x.sum(0)).ravel() >= 2
    regression = LogisticRegression(C=0.5, max_iter=1000).fit(x[:, often], data.train.y)
    asked = data.test.tokens
    new = [dict(enumerate(map(str, row))) for sentence in asked for row in features(sentence, data)]
    expected = regression.predict_proba(vectors.transform(new)[:, often])
    inputs = sentence_inputs(asked, data, True)
    found = np.asarray(layer([*inputs.values()]))[inputs["tokens"] != 0]
    np.testing.assert_allclose(found, expected, atol=0.03)
    assert expected.max() > 0.9


@pytest.mark.slow
def test_training_leaves_the_regression_and_the_answer_is_the_pool(tmp_path):
    data = people()
    tagger = Tagger.load(train(data, tmp_path / "run", **TINY))
    model, inputs = tagger.model, sentence_inputs(data.test.tokens, data, True)
    fresh = with_linear(network(data), data, ALL).get_layer("features")
    kept = model.get_layer("features")
    np.testing.assert_allclose(kept.kernel, fresh.kernel, atol=1e-4)
    shift = np.asarray(kept.bias) - np.asarray(fresh.bias)  # of O, for the highest F1
    assert shift[data.labels.index("B-PER")] == pytest.approx(0, abs=1e-4)
    outputs = [model.get_layer(name).output for name in ("head", "features", "pool")]
    head, beside, pool = keras.Model(model.inputs, outputs)([*inputs.values()])
    real = inputs["tokens"] != 0
    mean = np.sqrt(np.asarray(head)[real] * np.asarray(beside)[real])
    np.testing.assert_allclose(
        np.asarray(pool)[real], mean / mean.sum(-1, keepdims=True), atol=1e-5
    )


def test_a_bias_on_both_shifts_their_pool_by_as_much():
    data = people()
    model = with_linear(network(data), data, ALL)
    inputs = [*sentence_inputs(data.test.tokens, data, True).values()]
    before = np.log(np.asarray(model(inputs)))
    for bias in linear_tagging.biases(model):
        bias.assign_add([0.0, -1.5])
    after = np.log(np.asarray(model(inputs)))
    logit = [x[..., 1] - x[..., 0] for x in (before, after)]
    np.testing.assert_allclose(logit[1], logit[0] - 1.5, atol=1e-3)


def test_the_network_is_trained_alone_and_shares_its_weights():
    data, task = people(), task_of("tagger")
    settings = task.settings({"units": 4}, data.options, "sentences")
    model = task.build(data, settings)
    trained = task.training_model(model, settings)
    assert {id(weight) for weight in trained.weights} == {id(w) for w in model.trainable_weights}
    assert not model.get_layer("features").trainable_weights
    assert task.training_model(trained, settings) is trained
    alone = task.settings({"units": 4, "use_characters": False}, data.options, "sentences")
    assert len(task.build(data, alone).inputs) == 1  # without characters nothing stands beside


@pytest.mark.parametrize("go_backwards", [False, True])
def test_what_reads_one_way_never_sees_the_words_of_the_other(go_backwards):
    data, task = people(), task_of("tagger")
    given = {"units": 4, "bidirectional": False, "go_backwards": go_backwards}
    settings = task.settings(given, data.options, "sentences")
    tagger = task.predictor(
        task.build(data, settings), data.labels, data.vocabulary, data.characters, lower_case=True
    )
    words = ["Ada", "met", "Alan", "in", "London"]
    changed = [*words[:3], "1843", "."] if not go_backwards else ["--", "--", *words[2:]]
    kept = slice(2, None) if go_backwards else slice(3)
    found = [tagger.predict_proba([sentence]) for sentence in (words, changed)]
    np.testing.assert_allclose(found[0][kept], found[1][kept], atol=1e-6)
    assert np.abs(found[0] - found[1]).max() > 0.01


def test_what_is_too_much_to_fit_has_no_regression(monkeypatch):
    data = people()
    monkeypatch.setattr(logistic, "_MOST_PRODUCTS", 10)
    model = network(data)
    assert with_linear(model, data, ALL) is model


def test_any_number_of_probabilities_has_a_pool():
    members = np.random.default_rng(0).dirichlet(np.ones(3), size=(3, 2, 5)).astype("float32")
    expected = np.prod(members, 0) ** (1 / 3)
    found = np.asarray(layers.OpinionPool()([*members]))
    np.testing.assert_allclose(found, expected / expected.sum(-1, keepdims=True), atol=1e-6)
    assert np.isfinite(layers.OpinionPool()([np.eye(2), np.eye(2)[::-1]])).all()
