"""What a task is, and what the predictors of all tasks share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Self

import keras

from kerasrnn import options
from kerasrnn.errors import InputError
from kerasrnn.inference.explaining import Explanation
from kerasrnn.inference.exports import Export
from kerasrnn.inference.loading import load_model, open_source, save_model
from kerasrnn.inference.signatures import Servable
from kerasrnn.runs import Run, open_run

_READING = ("level", "lines", "letters_only")  # of a text, as a run to start from read it
_WIDTHS = ("units", "cell", "embedding_dim")  # that the weights of another task's run ask for


@dataclass(frozen=True)
class Settings:
    """The options of one training with defaults filled in: of its data, model and fit.

    given: the names of those that were given, of the data too; None where nobody knows.
    """

    data: dict
    model: dict
    fit: dict
    given: list[str] | None = None


class Choice(NamedTuple):
    """The value of an option that nobody gave, and why it is that."""

    value: Any
    reason: str


class Predictions(NamedTuple):
    """What a predictor says of some inputs, some of them at a time.

    batches: a number of rows each, made when they are asked for. columns: of a table, ``{name:
    values}`` of a batch; None where there is no table of it. records: the values of a batch for
    JSON. text: a batch as plain text; None where that is the table. draw: a function that draws
    a list of batches on Axes; None where there is no picture of it.
    """

    batches: Iterator
    records: Callable[[Any], list]
    columns: Callable[[Any], dict[str, list]] | None = None
    text: Callable[[Any], str] | None = None
    draw: Callable | None = None

    @classmethod
    def of_texts(cls, texts: Iterator[str]) -> Predictions:
        """Predictions that are texts."""
        return cls(texts, lambda text: [text], text=lambda text: f"{text}\n")


class Evaluation(NamedTuple):
    """What metrics.json and examples.json hold of an evaluation."""

    metrics: dict
    examples: dict


class Predictor:
    """A trained model of one task, used from a run, an export or a Keras model alike."""

    task: ClassVar[str]
    reading: Mapping = MappingProxyType({})  # what the columns of a file mean; JSON

    @classmethod
    def load(cls, source: str | os.PathLike) -> Self:
        """The predictor of the best model of a run, or of an export: a path, or an open one.

        Raises ``InputError`` where there is none of this task.
        """
        source = open_source(source)
        if source.task != cls.task:
            raise InputError(
                "made for another task", where=source, found=source.task, expected=cls.task
            )
        make = cls._from_export if isinstance(source, Export) else cls._from_run
        predictor = make(source)
        predictor.reading = source.reading()
        return predictor

    @classmethod
    def _from_run(cls, run: Run) -> Self:
        raise NotImplementedError

    @classmethod
    def _from_export(cls, export: Export) -> Self:
        raise NotImplementedError


class Task:
    """What sets one task apart.

    name: of the task. kinds: of its data, as ``data.kinds.kind_of`` names it. summary: a
    sentence for the model card. predictor: its ``Predictor``. keeps_start: whether the model may
    be at its best as it is built. validated: metrics of the validation part that the history
    holds too, beside those that ``fit`` measures. no_ensemble: why models are not averaged, where
    they are not.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    summary: ClassVar[str]
    predictor: ClassVar[type[Predictor]]
    keeps_start: ClassVar[bool] = False
    no_ensemble: ClassVar[str] = ""
    validated: ClassVar[tuple[str, ...]] = ()

    def settings(self, given: dict, data: dict | None = None, kind: str | None = None) -> Settings:
        """The options given, those of a run to start from, and defaults for the others.

        data: the options that the data was loaded with, where it was. kind: of the data.
        Raises ``InputError`` for an option that the task does not have.
        """
        tables = options.tables(self.name, kind)
        asked = [*given] if data is None else None
        if given.get("start_from") is not None:
            given = self._started(given, *tables[data is not None : 2])
        if data is not None:
            tables[0] = data
        allowed = [name for table in tables[data is not None :] for name in table]
        strange = [name for name in given if name not in allowed]
        if strange:
            raise InputError(
                f"the {self.name} has no such option"
                + (f" for {kind}" if kind in options.OF_KIND else ""),
                found=", ".join(strange),
                expected=", ".join(allowed),
            )
        return Settings(
            *({name: given.get(name, value) for name, value in table.items()} for table in tables),
            asked,
        )

    def _started(self, given, *tables):
        """The options given, and of data and model those of the run that its weights ask for."""
        given = given | {"start_from": os.path.abspath(given["start_from"])}
        if all(name in given for name in tables[-1]):
            return given
        run = open_run(given["start_from"])
        asked = (*_READING, *(tables[-1] if run.task == self.name else _WIDTHS))
        names = [name for table in tables for name in table if name in asked]
        found = run.info["data"] | run.reading(*_READING) | run.info["options"]
        return {name: found[name] for name in names if name in found} | given

    def recipe(self, data, settings: Settings) -> dict[str, Choice]:
        """Choices, from facts about the data, for options of model and fit that are None."""
        return {}

    def completed(self, data, settings: Settings) -> tuple[Settings, dict[str, str]]:
        """Settings with the choices of the recipe where nothing is given, and their reasons."""
        recipe, tables, reasons = self.recipe(data, settings), [], {}
        for table in (settings.model, settings.fit):
            chosen = {
                name: recipe[name] for name in table if table[name] is None and name in recipe
            }
            tables.append(table | {name: choice.value for name, choice in chosen.items()})
            reasons |= {name: choice.reason for name, choice in chosen.items()}
        return Settings(settings.data, *tables, settings.given), reasons

    def load(self, *source: str, **options):
        """The data of a source, cut in parts."""
        raise NotImplementedError

    def build(self, data, settings: Settings) -> keras.Model:
        """The model for some data, uncompiled."""
        raise NotImplementedError

    def loss(self, settings: Settings, data) -> keras.losses.Loss:
        """The loss to train with; steps of weight 0, which are padding, count for nothing."""
        return keras.losses.SparseCategoricalCrossentropy(reduction="mean_with_sample_weight")

    def metrics(self, data) -> list[str]:
        """Metrics of Keras for ``fit``, whose targets are indices of labels."""
        return []

    def training_model(self, model: keras.Model, settings: Settings) -> keras.Model:
        """The model to fit, sharing the weights of ``model``."""
        return model

    def batches(self, data, settings: Settings, seed: int) -> keras.utils.PyDataset:
        """What ``fit`` reads; its ``tokens`` is their number in an epoch, or None."""
        raise NotImplementedError

    def artifacts(self, data) -> dict:
        """What the model's numbers mean, ``{file name: JSON value}`` of the run."""
        raise NotImplementedError

    def outputs(self, artifacts: dict, options: dict) -> list:
        """What each number is that the head gives: labels, or tokens. options: of the model."""
        return artifacts.get("labels.json") or artifacts["vocabulary.json"]

    def add_metrics(self, data, logs: dict) -> dict:
        """The metrics of an epoch, with those that follow from them."""
        return logs

    def validator(self, model: keras.Model, data, settings: Settings) -> Callable[[], dict] | None:
        """A function that gives the metrics of the validation part; None where there is none."""
        raise NotImplementedError

    def monitored(self, row: Mapping[str, float]) -> float:
        """What is lowest in the row of the history at the best epoch, where there is validation."""
        return row["val_loss"]

    def finish(self, run: Run, data) -> keras.Model | None:
        """Do what is left to do with the best model of a run when training has ended.

        Returns the model as it is then, where it was read for that.
        """
        return None

    def evaluate(self, model: keras.Model, data, settings: Settings, folder: Path) -> Evaluation:
        """What the model does on the validation and the test part; draws into the folder."""
        raise NotImplementedError

    def sampler(self, model: keras.Model, data, settings: Settings) -> Callable[[], str] | None:
        """A function that gives a text to look at while training; or None."""
        return None

    def next_command(self, data, run: Run) -> list[str]:
        """The words of a command that uses a new run."""
        raise NotImplementedError

    def predictions(
        self, predictor: Predictor, inputs: Sequence[str], encoding: str | None
    ) -> Predictions:
        """What ``kerasrnn predict`` says of its inputs: files, names or texts."""
        raise NotImplementedError

    def explanation(
        self, predictor: Predictor, source: str, row: int | None, encoding: str | None
    ) -> Explanation:
        """How a predictor of a run comes to its answer for one input, a row of a source."""
        raise NotImplementedError

    def score(
        self, predictor: Predictor, source: str, folder: Path | None, encoding: str | None
    ) -> Evaluation:
        """What a predictor does on other labelled data; pictures go into the folder."""
        raise InputError(f"other data for a {self.name}", found=source, fix="train on it")

    def servable(self, predictor: Predictor) -> Servable:
        """What an export of the predictor answers."""
        raise NotImplementedError


