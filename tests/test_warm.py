"""Warm starts: which weights of a run go over to a new model, and which are frozen."""

import json

import keras
import numpy as np
import pytest
from conftest import invoke, refused

from kerasrnn import Dataset, InputError, Series, load_model, open_run, train
from kerasrnn.data.corpora import Corpus
from kerasrnn.data.sentences import Sentences
from kerasrnn.data.texts import Texts
from kerasrnn.files import digest
from kerasrnn.fitting import warm
from kerasrnn.inference.loading import save_model
from kerasrnn.layers import layers_in
from kerasrnn.runs import create_run
from kerasrnn.tasks import task_of
from kerasrnn.training import describe, resume

WORDS = ["the", "cat", "sat", "on", "a", "mat", "and", "the", "dog", "ran", "far", "away", "."]
SMALL = {"units": (6, 5), "embedding_dim": 4}


def words(size, *more, seed=0):
    """A text of words, one after the other."""
    return [str(word) for word in np.random.default_rng(seed).choice([*WORDS, *more], size)]


def texts(*more, **options):
    """Labelled texts."""
    found = [" ".join(words(7, *more, seed=seed)) for seed in range(60)]
    return Texts.from_lists(found, [("no", "yes")[len(text) % 2] for text in found], **options)


def sentences(*more, **options):
    """Labelled sentences."""
    rows = [words(6, *more, seed=seed) for seed in range(40)]
    pairs = [[(word, ("NOUN", "VERB")[len(word) % 2]) for word in row] for row in rows]
    return Sentences.from_lists(pairs, **options)


def corpus(*more, **options):
    """A text."""
    return Corpus.from_text(" ".join(words(600, *more)), **{"level": "word"} | options)


def numbers(features=2, labels=("down", "up"), scale=1.0, targets=None):
    """Sequences of unequal length, and their labels or numbers."""
    rng, n = np.random.default_rng(0), 60
    x = rng.normal(size=(n, 9, features)) * scale
    y = np.array(labels)[np.arange(n) % len(labels)]
    lengths = rng.integers(2, 9, n)
    if targets:
        return Dataset.from_arrays(x, x[:, 0], lengths=lengths, targets=targets)
    return Dataset.from_arrays(x, y, lengths=lengths)


def series(level=0.0):
    """The rows of a series."""
    x = np.sin(np.arange(120) / 3) + np.random.default_rng(0).normal(size=120) / 9 + level
    return Series.from_arrays(x, horizon=3, window=8)


def built(data, **options):
    """A new model for data, its task and its settings."""
    task = task_of(data.task)
    if data.task == "classifier":
        options = {"members": 1} | options
    settings = task.settings(options, data.options, data.kind)
    settings, _ = task.completed(data, settings)
    keras.utils.set_random_seed(0)
    return task.build(data, settings), task, data, settings


def begun(data, run, **options):
    """A new model that starts from a run, and what came of its layers."""
    found = built(data, start_from=run, **options)
    return found[0], warm.start(*found)["start"]["what"]


@pytest.fixture
def made(tmp_path):
    """Make a run of a model with any weights, as if it had been trained."""

    def make(data, **options):
        model, task, _, settings = built(data, **options)
        rng = np.random.default_rng(1)
        for weight in model.trainable_weights:
            weight.assign(weight + rng.normal(size=weight.shape) / 3)
        info = {"data": describe(data), "options": settings.fit | settings.model, "seed": 0}
        out = tmp_path / f"run-{len([*tmp_path.iterdir()])}"
        run = create_run(data.name, data.task, info, task.artifacts(data), out)
        save_model(model, run, "best.keras")
        return run

    return make


def layer(model, name):
    return next(layer for layer in layers_in(model) if layer.name == name)


def answers(model, data, run):
    """What a model says of the first batch of its data."""
    task = task_of(data.task)
    settings = task.settings(open_run(run).info["options"], data.options, data.kind)
    return np.asarray(model(task.batches(data, settings, 0)[0][0]))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "options"),
    [
        (numbers, {"units": (4, 3), "stem": "none", "pooling": "attention"}),
        (numbers, {"units": 4, "stem": "fcn", "stem_filters": 4}),
        (numbers, {"units": 4, "stem": "fcn", "stem_filters": 4, "instance_scaling": True}),
        (numbers, {"units": 4, "stem": "conv", "stem_filters": 4, "cell": "gru"}),
        (lambda: numbers(targets=("a", "b")), {"units": 4}),
        (series, {"units": 4}),
        (texts, SMALL),
        (sentences, SMALL),
        (sentences, SMALL | {"embedding_dim": 0, "bidirectional": False, "go_backwards": True}),
        (corpus, SMALL),
        (corpus, SMALL | {"tied": True}),
        (lambda: corpus(task="infiller"), SMALL),
    ],
)
def test_a_model_of_the_same_data_starts_as_the_run_is(data, options, made):
    data = data()
    run = made(data, **options)
    model, what = begun(data, run)
    old = answers(load_model(run), data, run)
    np.testing.assert_allclose(answers(model, data, run), old, atol=1e-6)
    assert not any("new:" in said for said in what.values()), what


