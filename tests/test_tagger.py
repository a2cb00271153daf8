import itertools

import numpy as np
import pytest
from factories import RUN_FILES

from kerasrnn import InputError, Sentences, Tagger, export, load_sentences, train
from kerasrnn.data.batches import SentenceBatches, sentence_inputs
from kerasrnn.evaluation import entity_metrics, label_pairs
from kerasrnn.layers import LabelPairs
from kerasrnn.models import build_tagger
from kerasrnn.tasks import task_of
from kerasrnn.training import load_data

QUICK = {"units": 12, "epochs": 8, "batch_size": 16, "learning_rate": 0.03, "quiet": True}


@pytest.fixture(scope="module")
def treebank(tmp_path_factory):
    """CoNLL columns: words in -ly are ADV wherever they are; "set" is a verb after "to"."""
    rng = np.random.default_rng(0)
    stems = ["quick", "slow", "glad", "sad", "warm", "cold", "mad", "odd", "thick", "thin"]
    lines = []
    for _ in range(300):
        stem = stems[rng.integers(len(stems))] + str(rng.integers(100)).translate(
            str.maketrans("0123456789", "abcdefghij")
        )
        sentence = [[("to", "PART"), ("set", "VERB")], [("the", "DET"), ("set", "NOUN")]][
            rng.integers(2)
        ] + [(f"{stem}ly", "ADV")] * rng.integers(1, 4)
        lines += [f"{word}\t{label}" for word, label in sentence] + [""]
    path = tmp_path_factory.mktemp("treebank") / "bank.conll"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture(scope="module")
def tagged(treebank):
    return train(load_sentences(treebank), treebank.parent / "run", **QUICK)


@pytest.mark.slow
def test_a_tagger_reads_both_contexts_and_unseen_words(tagged):
    tagger = Tagger.load(tagged)
    sentences = [["to", "set", "wyrdestly"], ["the", "set"]]
    assert tagger.tag(sentences) == [
        [("to", "PART"), ("set", "VERB"), ("wyrdestly", "ADV")],
        [("the", "DET"), ("set", "NOUN")],
    ]
    assert tagger.predict("to set\n\n  the set\n") == [
        [("to", "PART"), ("set", "VERB")],
        [("the", "DET"), ("set", "NOUN")],
    ]


@pytest.mark.slow
def test_the_run_of_a_tagger_holds_everything(tagged):
    of_labels = {"labels.json", "accuracy.png", "confusion.png"}
    of_texts = {"vocabulary.json", "characters.json"}
    assert {path.name for path in tagged.path.iterdir()} == RUN_FILES | of_labels | of_texts
    metrics = tagged.metrics()
    assert metrics["test"]["accuracy"] > 0.98 > metrics["baseline"]["accuracy"]
    assert set(metrics["labels"]) == {"PART", "VERB", "DET", "NOUN", "ADV"}
    assert {"val_accuracy", "tokens_per_second"} <= set(tagged.history())
    assert list(tagged.labels()) == ["ADV", "DET", "NOUN", "PART", "VERB"]


@pytest.mark.slow
def test_accuracy_and_loss_count_real_steps_only(tagged):
    from kerasrnn import load_model

    data, model = load_data(tagged), load_model(tagged.path)
    part, total, right = data.test, 0.0, 0
    start = 0
    for sentence in part.tokens:  # one by one: no padding at all
        x = sentence_inputs([sentence], data, True)
        row = np.array(model([x["tokens"], x["characters"]]))[0]
        y = part.y[start : start + len(sentence)]
        total -= np.log(row[np.arange(len(y)), y]).sum()
        right += (row.argmax(-1) == y).sum()
        start += len(sentence)
    metrics = tagged.metrics()["test"]
    assert metrics["loss"] == pytest.approx(total / start, rel=1e-3)
    assert metrics["accuracy"] == pytest.approx(right / start)


def test_training_loss_ignores_padding(tagged):
    """Keras's own evaluation of padded batches with weights gives the metrics of real steps."""
    from kerasrnn import load_model
    from kerasrnn.fitting.optimizers import make_optimizer
    from kerasrnn.fitting.preparing import _compile_one
    from kerasrnn.tasks import task_of

    data, model = load_data(tagged), load_model(tagged.path)
    task, settings = task_of("tagger"), None  # on which neither loss nor metrics depend
    optimizer = make_optimizer(tagged.info["options"], 1)
    _compile_one(model, optimizer, task.loss(settings, None), task.metrics(data))
    x = sentence_inputs(data.test.tokens, data, True)
    y, weights = data.test.targets()
    x = {name: np.pad(ids, [(0, 0), (0, 9)] + [(0, 3)] * (ids.ndim - 2)) for name, ids in x.items()}
    y, weights = (np.pad(array, [(0, 0), (0, 9)]) for array in (y, weights))
    loss, accuracy = model.evaluate(x, y, sample_weight=weights, batch_size=len(y), verbose=0)
    assert loss == pytest.approx(tagged.metrics()["test"]["loss"], rel=1e-3)
    assert accuracy == pytest.approx(tagged.metrics()["test"]["accuracy"], rel=1e-5)


