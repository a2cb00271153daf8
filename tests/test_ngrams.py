"""The logistic regression of n-grams beside a classifier of texts."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_union

from kerasrnn import Classifier, Texts, build_classifier, layers, train
from kerasrnn.data import storage
from kerasrnn.data.storage import FileArray
from kerasrnn.data.texts import TextPart, pad_texts, starts_of
from kerasrnn.tasks import logistic, task_of
from kerasrnn.tasks.ngram_regression import SIZES, fit_ngrams, spellings_of, with_ngrams

WORDS = ["the", "a", "good", "bad", "film", "plot", "was", "not", "great", "dull", "never", "again"]
TINY = {"units": 4, "embedding_dim": 6, "epochs": 2, "batch_size": 8, "quiet": True}


def reviews(several=False, **options):
    """Texts of different words, with labels that some of them tell."""
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.permutation(WORDS)[: rng.integers(2, 8)]) for _ in range(80)]
    labels = ["good" if "good" in text else "bad" if "bad" in text else "so-so" for text in texts]
    if several:
        labels = [[word for word in ("good", "film", "was") if word in text] for text in texts]
        labels = [[*row, "all"] for row in labels]
    return Texts.from_lists(texts, labels, level="word", min_frequency=1, **options)


def fitted(data, buckets=1 << 18, spelled=False, **options):
    spellings = spellings_of(data.vocabulary) if spelled else None
    options["spelled"] = spellings.shape[0] if spelled else 0
    layer = layers.NgramClassifier(
        len(data.labels), sizes=SIZES[data.level], buckets=buckets, **options
    )
    ids = padded(data.train)
    layer(ids)
    fit_ngrams(layer, data.train, spellings=spellings)
    return layer, ids


def padded(part):
    return pad_texts(part.x, starts_of(part.lengths), part.lengths)


def ngrams(row, sizes):
    """The n-grams of a text's ids, as a count by hand: an edge on each side belongs to it."""
    ids = [0, *row[row != 0].tolist(), 0]
    runs = (tuple(ids[i : i + n]) for n in sizes for i in range(len(ids) - n + 1))
    return [run for run in runs if any(run)]


def test_the_regression_is_that_of_scikit_learn_on_tfidf():
    data = reviews()
    layer, ids = fitted(data)
    counted = TfidfVectorizer(analyzer=lambda row: ngrams(row, layer.sizes))
    x = counted.fit_transform(list(ids))
    regression = LogisticRegression(C=10, tol=1e-3).fit(x, data.train.y)
    asked = padded(data.test)  # with n-grams that are new
    expected = regression.predict_proba(counted.transform(list(asked)))
    np.testing.assert_allclose(np.asarray(layer(asked)), expected, atol=0.01)
    assert expected.max() > 0.7


def test_spellings_are_counted_as_scikit_learn_does_and_unknown_words_have_none():
    data = reviews()
    layer, ids = fitted(data, spelled=True)
    words = np.array(["", "", *data.vocabulary.tokens[1:]])
    union = make_union(
        TfidfVectorizer(analyzer=lambda row: ngrams(row, layer.sizes)),
        TfidfVectorizer(
            analyzer="char_wb", ngram_range=(3, 5), preprocessor=lambda row: " ".join(words[row])
        ),
    )
    regression = LogisticRegression(C=10, tol=1e-3)
    regression.fit(union.fit_transform(list(ids)), data.train.y)
    asked = padded(data.test)
    asked[::2, 1] = data.vocabulary.unknown_id
    expected = regression.predict_proba(union.transform(list(asked)))
    np.testing.assert_allclose(np.asarray(layer(asked)), expected, atol=0.05)
    alone = np.asarray(fitted(data)[0](asked))
    assert np.abs(np.asarray(layer(asked)) - expected).mean() < np.abs(alone - expected).mean() / 3
    unknown = layer.spelling_squares.numpy()[: data.vocabulary.unknown_id + 1]
    assert not unknown.any() and layer.spelling_squares.numpy()[2:].all()