def test_labels_that_both_know_keep_their_outputs(made):
    run = made(numbers(labels=("down", "left", "up")), units=4)
    data = numbers(labels=("up", "right", "down", "aloft"))
    model, what = begun(data, run)
    cold = built(data, units=4)[0].get_layer("head").get_weights()
    old, new = (m.get_layer("head").get_weights() for m in (load_model(run), model))
    assert data.labels == ("aloft", "down", "right", "up")
    for weights in zip(old, new, cold, strict=True):
        before, now, fresh = (np.moveaxis(w, -1, 0) for w in weights)
        assert np.array_equal(now[[1, 3]], before[[0, 2]])
        assert np.array_equal(now[[0, 2]], fresh[[0, 2]])
    assert what["head"] == "2 of 4 outputs as in the run; new: 'aloft', 'right'"


@pytest.mark.parametrize("tied", [False, True])
def test_kept_tokens_keep_their_vectors_and_their_outputs(made, tied):
    before, now = corpus("zebra"), corpus("whale", "zebra", "yak")
    run = made(before, **SMALL, tied=tied)
    model, what = begun(now, run)
    cold = built(now, **SMALL, tied=tied)[0]
    rows = {"embedding": 0} if tied else {"embedding": 0, "head": -1}
    for name, axis in rows.items():
        old, new, fresh = (
            np.moveaxis(layer(m, name).get_weights()[0], axis, 0)
            for m in (load_model(run), model, cold)
        )
        for token in now.vocabulary.tokens:
            place = now.vocabulary.encode(token)
            known = token in before.vocabulary
            expected = old[before.vocabulary.encode(token)] if known else fresh[place]
            assert np.array_equal(new[place], expected), token
    assert what["embedding"] == "14 of 16 tokens as in the run; new: 'yak', 'whale'"


@pytest.mark.slow
@pytest.mark.parametrize("data", [corpus, texts, sentences])
def test_data_that_is_read_for_a_run_has_all_its_tokens(made, data):
    run = made(corpus("zebra", "whale", task="infiller"), **SMALL)
    own, wide = data("yak"), data("yak", start_from=run)
    number = len(own.vocabulary)
    assert wide.vocabulary.tokens[:number] == own.vocabulary.tokens
    assert sorted(wide.vocabulary.tokens[number:]) == ["whale", "zebra"]
    model, what = begun(wide, run)
    assert what["embedding"].startswith(f"{number + 1} of {number + 2} tokens")
    old, new = (layer(m, "embedding").embeddings for m in (load_model(run), model))
    places = wide.vocabulary.encode("whale"), run.vocabulary().encode("whale")
    assert np.array_equal(new[places[0]], old[places[1]])
    most = data("yak", start_from=run, max_vocabulary=number + 1).vocabulary.tokens
    assert most == wide.vocabulary.tokens[: number + 1]


def test_one_hot_tokens_keep_their_rows_of_the_first_kernel(made):
    before, now = sentences("zebra"), sentences("whale")
    run = made(before, units=3, embedding_dim=0, use_characters=False)
    model, _ = begun(now, run)
    old, new = (layer(m, "bidirectional_1").backward_layer for m in (load_model(run), model))
    for token in set(now.vocabulary.tokens) & set(before.vocabulary.tokens):
        kernels = new.cell.kernel[now.vocabulary.encode(token)], old.cell.kernel
        assert np.array_equal(kernels[0], kernels[1][before.vocabulary.encode(token)])