def test_batches_hold_every_sentence_once_and_little_padding(treebank):
    data = load_sentences(treebank)
    batches = SentenceBatches(data, batch_size=16, use_characters=True, seed=0)
    seen, padded = 0, 0
    for index in range(len(batches)):
        x, y, weights = batches[index]
        assert x["tokens"].shape == y.shape == weights.shape == x["characters"].shape[:2]
        assert ((x["tokens"] > 0) == weights.astype(bool)).all()
        seen += weights.sum()
        padded += weights.size
    assert seen == batches.tokens == len(data.train.y) and seen > 0.8 * padded
    shapes = [batches[index][0]["characters"].shape for index in (0, 1)]
    assert all(a != b for a, b in zip(shapes[0][1:], shapes[1][1:], strict=True))
    first = batches[0][1]
    batches.on_epoch_end()
    assert batches[0][1].shape != first.shape or (batches[0][1] != first).any()


def test_rare_words_are_sometimes_unknown_in_training_and_batches_repeat():
    rows = [[("Often", "A"), (f"rare{row // 2}", "B")] for row in range(400)]
    data = Sentences.from_lists(rows)
    first, again = (
        SentenceBatches(data, batch_size=400, use_characters=True, seed=0)[0][0] for _ in range(2)
    )
    assert (first["tokens"] == again["tokens"]).all()
    often, rare = (first["tokens"] == data.vocabulary.unknown_id).mean(0)
    assert often < 0.01 and 0.05 < rare < 0.2  # 0.25 / 2.25
    unchanged = SentenceBatches(data, batch_size=400, use_characters=False, seed=0)[0][0]
    assert (unchanged != data.vocabulary.unknown_id).all()


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple"])
def test_padding_changes_no_label(cell):
    model = build_tagger(
        num_labels=4,
        vocabulary_size=9,
        character_vocabulary_size=7,
        units=(5, 4),
        cell=cell,
        character_units=6,
    )
    rng = np.random.default_rng(0)
    ids, letters = rng.integers(1, 9, (2, 5)), rng.integers(1, 7, (2, 5, 4))
    ids[1, 3:] = letters[1, 3:] = 0
    alone = np.array(model([ids[1:, :3], letters[1:, :3]]))
    wide = [np.pad(ids, [(0, 0), (0, 3)]), np.pad(letters, [(0, 0), (0, 3), (0, 5)])]
    together = np.array(model(wide))
    np.testing.assert_allclose(together[1, :3], alone[0], atol=1e-6)


def test_a_tagger_of_float_sequences():
    model = build_tagger((None, 3), num_labels=4, lengths=True, units=5)
    x = np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    output = np.array(model([x, np.array([6, 4])]))
    assert output.shape == (2, 6, 4)
    np.testing.assert_allclose(output[1, :4], model([x[1:, :4], np.array([4])])[0], atol=1e-6)
    with pytest.raises(InputError, match="character_vocabulary_size without tokens"):
        build_tagger((None, 3), num_labels=4, character_vocabulary_size=5)


@pytest.mark.slow
def test_source_code_is_tagged_in_runs_of_characters():
    data = load_sentences("python")
    keras_model = build_tagger(
        num_labels=len(data.labels), vocabulary_size=data.vocabulary.num_ids, units=2
    )
    tagger = Tagger(keras_model, data.labels, data.vocabulary, data.characters, level="char")
    text = "def f():\n    return 1\n" * 30
    blocks = tagger.predict(text)
    assert "".join(token for block in blocks for token, _ in block) == text
    for block in blocks:
        assert all(a[1] != b[1] for a, b in itertools.pairwise(block))


def test_sentences_of_any_length_and_of_none(tagged):
    tagger = Tagger.load(tagged)
    probabilities = tagger.predict_proba([[], ["to"], ["set"] * 20_000, []])
    assert probabilities.shape == (20_001, 5)
    np.testing.assert_allclose(probabilities.sum(-1), 1, rtol=1e-4)
    assert tagger.predict_proba([]).shape == (0, 5) and tagger.predict(" \n\n") == []
    np.testing.assert_allclose(probabilities[:1], tagger.predict_proba([["to"]]), atol=1e-6)


@pytest.mark.slow
def test_entities_are_counted_where_labels_are_a_scheme(tmp_path):
    rows = ["Ada B-PER", "Lovelace I-PER", "wrote O", "in O", "London B-LOC", ". O", ""]
    (tmp_path / "ner.conll").write_text("\n".join(rows * 30))
    run = train(load_sentences(tmp_path / "ner.conll"), tmp_path / "run", **QUICK)
    metrics = run.metrics()
    assert metrics["test"]["entity_f1"] == 1 and metrics["baseline"]["entity_f1"] == 1
    assert metrics["entities"]["PER"]["support"] == 3


