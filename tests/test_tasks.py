import numpy as np
import pytest
import tensorflow as tf
from factories import RUN_FILES

from kerasrnn import InputError, build_generator, evaluate, load_corpus, load_model, train
from kerasrnn.evaluation import ngram_losses
from kerasrnn.inference.states import CarriedState, step_model
from kerasrnn.options import DATA, FIT, MODEL, TASKS
from kerasrnn.tasks import task_of
from kerasrnn.tasks.text_report import LossTally
from kerasrnn.training import load_data

QUICK = {
    "units": 8,
    "cell": "gru",
    "epochs": 3,
    "sequence_length": 8,
    "batch_size": 8,
    "quiet": True,
}


@pytest.fixture
def tale(tmp_path):
    path = tmp_path / "tale.txt"
    path.write_text("once upon a time, 1 2 3; then again and again! " * 40)
    return path


def token_by_token(model, ids, first=1):
    """The mean loss, by the one-step model with its states carried through the whole text."""
    step = step_model(model)
    ask = tf.function(lambda *given: step([*given]))
    states = [np.zeros((1, state.shape[1]), "float32") for state in step.inputs[1:]]
    total = 0.0
    for index, token in enumerate(ids[:-1]):
        output, *states = map(np.array, ask(tf.constant([token]), *states))
        if index + 1 >= first:
            total -= np.log(float(output[0, ids[index + 1]]))
    return total / (len(ids) - first)


def test_every_task_has_a_row_and_its_options():
    assert set(TASKS) == set(FIT) == set(MODEL) == set(DATA)
    for name in TASKS:
        assert task_of(name).name == task_of(name).predictor.task == name
    with pytest.raises(InputError, match="the classifier has no such option: found mask_rate, x"):
        task_of("classifier").settings({"mask_rate": 0.3, "x": 1})
    with pytest.raises(InputError, match="no such option: found level"):
        task_of("generator").settings({"level": "word"}, data={})  # the data is loaded already


@pytest.mark.slow
def test_a_generator_is_evaluated_on_every_token_with_its_state_carried(text_run):
    corpus, model = load_data(text_run), load_model(text_run.path)
    context = corpus.train[-256:]
    expected = token_by_token(model, np.append(context, corpus.validation), len(context))
    metrics = evaluate(text_run)
    assert metrics["validation"]["loss"] == pytest.approx(expected, rel=1e-4)
    assert metrics["validation"]["perplexity"] == pytest.approx(np.exp(expected), rel=1e-4)
    assert metrics["validation"]["bits_per_character"] == pytest.approx(expected / np.log(2))
    assert metrics["validation"]["tokens"] == len(corpus.validation)
    best = min(text_run.history()["val_loss"])
    assert metrics["validation"]["loss"] == pytest.approx(best, rel=1e-5)
    ngrams = ngram_losses(corpus.train, corpus.validation, len(corpus.vocabulary))
    assert metrics["ngrams"] == {str(order): loss for order, loss in ngrams.items()}
    assert metrics["baseline"]["loss"] == min(ngrams.values())


@pytest.mark.slow
def test_many_places_read_side_by_side_give_nearly_the_loss_of_one_pass(tale):
    from kerasrnn.inference.text_loss import TextLoss

    corpus = load_corpus(tale, validation_split=0)
    model = build_generator(corpus.vocabulary.num_ids, units=8)
    assert TextLoss(model).of_text(corpus.train[:0], corpus.train) == pytest.approx(
        token_by_token(model, corpus.train), rel=1e-4
    )


def test_lines_are_evaluated_each_from_the_start(tmp_path):
    from kerasrnn.inference.text_loss import TextLoss

    lines = ["ada", "constance", "bo"] * 100
    (tmp_path / "names.txt").write_text("\n".join(lines))
    corpus = load_corpus(tmp_path / "names.txt", lines=True, validation_split=0)
    model = build_generator(corpus.vocabulary.num_ids, units=8)
    encoded = [corpus.vocabulary.encode(["\n", *line, "\n"]) for line in lines[:3]]
    losses = [token_by_token(model, ids) * (len(ids) - 1) for ids in encoded]
    expected = sum(losses) / sum(len(ids) - 1 for ids in encoded)
    bounds = corpus.line_bounds(corpus.train)
    assert TextLoss(model).of_lines(corpus.train, *bounds) == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("sampling", ["random", "sequential"])
