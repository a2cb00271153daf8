import itertools

import numpy as np
import pytest

from kerasrnn import Corpus, InputError, load_corpus, load_dataset
from kerasrnn.data.batches import (
    MaskedBatches,
    SequenceBatches,
    WindowBatches,
    mask_tokens,
    new_tokens,
)


def test_batches_hold_every_sequence_once_in_an_order_of_seed_and_epoch():
    part = load_dataset("digits").train
    batches = SequenceBatches(part, 100, seed=5)
    orders = []
    for _ in range(2):
        assert sum(len(batches[i][1]) for i in range(len(batches))) == len(part)
        assert sorted(batches.order) == list(range(len(part)))
        orders.append(batches.order.tolist())
        batches.on_epoch_end()
    assert orders[0] != orders[1]
    assert SequenceBatches(part, 100, seed=5).order.tolist() == orders[0]


@pytest.fixture
def counting(tmp_path):
    """A corpus whose tokens tell their place: words 0, 1, 2 … in a text of 500."""
    path = tmp_path / "counting.txt"
    path.write_text(" ".join(map(str, range(500))))
    return load_corpus(path, level="word", validation_split=0, task="infiller")


def epoch_of(windows):
    return [windows[index] for index in range(len(windows))]


@pytest.mark.parametrize("sampling", ["random", "sequential"])
def test_targets_are_the_input_shifted_by_one(counting, sampling):
    windows = WindowBatches(counting, sequence_length=7, batch_size=4, sampling=sampling, seed=0)
    for _ in range(3):
        for x, y in epoch_of(windows):
            assert x.shape == y.shape and x.shape[1] == 7
            np.testing.assert_array_equal(y, x + 1)
        windows.on_epoch_end()


def test_random_windows_cover_the_text_once_at_another_offset_each_epoch(counting):
    windows = WindowBatches(counting, sequence_length=7, batch_size=4, sampling="random", seed=0)
    offsets = set()
    for _ in range(6):
        starts = np.concatenate([x[:, 0] for x, _ in epoch_of(windows)])
        assert len(starts) * 7 == windows.tokens >= 500 - 2 * 7
        assert set(np.diff(np.sort(starts))) == {7} and not (np.diff(starts) == 7).all()
        offsets.add(starts.min() % 7)
        windows.on_epoch_end()
    assert len(offsets) > 2
    again = WindowBatches(counting, sequence_length=7, batch_size=4, sampling="random", seed=0)
    other = WindowBatches(counting, sequence_length=7, batch_size=4, sampling="random", seed=1)
    fresh = WindowBatches(counting, sequence_length=7, batch_size=4, sampling="random", seed=0)
    np.testing.assert_array_equal(again[0][0], fresh[0][0])
    assert not np.array_equal(again[0][0], other[0][0])


def test_sequential_rows_go_on_where_they_ended(counting):
    windows = WindowBatches(
        counting, sequence_length=7, batch_size=4, sampling="sequential", seed=0
    )
    batches = epoch_of(windows)
    assert len(batches) > 5 and all(len(x) == 4 for x, _ in batches)
    for (_, before), (x, _) in itertools.pairwise(batches):
        np.testing.assert_array_equal(x[:, 0], before[:, -1])


@pytest.mark.parametrize("length", [64, 3])
def test_each_line_is_learnt_whole_and_once(tmp_path, length):
    lines = ["ada", "bo", "", "  constance ", "d"]
    (tmp_path / "names.txt").write_text("\r\n".join(lines))
    corpus = load_corpus(tmp_path / "names.txt", lines=True, validation_split=0)
    windows = WindowBatches(corpus, sequence_length=length, batch_size=2, sampling="random", seed=0)
    learnt = []
    for x, y, weight in epoch_of(windows):
        assert x.shape[1] == min(length, len("constance") + 1)
        for row, targets, real in zip(x, y, weight.astype(bool), strict=True):
            assert not row[~real].any() and not targets[~real].any()
            learnt.append(("".join(corpus.vocabulary.decode(row[real])), targets[real]))
    texts = ["".join(corpus.vocabulary.decode(targets)) for _, targets in learnt]
    assert windows.tokens == sum(map(len, texts)) == len(corpus.train)
    if length == 64:
        assert sorted(texts) == ["ada\n", "bo\n", "constance\n", "d\n"]
        assert all(read == "\n" + text[:-1] for (read, _), text in zip(learnt, texts, strict=True))
    else:
        assert {"con", "sta", "nce", "\n", "ada"} <= set(texts)


