import numpy as np
import pytest

from kerasrnn import Infiller, InputError, Vocabulary, load_corpus, train
from kerasrnn.data.batches import mask_tokens
from kerasrnn.inference.calling import compiled
from kerasrnn.models import build_infiller
from kerasrnn.tasks.infiller import masked_loss
from kerasrnn.text import MASK

MASK_ID = 1

QUICK = {"units": 16, "epochs": 25, "sequence_length": 12, "batch_size": 16, "learning_rate": 0.02}


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A run on a text in which a character follows from both its neighbours."""
    rng = np.random.default_rng(0)
    middles = {("a", "b"): "x", ("a", "c"): "y", ("d", "b"): "z", ("d", "c"): "w"}
    triples = [(left, right) for left in "ad" for right in "bc"]
    text = "".join(
        left + middles[left, right] + right
        for left, right in (triples[i] for i in rng.integers(4, size=1500))
    )
    folder = tmp_path_factory.mktemp("filled")
    (folder / "triples.txt").write_text(text)
    corpus = load_corpus(folder / "triples.txt", task="infiller")
    return train(corpus, folder / "run", mask_span=1, quiet=True, **QUICK)


@pytest.mark.slow
def test_a_blank_is_filled_from_both_sides(filled):
    infiller = Infiller.load(filled)
    for text, whole in {
        "axbd_bayc": "axbdzbayc",
        "axba_cdzb": "axbaycdzb",
        "dwca_bd_c": "dwcaxbdwc",
    }.items():
        assert infiller.fill(text)[0] == whole
    text, ((best, second),) = infiller.fill("axbd_bayc", alternatives=2)
    assert best[0] == "z" and best[1] > 0.9 and best[1] + second[1] <= 1 + 1e-6


@pytest.mark.slow
def test_metrics_of_the_hidden_tokens_stand_beside_their_frequencies(filled):
    metrics, history = filled.metrics(), filled.history()
    assert metrics["validation"]["perplexity"] < 1.5 < metrics["baseline"]["perplexity"]
    assert list(metrics["ngrams"]) == ["1"]  # the frequencies, which need no token around
    assert metrics["validation"]["loss"] == pytest.approx(min(history["val_loss"]), rel=1e-4)
    assert {"perplexity", "val_perplexity", "tokens_per_second"} <= set(history)
    assert (filled.path / "perplexity.png").exists()


def test_the_surest_blank_is_filled_first_and_the_others_see_it():
    """By a loop that predicts anew for each blank."""
    vocabulary = Vocabulary("abcdefgh", reserved=[MASK])
    model = build_infiller(len(vocabulary), units=8)
    model.set_weights([4 * weight for weight in model.get_weights()])
    ids = vocabulary.encode([*"abc", MASK, MASK, *"de", MASK])
    while MASK_ID in ids:
        output = np.array(model(np.array([ids])))[0]
        output[:, :2] = 0
        place = max((i for i, t in enumerate(ids) if t == MASK_ID), key=lambda i: output[i].max())
        ids[place] = int(output[place].argmax())
    assert Infiller(model, vocabulary).fill("abc__de_")[0] == "".join(vocabulary.decode(ids))


def test_blanks_of_words():
    vocabulary = Vocabulary(["the", "cat", "sat", "."], reserved=[MASK])
    infiller = Infiller(build_infiller(len(vocabulary), units=4), vocabulary, level="word")
    text, candidates = infiller.fill("the ____ sat _ .", alternatives=9)
    assert [len(row) for row in candidates] == [4, 4]  # neither unknown nor another blank
    assert text.startswith("the") and " sat" in text and "_" not in text
    assert {token for token, _ in candidates[0]} == set(vocabulary.tokens[2:])


def test_what_cannot_be_filled_is_named(filled):
    infiller = Infiller.load(filled)
    with pytest.raises(InputError, match="no blank in the text: expected a _ for each"):
        infiller.fill("axb")
    with pytest.raises(InputError, match="lacks tokens of the text: found 'Q'"):
        infiller.fill("Qx_")
    assert infiller.fill("Q_b", unknown="unk")[0][0] == "Q"
    with pytest.raises(InputError, match="alternatives out of range"):
        infiller.fill("a_b", alternatives=0)
    with pytest.raises(InputError, match="without a mask"):
        Infiller(build_infiller(4, units=2), Vocabulary("abc"))
    assert "_" not in infiller.fill("_" * 40)[0]  # a longer blank than any in training


def test_the_loss_is_that_of_the_hidden_tokens_only():
    vocabulary_size, steps = 9, 16
    model = build_infiller(vocabulary_size, units=4)
    call = compiled(model)
    ids = np.random.default_rng(1).integers(2, 9, 5 * steps + 3)
    windows = ids[: 5 * steps].reshape(5, steps)
    hidden = mask_tokens(windows.shape, 0.3, 2, np.random.default_rng(0))
    output = np.array(model(np.where(hidden, MASK_ID, windows)))
    losses = [-np.log(output[i, j, windows[i, j]]) for i, j in np.argwhere(hidden)]
    assert masked_loss(call, ids, MASK_ID, steps, 0.3, 2) == pytest.approx(
        np.mean(losses), rel=1e-5
    )
    with pytest.raises(InputError, match="a validation text shorter than a window: found 83"):
        masked_loss(call, ids, MASK_ID, 100, 0.3, 2)


def test_the_space_after_a_blank_stays_in_cleaned_text():
    vocabulary = Vocabulary("the im", reserved=[MASK])
    infiller = Infiller(build_infiller(len(vocabulary), units=4), vocabulary, letters_only=True)
    text = infiller.fill("Th_  TIME, th_m!")[0]
    assert [text[:2], text[3:11], text[12:]] == ["th", " time th", "m"]


def test_logits_are_filled_in_as_probabilities_are():
    vocabulary = Vocabulary("abcdefgh", reserved=[MASK])
    models = [
        build_infiller(vocabulary.num_ids, units=8, activation=kind) for kind in ("softmax", None)
    ]
    models[1].set_weights(models[0].get_weights())
    (text, rows), (other, others) = (
        Infiller(model, vocabulary).fill("abc__de_", alternatives=3) for model in models
    )
    assert text == other
    np.testing.assert_allclose(
        [[p for _, p in row] for row in rows], [[p for _, p in row] for row in others], rtol=1e-5
    )