def test_the_best_epoch_of_entities_is_that_of_the_highest_f1():
    task = task_of("tagger")
    rows = [{"loss": 2.0, "val_loss": loss, "val_entity_f1": f1} for loss, f1 in ((1, 0), (3, 0.2))]
    assert min(rows, key=task.monitored) == rows[1]
    assert task.monitored(rows[0]) == 1  # the loss, as long as there is none


def best_path(scores, weights):
    """The best sequence of labels by Viterbi's algorithm; scores (time, labels + 1)."""
    edge = scores.shape[1] - 1
    total, back = scores[0] * weights[edge], []
    for row in scores[1:]:
        ways = total[:, None] * weights
        back.append(ways.argmax(0))
        total = ways.max(0) * row
    path = [int((total * weights[:, edge])[:edge].argmax())]
    for row in back[::-1]:
        path.append(int(row[path[-1]]))
    return path[::-1]


def test_labels_are_chosen_together_as_viterbi_does_and_padding_changes_none():
    labels = ("B-X", "B-Y", "I-X", "I-Y", "O")
    tags = ["O B-X I-X O", "B-Y I-Y I-Y O", "O B-X B-Y", "B-Y", "B-X O", "O I-X"][:-1]
    y = np.array([labels.index(label) for row in tags for label in row.split()])
    pairs = label_pairs(y, [len(row.split()) for row in tags], labels)
    assert not pairs[4, 2] and not pairs[5, 3] and pairs[0, 2] and not pairs[0, 3]
    rng = np.random.default_rng(0)
    x = rng.dirichlet(np.full(5, 0.5), (50, 6)).astype("float32")
    mask = np.arange(6) < rng.integers(1, 7, 50)[:, None]
    found = LabelPairs(pairs)(x, mask=mask).numpy()
    np.testing.assert_allclose(found[mask].sum(-1), 1, atol=1e-5)
    weights = np.maximum(pairs, 1e-6)
    same = 0
    for row, size, answer in zip(x, mask.sum(1), found.argmax(-1), strict=True):
        expected = best_path(np.pad(row[:size], [(0, 0), (0, 1)]), weights)
        same += expected == answer[:size].tolist()
    assert same >= 48  # what lies further away than it looks may decide


@pytest.mark.slow
def test_a_tagger_of_entities_finds_whole_ones(tmp_path):
    rng, rows = np.random.default_rng(0), []
    for _ in range(150):  # of a name either word may be the unknown one
        first, last = (f"{name}{rng.integers(30)}" for name in ("Ann", "Poe"))
        rows += [f"{first} B-PER", f"{last} I-PER", "met O", "them O", ""]
    (tmp_path / "ner.conll").write_text("\n".join(rows))
    run = train(load_sentences(tmp_path / "ner.conll"), tmp_path / "run", **QUICK)
    tagger = Tagger.load(run)
    assert isinstance(tagger.model.layers[-1], LabelPairs)
    sentences = [["Ann", "x", "met"], ["x", "Poe9"], ["x"]]
    for labels in ([label for _, label in row] for row in tagger.tag(sentences)):
        assert all(a != "O" for a, b in itertools.pairwise(labels) if b == "I-PER")
    exported = Tagger.load(export(run, tmp_path / "out", check=False))
    np.testing.assert_allclose(
        exported.predict_proba(sentences), tagger.predict_proba(sentences), atol=1e-5
    )
    assert run.metrics()["validation"]["entity_f1"] > 0.9


@pytest.mark.parametrize("most", [2, 1])
def test_labels_are_chosen_together_where_they_are_few(tmp_path, monkeypatch, most):
    monkeypatch.setattr("kerasrnn.tasks.tagger._MOST_TOGETHER", most)
    rng = np.random.default_rng(0)
    label = {True: "B-X", False: "O"}
    rows = [f"w{n} {label[n == 0 and rng.random() < 0.4]}\n" * 3 for n in rng.integers(0, 2, 300)]
    (tmp_path / "ner.conll").write_text("\n".join(rows))
    data = load_sentences(tmp_path / "ner.conll")
    run = train(data, tmp_path / "run", epochs=3, units=4, use_characters=False, quiet=True)
    tagger, part = Tagger.load(run), data.validation
    assert isinstance(tagger.model.layers[-1], LabelPairs) is (most == len(data.labels))
    found = tagger.predict_proba(part.tokens).argmax(-1)  # of the model as it is left
    expected = entity_metrics(part.y, found, part.lengths, data.labels)["entity_f1"]
    assert run.metrics()["validation"]["entity_f1"] == expected
    assert (expected > 0) is (most == 2)  # O is the likeliest of all without a shift


def test_labels_of_another_model_are_refused(tagged):
    before = list(tagged.labels())
    tagged.write_json({"labels.json": ["a", "b"]})
    with pytest.raises(InputError, match="found 2 labels; expected 5"):
        Tagger.load(tagged)
    tagged.write_json({"labels.json": before})