@pytest.mark.parametrize("sizes", [(1,), (2,), (1, 2), (1, 2, 3, 4, 5)])
def test_each_ngram_counts_once_and_padding_never(sizes):
    layer = layers.NgramClassifier(2, sizes=sizes, buckets=1 << 18)
    ids = np.array([[7, 7, 9, 4], [5, 0, 0, 0]])
    for row, codes in zip(ids, np.asarray(layer.codes(ids)), strict=True):
        by_hand = ngrams(row, sizes)
        assert len(codes[codes != 0]) == len(by_hand)
        assert len({*codes[codes != 0]}) == len({*by_hand})
    longer = np.asarray(layer.codes(np.pad(ids, [(0, 0), (0, 6)])))
    for few, many in zip(np.asarray(layer.codes(ids)), longer, strict=True):
        assert sorted(few[few != 0]) == sorted(many[many != 0])


def test_several_labels_each_have_a_regression_and_one_that_all_have_is_sure():
    data = reviews(several=True)
    layer, ids = fitted(data, activation="sigmoid")
    found = np.asarray(layer(ids))
    assert ((found > 0.5) == data.train.y).mean() > 0.9
    assert (found[:, data.labels.index("all")] > 0.99).all()


@pytest.mark.slow
def test_training_leaves_the_regression_and_the_answer_is_the_mean(tmp_path):
    data = reviews()
    run = train(data, tmp_path / "run", **TINY)
    classifier = Classifier.load(run)
    model, ids = classifier.model, padded(data.test)
    layer, _ = fitted(data, model.get_layer("ngrams").buckets, spelled=True)
    for kept, new in zip(model.get_layer("ngrams").get_weights(), layer.get_weights(), strict=True):
        np.testing.assert_allclose(kept, new, atol=1e-4)
    alone = keras.Model(model.inputs[0], model.get_layer("head").output)
    mean = (np.asarray(alone(ids)) + np.asarray(layer(ids))) / 2
    found = classifier.predict_proba(data.test.x, data.test.lengths)
    np.testing.assert_allclose(found, mean, atol=1e-5)


def test_the_stack_is_trained_alone_and_shares_its_weights():
    data, task = reviews(), task_of("classifier")
    settings = task.settings({"units": 4}, data.options, data.kind)
    model = task.build(data, settings)
    trained = task.training_model(model, settings)
    assert {id(weight) for weight in trained.weights} == {id(w) for w in model.trainable_weights}
    assert not model.get_layer("ngrams").trainable_weights
    assert task.training_model(trained, settings) is trained


@pytest.mark.parametrize(
    ("number", "words", "epochs", "batch_size"),
    [(200, 10, 47, 16), (1800, 10, 12, 32), (30_000, 10, 12, 64), (1800, 3000, 2, 32)],
)
def test_few_texts_get_enough_steps_and_many_no_more_than_fit_in_minutes(
    number, words, epochs, batch_size
):
    part = TextPart(np.ones(number * words, "int32"), np.arange(number) % 2, np.full(number, words))
    data = replace(reviews(), train=part)
    task = task_of("classifier")
    chosen, reasons = task.completed(data, task.settings({}, data.options, data.kind))
    assert chosen.fit["epochs"] == epochs and chosen.fit["batch_size"] == batch_size
    assert f"{number:,} texts" in reasons["batch_size"]


def test_texts_in_a_file_are_fitted_as_those_in_memory(monkeypatch):
    small = reviews()
    monkeypatch.setattr(storage, "_IN_MEMORY", 16)
    large = reviews()
    assert isinstance(large.train.x, FileArray)
    found = []
    for data in (small, large):
        model = build_classifier(num_classes=3, vocabulary_size=data.vocabulary.num_ids, units=4)
        found.append(with_ngrams(model, data).get_layer("ngrams").get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_too_much_to_fit_has_no_regression(monkeypatch):
    data = reviews()
    model = build_classifier(num_classes=3, vocabulary_size=data.vocabulary.num_ids, units=4)
    number = 3 * len(data.train.x) * len(SIZES["word"])
    monkeypatch.setattr(logistic, "_MOST_PRODUCTS", number)
    assert with_ngrams(model, data).get_layer("ngrams").spelled == 0
    monkeypatch.setattr(logistic, "_MOST_PRODUCTS", number - 1)
    assert with_ngrams(model, data) is model


def test_a_class_without_a_training_text_is_unlikely():
    data = reviews()
    layer = layers.NgramClassifier(5, sizes=(1, 2), buckets=999)
    ids = padded(data.train)
    layer(ids)
    fit_ngrams(layer, data.train)
    assert np.asarray(layer(ids))[:, 3:].max() < 0.01