@pytest.mark.parametrize(
    ("sampling", "message"),
    [
        ("random", "shorter than a window: found 500 training tokens; expected at least 601"),
        ("sequential", "shorter than its rows of windows: .* expected at least 2,401"),
        ("shuffled", "unknown sampling: found 'shuffled'; expected random or sequential"),
    ],
)
def test_what_cannot_be_cut_is_named(counting, sampling, message):
    with pytest.raises(InputError, match=message):
        WindowBatches(counting, sequence_length=600, batch_size=4, sampling=sampling, seed=0)


def test_a_text_of_just_a_window_is_enough(counting):
    for sampling, length in (("random", 499), ("sequential", 124)):
        windows = WindowBatches(
            counting, sequence_length=length, batch_size=4, sampling=sampling, seed=0
        )
        assert len(epoch_of(windows)) == 1


def test_lines_cannot_be_neighbours(tmp_path):
    (tmp_path / "a.txt").write_text("ab\ncd\n")
    corpus = load_corpus(tmp_path / "a.txt", lines=True)
    with pytest.raises(InputError, match="sequential sampling of independent lines"):
        WindowBatches(corpus, sequence_length=3, batch_size=1, sampling="sequential", seed=0)


def test_masked_tokens_are_replaced_and_only_they_count(counting):
    options = {"sequence_length": 50, "batch_size": 8, "mask_rate": 0.2, "mask_span": 3}
    batches = MaskedBatches(counting, seed=0, **options)
    patterns = []
    for _ in range(2):
        x, y, weight = batches[0]
        masked = weight.astype(bool)
        assert (x[masked] == 1).all() and (x[~masked] == y[~masked]).all()
        np.testing.assert_array_equal(y[:, 1:], y[:, :-1] + 1)
        patterns.append(masked)
        batches.on_epoch_end()
    assert (patterns[0] != patterns[1]).any()
    again = MaskedBatches(counting, seed=0, **options)
    np.testing.assert_array_equal(again[0][2].astype(bool), patterns[0])


@pytest.mark.parametrize("task", ["generator", "infiller"])
def test_rare_tokens_are_sometimes_new_ones(task):
    text = "a rose is a rose is a rose . " * 30 + "once thrice " + "new words"
    corpus = Corpus.from_text(text, task=task, level="word", validation_split=0.007)
    assert len(corpus.validation) == 2
    new, ids = new_tokens(corpus), np.tile(corpus.train, (100, 1)).astype("int32")
    new.replace(ids, [0])
    found = corpus.vocabulary.decode(ids[:, -2:].ravel())
    assert 0.3 < np.mean([token in ("once", "thrice") for token in found]) < 0.7
    assert set(found) == {"once", "thrice", "new", "words", "<unk>"}  # and no mask
    assert 0.98 < (ids == corpus.train).mean() < 1
    again = np.tile(corpus.train, (100, 1)).astype("int32")
    new.replace(again, [0])
    np.testing.assert_array_equal(again, ids)


@pytest.mark.parametrize("options", [{}, {"level": "word", "min_frequency": 2}])
def test_a_text_without_new_tokens_stays_as_it_is(options):
    corpus = Corpus.from_text("a b a b c a b a b", validation_split=0.1, **options)
    rare = new_tokens(corpus)
    assert rare is None
    options = {"batch_size": 1, "sampling": "random", "seed": 0, "rare": rare}
    windows = WindowBatches(corpus, sequence_length=len(corpus.train) - 1, **options)
    ((x, y),) = epoch_of(windows)
    np.testing.assert_array_equal([*x[0], y[0, -1]], corpus.train)


@pytest.mark.parametrize("longest", [1, 4])
def test_runs_are_masked_at_the_rate_that_was_asked_for(longest):
    masked = mask_tokens((2000, 64), 0.15, longest, np.random.default_rng(0))
    assert 0.12 < masked.mean() <= 0.155
    if longest == 1:
        assert masked.sum(1).std() == pytest.approx((64 * 0.15 * 0.85) ** 0.5, rel=0.1)
    assert mask_tokens((1, 1), 0.01, longest, np.random.default_rng(0)).all()  # never nothing


@pytest.mark.parametrize(("rate", "longest"), [(0, 1), (1, 1), (0.1, 0), (0.1, 1.5)])
def test_a_bad_mask_is_named(counting, rate, longest):
    with pytest.raises(InputError, match="mask_(rate|span) out of range"):
        MaskedBatches(
            counting, sequence_length=5, batch_size=2, mask_rate=rate, mask_span=longest, seed=0
        )


def test_a_vocabulary_too_large_for_the_memory_is_refused():
    text = " ".join(map(str, range(300_000)))
    corpus = Corpus.from_text(text, level="word", validation_split=0)
    with pytest.raises(InputError, match="predictions of a batch larger than the memory: found 9"):
        WindowBatches(corpus, sequence_length=1000, batch_size=256, sampling="random", seed=0)