@pytest.mark.parametrize("data", [texts, sentences])
def test_a_generator_is_the_forward_direction_of_a_tagger_and_a_classifier(made, data):
    run, data = made(corpus("zebra"), **SMALL, cell="gru"), data()
    model, what = begun(data, run)
    old, cold = load_model(run), built(data, **SMALL, cell="gru")[0]
    place = data.vocabulary.encode("cat"), corpus("zebra").vocabulary.encode("cat")
    vectors = [layer(m, "embedding").embeddings for m in (model, old)]
    assert np.array_equal(vectors[0][place[0]], vectors[1][place[1]])
    for depth, rows in (1, 4), (2, 6):
        one, two, fresh = (layer(m, f"bidirectional_{depth}") for m in (model, model, cold))
        cell, taken = one.forward_layer.cell, layer(old, f"gru_{depth}").cell
        assert np.array_equal(cell.kernel[:rows], taken.kernel[:rows])
        for name in ("recurrent_kernel", "bias"):
            assert np.array_equal(getattr(cell, name), getattr(taken, name))
        for a, b in zip(two.backward_layer.weights, fresh.backward_layer.weights, strict=True):
            assert np.array_equal(a, b)
    assert what["bidirectional_2"] == "forward as in the run, else new; 6 of 12 inputs"
    assert what["head"] == "new: the run is a generator"


def test_an_infiller_gives_a_tagger_both_directions(made):
    run = made(corpus(task="infiller"), **SMALL)
    model, what = begun(sentences(), run, use_characters=False)
    for a, b in zip(
        layer(model, "bidirectional_2").weights,
        layer(load_model(run), "bidirectional_2").weights,
        strict=True,
    ):
        assert np.array_equal(a, b)
    assert what["bidirectional_1"] == "as in the run"


def test_options_that_nobody_gave_are_those_of_the_run(made):
    settings = built(numbers(), start_from=made(numbers(), units=3, cell="gru", stem="conv"))[3]
    assert [settings.model[name] for name in ("units", "cell", "stem")] == [3, "gru", "conv"]
    run = made(corpus(level="char"), units=5, dropout=0.3)
    task = task_of("classifier")
    settings = task.settings({"start_from": run, "cell": "gru"}, kind="texts")
    assert (settings.data["level"], settings.model["units"]) == ("char", 5)
    assert (settings.model["cell"], settings.model["dropout"]) == ("gru", 0.4)


def test_the_scaling_is_kept_unless_the_data_is_of_other_units(made):
    run = made(numbers(), units=4)
    kept, what = begun(numbers(scale=1.5), run)
    assert "whose weights expect it" in what["scaling"]
    old = layer(load_model(run), "scaling")
    assert np.array_equal(layer(kept, "scaling").mean, old.mean)
    other, what = begun(numbers(scale=1000), run)
    assert what["scaling"].startswith("of the new data: 1e+03 deviations")
    assert np.asarray(layer(other, "scaling").variance) == pytest.approx(1e6, rel=0.2)


def test_a_forecast_of_another_level_has_its_own_line(made):
    run = made(series(), units=4)
    model, what = begun(series(1000.0), run)
    assert what["linear"] == "of the new data" and "new data" in what["scaling"]
    assert what["bidirectional_1"] == "as in the run"
    cold = built(series(1000.0), units=4)[0]
    for name in ("linear", "head"):  # it starts as the best linear forecast
        pairs = zip(layer(model, name).weights, layer(cold, name).weights, strict=True)
        assert all(np.array_equal(new, old) for new, old in pairs)