def beside(kept: Mapping[str, Sequence], **columns: Sequence) -> dict[str, Sequence]:
    """The columns of an input and those predicted, which get another name where it is taken.

    >>> beside({"label": ["a"]}, label=["b"])
    {'label': ['a'], 'predicted_label': ['b']}
    """
    return {**kept} | {
        f"predicted_{name}" if name in kept else name: values for name, values in columns.items()
    }


def rows(columns: Mapping[str, Sequence]) -> list[dict]:
    """The rows of some columns.

    >>> rows({"index": range(2), "label": ["a", "b"]})
    [{'index': 0, 'label': 'a'}, {'index': 1, 'label': 'b'}]
    """
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def load_run_model(run: Run, labels: Sequence[str] | None = None) -> keras.Model:
    """The best model of a run. Raises ``InputError``, as where it does not fit its labels."""
    model = load_model(run)
    if labels is not None:
        check_outputs(model, len(labels), "labels", where=run.path / "labels.json")
    return model


def change_best(run: Run, change: Callable[[keras.Model], keras.Model]) -> keras.Model:
    """Put what a function makes of the best model of a run in its place, and give it."""
    model = load_model(run)
    changed = change(model)
    if changed is not model:
        save_model(changed, run, "best.keras")
    return changed


def check_outputs(model: keras.Model, number: int, what: str, where=None):
    """Raise ``InputError`` unless the model has one output for each of so many labels or tokens."""
    if model.output_shape[-1] != number:
        raise InputError(
            f"{what} that do not match the model",
            where=where,
            found=f"{number} {what}",
            expected=model.output_shape[-1],
        )