def test_a_generator_learns_and_its_history_tells(tale, tmp_path, sampling):
    run = train(load_corpus(tale), tmp_path / "r", sampling=sampling, learning_rate=0.05, **QUICK)
    history = run.history()
    assert history["loss"][-1] < history["loss"][0] and history["loss"][-1] < 2
    np.testing.assert_allclose(history["perplexity"], np.exp(history["loss"]))
    np.testing.assert_allclose(history["val_perplexity"], np.exp(history["val_loss"]))
    np.testing.assert_allclose(history["bits_per_character"], np.array(history["loss"]) / np.log(2))
    assert min(history["tokens_per_second"]) > 0
    of_texts = {"vocabulary.json", "perplexity.png"}
    assert {path.name for path in run.path.iterdir()} == RUN_FILES | of_texts
    assert int(load_model(run.path / "last.keras").optimizer.iterations) > 0


@pytest.mark.slow
def test_batches_are_trained_on_in_their_order(tale, tmp_path, monkeypatch):
    """So that rows of sequential windows do go on where they ended."""
    from kerasrnn.data.batches import WindowBatches

    corpus = load_corpus(tale)
    seen, read = [], WindowBatches.__getitem__
    monkeypatch.setattr(
        WindowBatches, "__getitem__", lambda self, index: seen.append(index) or read(self, index)
    )
    train(corpus, tmp_path / "r", sampling="sequential", **{**QUICK, "epochs": 1})
    number = len(corpus.train) // (QUICK["sequence_length"] * QUICK["batch_size"])
    assert seen[-number:] == list(range(number))


@pytest.mark.slow
def test_what_is_saved_is_the_generator_not_the_one_that_carries_states(tale, tmp_path):
    run = train(load_corpus(tale), tmp_path / "r", sampling="sequential", **QUICK)
    model = load_model(run.path)
    assert not isinstance(model, CarriedState) and model.optimizer is not None
    assert model.output_shape == (None, None, len(load_corpus(tale).vocabulary))


@pytest.mark.slow
def test_states_start_at_zero_in_each_epoch(tale, tmp_path, monkeypatch):
    resets = []
    monkeypatch.setattr(CarriedState, "reset", lambda self: resets.append(True))
    train(load_corpus(tale), tmp_path / "r", sampling="sequential", **QUICK)
    assert len(resets) == QUICK["epochs"]


def test_words_and_no_validation_part(tale, tmp_path):
    corpus = load_corpus(tale, level="word", validation_split=0)
    run = train(corpus, tmp_path / "r", **QUICK)
    assert "bits_per_word" in run.history() and "val_loss" not in run.history()
    assert run.metrics() == {} and (run.path / "best.keras").exists()


@pytest.mark.slow
def test_samples_go_on_from_the_prompt_while_training(tale, tmp_path, capsys):
    options = {**QUICK, "quiet": False, "epochs": 5, "sample_every": 2, "prompt": "once"}
    train(load_corpus(tale), tmp_path / "r", **options)
    lines = capsys.readouterr().err.splitlines()
    order = [line.split("/")[0] for line in lines if line.startswith(("epoch", "once"))]
    assert [line[:7] for line in order if line.startswith("epoch")] == [
        f"epoch {n}" for n in range(1, 6)
    ]
    assert sum(line.startswith("once") for line in order) == 3  # epochs 2, 4 and the last
    with pytest.raises(InputError, match="lacks tokens of the text: found 'O'"):
        train(load_corpus(tale), tmp_path / "s", **{**options, "prompt": "Once"})
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("level", ["char", "word"])
@pytest.mark.parametrize("task", ["generator", "infiller"])
@pytest.mark.parametrize("text", [" \n" * 150 + "\n a few words, (and) more. ", "one two\n" * 9])
def test_the_next_command_is_one_that_the_vocabulary_can_read(task, level, text, tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(text * 9)
    data = load_corpus(path, level=level, task=task)
    said = task_of(task).next_command(data, tmp_path)[-1]
    tokens = data.tokens.split(said)
    assert 0 < len(said) <= 40 and len([t for t in tokens if t == data.tokens.blank]) <= 1
    assert {*tokens} - {data.tokens.blank} <= {*data.vocabulary.tokens}


def test_the_first_tokens_keep_the_loss_that_most_was_read_before():
    tally = LossTally()
    tally(0, np.array([[0, 1, 2, 3], [2, 3, 4, 5]]), np.array([[1, 1, 1, 1], [9, 9, 2, 2]]))
    tally(4, np.array([[4], [6]]), np.array([[1.5], [3]]))
    assert tally._first == {0: 1, 1: 1, 2: 1, 3: 1, 4: 1.5, 5: 2, 6: 3}
