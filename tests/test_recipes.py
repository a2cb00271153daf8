"""What is chosen from the facts about some data, and that it is said and recorded."""

import numpy as np
import pytest

from kerasrnn import Corpus, Dataset, Sentences, Texts, load_dataset, train
from kerasrnn.errors import InputError
from kerasrnn.tasks import task_of


def dataset(number, steps, features=1, targets=None):
    x = np.random.default_rng(0).normal(size=(number, steps, features)).astype("float32")
    y = x.sum((1, 2))[:, None] if targets else np.arange(number) % 2
    return Dataset.from_arrays(x, y, targets=targets, test=(x[:4], y[:4]))


def chosen(data, **given):
    task = task_of(data.task)
    settings, reasons = task.completed(data, task.settings(given, data.options, data.kind))
    return settings.model | settings.fit, reasons


def test_digits_stay_what_they_are():
    options, _ = chosen(load_dataset("digits"))
    expected = {"stem": "none", "pooling": "last", "dropout": 0.2, "units": 50}
    expected |= {"epochs": 30, "batch_size": 32, "learning_rate": 0.005, "schedule": "constant"}
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(("targets", "fewest"), [(None, 1000), (("sum",), 600)])
def test_few_sequences_are_repeated_until_there_are_enough_steps(targets, fewest):
    options, reasons = chosen(dataset(36, 60, targets=targets))
    batches = -(-36 // options["batch_size"])
    assert fewest <= options["epochs"] * batches <= 2.5 * fewest
    assert reasons.keys() >= {"epochs", "batch_size", "stem", "learning_rate"}
    assert all(reasons.values())


def test_a_stride_that_is_given_says_how_many_members_there_is_time_for():
    members = [chosen(dataset(500, 700), stem_stride=stride)[0]["members"] for stride in (1, 4)]
    assert members[0] < members[1]


def test_options_out_of_range_are_named_before_the_recipe_counts_with_them(tmp_path):
    for data in (dataset(36, 60), Texts.from_lists(["a b", "b c"] * 9, ["x", "y"] * 9)):
        for option, value in (("batch_size", -1000), ("dropout", 1.5)):
            with pytest.raises(InputError, match=f"{option} out of range"):
                train(data, tmp_path / "r", quiet=True, **{option: value})
    assert not (tmp_path / "r").exists()


def test_what_is_given_is_kept_and_the_rest_follows_from_it():
    options, reasons = chosen(dataset(36, 60), batch_size=4, stem="none")
    assert options["batch_size"] == 4 and options["stem"] == "none"
    assert not {"batch_size", "stem"} & set(reasons)
    assert options["epochs"] < chosen(dataset(36, 60))[0]["epochs"]
    assert options["learning_rate"] == 0.005  # as of any stack without a stem


@pytest.mark.parametrize(("decades", "own"), [(0, False), (1, False), (4, True)])
def test_sequences_of_very_different_sizes_are_scaled_each(decades, own):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 30, 2)) * 10 ** rng.uniform(0, decades, (40, 1, 1))
    x[::7, :5] = np.nan
    x[::3] = 1  # nothing varies in these
    options, reasons = chosen(Dataset.from_arrays(x, np.arange(40) % 2))
    assert options["instance_scaling"] is own and reasons["instance_scaling"].endswith("-fold")
    other, _ = chosen(Dataset.from_arrays(x, np.arange(40) % 2), instance_scaling=not own)
    assert other["instance_scaling"] is not own


@pytest.mark.slow
def test_shapes_are_learnt_at_any_size(tmp_path):
    """Sines and squares; where all are scaled as one, the small ones look alike."""
    rng = np.random.default_rng(0)
    t = np.arange(40) * 0.4 + rng.uniform(0, 6, (160, 1))
    y = np.arange(160) % 2
    x = np.where(y[:, None], np.sin(t), np.sign(np.sin(t))) * 10 ** rng.uniform(-3, 3, (160, 1))
    data = Dataset.from_arrays(x[:80], y[:80], test=(x[80:], y[80:]))
    few = {"epochs": 30, "members": 1, "stem_filters": 8, "units": 4, "quiet": True}
    run = train(data, tmp_path / "run", **few)
    assert run.info["options"]["instance_scaling"]
    assert run.metrics()["test"]["accuracy"] > 0.95
    run = train(data, tmp_path / "one", instance_scaling=False, **few)
    assert run.metrics()["test"]["accuracy"] < 0.9