@pytest.mark.slow
def test_frozen_weights_do_not_move_and_the_model_saves_loads_and_exports(made, workplace):
    from kerasrnn import Classifier, export, load_export

    data = numbers()
    run = made(data, units=4, stem="fcn", stem_filters=4)
    found = train(data, "r", start_from=run, freeze="all-but-head", epochs=3, quiet=True)
    old, new = load_model(run), load_model(found)
    for one in layers_in(new):
        moved = [
            not np.array_equal(a, b)
            for a, b in zip(one.get_weights(), layer(old, one.name).get_weights(), strict=True)
        ]
        assert moved == [one.name == "head"] * len(moved), one.name
    assert len(new.trainable_variables) == 2
    info = json.loads((found.path / "run.json").read_text())
    assert info["start"]["sha256"] == digest(run.path / "best.keras")
    assert info["start"]["run"] == str(run) and info["options"]["freeze"] == "all-but-head"
    assert info["start"]["what"]["frozen"].startswith("conv_1, norm_1, ")
    export(found, "exported", check=False)
    one, other = (
        Classifier.load(p).predict_proba(data.test.x, data.test.lengths)
        for p in (found, load_export("exported"))
    )
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.slow
def test_a_training_goes_on_as_it_started(made, workplace):
    run, data = made(numbers(scale=1.5), units=4, cell="simple", stem="none"), numbers()
    how = {"start_from": run, "freeze": "stack", "schedule": "constant", "quiet": True}
    whole = train(data, "whole", epochs=2, **how)
    half = train(data, "half", epochs=1, **how)
    resume(half, data, epochs=2, quiet=True)
    weights = [load_model(path).get_weights() for path in (whole, half)]
    assert all(map(np.array_equal, *weights))
    scales = [layer(load_model(path), "scaling").mean for path in (run, half)]
    assert np.array_equal(*scales)
    save_model(built(numbers(), units=4, cell="simple", stem="none")[0], run, "best.keras")
    with pytest.raises(InputError, match="started from has changed"):
        resume(half, data, epochs=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("freeze", "names"),
    [
        ("embedding", "embedding; not spelling"),
        ("stack", "bidirectional_2; not bidirectional_1"),
        ("all-but-head", "embedding, bidirectional_2; not spelling, bidirectional_1"),
    ],
)
def test_only_what_comes_from_the_run_whole_is_frozen(made, freeze, names):
    run = made(corpus(task="infiller"), **SMALL)
    model, what = begun(sentences(), run, freeze=freeze)
    assert what["frozen"] == names
    frozen = [one.name for one in layers_in(model) if not one.trainable]
    assert frozen == [*names.split("; ")[0].split(", "), "features"]  # the last is never trained


@pytest.mark.slow
def test_the_command_line_says_what_came_of_each_layer(made, workplace):
    run = made(corpus(), units=3, embedding_dim=4)
    rows = [f"{w[0]}\t{w[1]}" for w in (("cat sat on a mat", "no"), ("the dog ran far", "yes"))]
    (workplace / "texts.tsv").write_text("text\tlabel\n" + "\n".join(rows * 8) + "\n")
    words = ["train", "texts.tsv", "--label", "label", "--text", "text"]
    words += ["--start-from", run.path, "--epochs", 1]
    said = invoke(*words, "-o", "r").stderr
    assert f"start from {run}" in said and "forward as in the run, else new" in said
    run.path.rename(workplace / "gone")  # which a trained run does not need
    assert "accuracy" in invoke("evaluate", "r").stdout
    assert "no run at" in refused(*words)


@pytest.mark.slow
def test_what_does_not_fit_is_refused_in_one_line(made, workplace):
    run, text_run = made(numbers(), units=4), made(corpus(), **SMALL)
    for data, start, options, said in (
        (numbers(3), run, {}, "found 2 features; expected 3 features, as in arrays"),
        (texts(), run, {}, "found numbers; expected tokens, as in texts"),
        (
            texts(level="char"),
            text_run,
            {},
            "found tokens of level word; expected tokens of level char",
        ),
        (sentences(), text_run, {"units": 7}, "nothing of the run fits"),
        (sentences(), text_run, {"freeze": "stack"}, "leaves nothing to freeze"),
        (
            corpus(),
            made(corpus(), **SMALL, tied=True),
            {"freeze": "all-but-head"},
            "nothing to train",
        ),
        (numbers(), run, {"freeze": "everything"}, "unknown freeze: found 'everything'"),
        (numbers(), workplace, {}, "is not a run"),
    ):
        with pytest.raises(InputError, match=said):
            begun(data, start, **options)
    with pytest.raises(InputError, match="add --start-from RUN"):
        warm.start(*built(numbers(), freeze="stack"))
    with pytest.raises(InputError, match="shares no token"):
        begun(Corpus.from_text("x y z " * 90, level="word"), text_run)


def test_a_damaged_run_is_refused_in_one_line(made):
    for name, change in (
        ("best.keras", lambda path: path.write_bytes(path.read_bytes()[:900])),
        ("vocabulary.json", lambda path: path.write_text('["<unk>", "cat"]')),
        ("vocabulary.json", lambda path: path.unlink()),
        ("best.keras", lambda path: path.unlink()),
    ):
        run = made(corpus(), **SMALL)
        change(run.path / name)
        with pytest.raises(InputError):
            begun(corpus(), run)


def test_several_trainings_are_no_start(made):
    run = made(numbers(), units=4)
    run.write_json({"run.json": run.info | {"members": []}})
    with pytest.raises(InputError, match="several trainings"):
        begun(numbers(), run.path)