def test_long_sequences_are_strided():
    strides = [chosen(dataset(30, steps))[0]["stem_stride"] for steps in (24, 150, 427, 2000, 9000)]
    assert strides == [1, 1, 2, 4, 13]


@pytest.mark.parametrize(
    ("data", "members"),
    [
        (dataset(40, 60), 5),
        (dataset(40, 2600), 1),
        (dataset(1200, 9), 1),
        (dataset(40, 60, targets=("sum",)), 8),
        (dataset(40, 2600, targets=("sum",)), 3),
        (dataset(1200, 9, targets=("sum",)), 1),
        (load_dataset("digits"), 1),
    ],
)
def test_few_short_sequences_are_learnt_by_several(data, members):
    options, reasons = chosen(data)
    assert options["members"] == members and reasons["members"]


@pytest.mark.slow
def test_a_recipe_is_said_and_recorded(tmp_path, capfd):
    small = {"epochs": 1, "units": 2, "cell": "simple", "stem_filters": 2, "members": 1}
    run = train(dataset(1200, 8), tmp_path / "r", **small)
    said = capfd.readouterr().err
    recipe = run.info["recipe"]
    assert "epochs" not in recipe and "units" not in recipe
    for name, reason in recipe.items():
        value = run.info["options"][name]
        assert any(
            line.split() == [name, str(value), *reason.split()] for line in said.splitlines()
        )


def test_few_sentences_are_repeated_too():
    rows = [[("a", "A"), ("b", "B")]]
    few, many = (chosen(Sentences.from_lists(rows * number)) for number in (100, 4200))
    assert (few[0]["epochs"], many[0]["epochs"]) == (334, 10)
    assert "1,002 steps" in few[1]["epochs"] and "3,360 sentences" in many[1]["epochs"]


@pytest.mark.parametrize(
    ("repeats", "task", "given", "expected"),
    [
        (100, "generator", {}, (16, 150, 0.5)),  # until there are 300 steps
        (3000, "generator", {}, (16, 20, 0.5)),
        (3000, "generator", {"batch_size": 64}, (64, 30, 0.5)),
        (3000, "infiller", {}, (16, 100, 0.3)),
        (60_000, "infiller", {}, (64, 20, 0.2)),  # no more than can be read in some minutes
    ],
)
def test_a_short_text_is_read_often_in_small_batches(repeats, task, given, expected):
    corpus = Corpus.from_text("a few words . " * repeats, task=task)
    options, reasons = chosen(corpus, **given)
    found = tuple(options[name] for name in ("batch_size", "epochs", "dropout"))
    assert found == expected and options["learning_rate"] == 0.01
    assert "characters" in reasons["epochs"]


@pytest.mark.parametrize("task", ["generator", "infiller"])
def test_a_large_vocabulary_costs_epochs_and_ties_its_output_of_longer_texts(task):
    def found(words, **given):
        text = " ".join(map(str, range(9000))) + " and so on " * (words // 3)
        options, _ = chosen(Corpus.from_text(text, level="word", task=task), **given)
        names = ("tied", "learning_rate", "batch_size")
        return tuple(options[name] for name in names), options["epochs"]

    assert found(9000)[0] == (False, 0.005, 16)
    tied, epochs = found(300_000)
    own, fewer = found(300_000, tied=False)
    assert (tied, own) == ((True, 0.01, 16), (False, 0.005, 16)) and fewer < epochs
    assert found(300_000, embedding_dim=0)[0] == own  # nothing to tie to
