"""Warm starts: the weights of a finished run as the beginning of a new model.

What a number of a weight belongs to is told by names: of tokens, of labels, of the features below
a kernel. Where both models have a name its weights go over; the others stay as they were built.
"""

from __future__ import annotations

from collections.abc import Hashable
from itertools import cycle
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from kerasrnn.errors import InputError, check_choice
from kerasrnn.files import digest, read_json
from kerasrnn.inference.loading import load_model
from kerasrnn.layers import CharacterEncoder, OneHot, layers_in
from kerasrnn.options import FREEZES
from kerasrnn.runs import Run, open_run
from kerasrnn.tasks import task_of
from kerasrnn.tasks.base import Settings, Task
from kerasrnn.tasks.members import members_of
from kerasrnn.text import LINE_END, MASK, UNKNOWN

_FAR = 3.0  # deviations from the old mean, or times the old deviation: other units
_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
_STEM = [f"{kind}_{number}" for number in (1, 2, 3) for kind in ("conv", "norm")]
_SHOWN = 5  # names in a message


class Part(NamedTuple):
    """What became of a layer, in words, and whether its weights are those of the run.

    fits: True where they all are, new tokens and labels aside; None where some are.
    """

    said: str
    fits: bool | None


class Side(NamedTuple):
    """One of two models, and what its numbers mean.

    said: the artifacts of its task. options: those that it was built with.
    """

    task: Task
    model: keras.Model
    said: dict
    options: dict

    def layer(self, name: str) -> keras.Layer | None:
        """The layer of a name; None where there is none."""
        return next((layer for layer in layers_in(self.model) if layer.name == name), None)

    def recurrent(self) -> list[keras.Layer]:
        """The recurrent layers, from below."""
        return [layer for layer in layers_in(self.model) if isinstance(layer, _RECURRENT)]

    def ids(self, file: str, padded: bool) -> list[Hashable]:
        """What each id stands for: tokens, and None for padding."""
        return [None] * padded + self.said[file]

    def inputs(self) -> list[Hashable]:
        """What each feature is that the stem or the stack reads."""
        found = []
        for layer in layers_in(self.model):
            if isinstance(layer, OneHot):
                found += self.ids("vocabulary.json", layer.mask_zero)
            elif isinstance(layer, keras.layers.Embedding):
                found += _numbered("embedding", layer.output_dim)
            elif isinstance(layer, CharacterEncoder):
                found += _numbered("spelling", layer.units)
        kinds = ("shape", "size", "level") if self.layer("instance_scaling") else ("x",)
        width = self.model.inputs[0].shape[-1]
        return found or [name for kind in kinds for name in _numbered(kind, width)]

    def below(self) -> list[Hashable]:
        """What each feature is that the first recurrent layer reads."""
        if self.options.get("stem") == "conv":
            return _numbered("stem", self.layer("conv_3").filters)
        return self.inputs()


def start(
    model: keras.Model, task: Task, data, settings: Settings, before: dict | None = None
) -> dict:
    """Start a model from the weights of a run, and freeze some, where its settings say so.

    Args:
        model: of ``task.build``, before it is compiled; its weights are set in place.
        task, data, settings: what it was built for.
        before: what was returned of a training that goes on now.

    Returns:
        ``{"start": {"run": …, "sha256": of its model, "what": {layer: what became of it}}}`` for
        run.json; empty where the model starts from nothing.

    Raises:
        InputError: no run, one that is damaged or does not fit, or nothing to freeze.
    """
    path, freeze = settings.fit["start_from"], settings.fit["freeze"]
    if path is None:
        if freeze is not None:
            raise InputError("--freeze without a run to start from", fix="add --start-from RUN")
        return {}
    run = open_run(path)
    if "members" in run.info:
        first = next(iter(run.runs), "another")
        raise InputError(
            "several trainings have no weights in common to start from",
            where=run,
            fix=f"name one of them, such as {first}",
        )
    try:
        trained, said = load_model(run.model_path), _said(run)
        for member, source in zip(members_of(model), cycle(members_of(trained)), strict=False):
            old = Side(task_of(run.task), source, said, run.info["options"])
            new = Side(task, member, task.artifacts(data), settings.model)
            _check(run, old, new, data)
            parts = take_over(old, new)
            frozen = {} if freeze is None else {"frozen": _freeze(new, freeze, parts)}
    except KeyError as error:
        raise InputError("the files of a run do not fit its model", where=run) from error
    what = {name: part.said for name, part in parts.items()} | frozen
    started = {"run": str(run), "sha256": digest(run.model_path), "what": what}
    if before is not None and before != started:
        raise InputError("the run that the training started from has changed", where=run)
    return {"start": started}


def lines(started: dict) -> list[str]:
    """What ``start`` gave, to be read: a line for each layer."""
    if not started:
        return []
    what = started["start"]["what"]
    wide = max(map(len, what))
    said = [f"  {name:{wide}}  {came}" for name, came in what.items()]
    return [f"start from {started['start']['run']}", *said]


def take_over(old: Side, new: Side) -> dict[str, Part]:
    """Set the weights of the new model to those of the old one, where they fit.

    Returns what became of each layer, by name. Raises ``InputError`` where nothing fits.
    """
    parts = _embedding(old, new) | _spelling(old, new) | _scaling(old, new)
    body = _stem(old, new)
    body |= _stack(old, new, all(part.fits for part in body.values()))
    if not any(body[layer.name].fits in (True, None) for layer in new.recurrent()):
        raise InputError(
            "nothing of the run fits the model",
            found="; ".join(f"{name}: {part.said}" for name, part in (parts | body).items()),
            fix="leave out --units, --cell and --embedding-dim, which are then those of the run",
        )
    whole = all(part.fits for part in body.values())
    whole &= all(old.options.get(name) == new.options.get(name) for name in ("stem", "pooling"))
    parts |= body | _same(old, new, ["pooling", "projection"], whole) | _linear(old, new, parts)
    straight = parts.get("linear", Part("", True)).fits  # what the head's part corrects
    parts |= _head(old, new, whole and straight)
    for name in ("ngrams", "features"):
        if new.layer(name):
            parts[name] = Part("fitted to the new texts", False)
    return parts


def _said(run: Run) -> dict:
    """The artifacts of a run, as far as they say what its model's numbers mean."""
    readers = {
        "labels.json": lambda: list(run.labels()),
        "vocabulary.json": lambda: list(run.vocabulary().tokens),
        "characters.json": lambda: list(run.vocabulary("characters.json").tokens),
        "targets.json": lambda: read_json(run.path / "targets.json", dict),
    }
    return {name: read() for name, read in readers.items() if (run.path / name).exists()}


def _check(run, old, new, data):
    """Raise ``InputError`` unless both models read the same kind of input."""
    kinds = ["tokens" if "int" in side.model.inputs[0].dtype else "numbers" for side in (old, new)]
    levels = [run.info["data"].get("level"), getattr(data, "level", None)]
    features = [side.model.inputs[0].shape[-1] for side in (old, new)]
    for what, (before, now), fix in (
        ("{}", kinds, None),
        ("tokens of level {}", levels, f"read the data with --level {levels[0]}"),
        ("{} features", features, None),
    ):
        if before != now:
            raise InputError(
                "a run of other data to start from",
                where=run,
                found=what.format(before),
                expected=f"{what.format(now)}, as in {data.name}",
                fix=fix,
            )
    if kinds[0] == "tokens":
        common = {*old.said["vocabulary.json"]} & {*new.said["vocabulary.json"]}
        if not common - {UNKNOWN, LINE_END, MASK}:
            raise InputError(f"a run that shares no token with {data.name}", where=run)


def _embedding(old, new):
    kind = keras.layers.Embedding
    layers = [
        next((x for x in layers_in(s.model) if isinstance(x, kind)), None) for s in (old, new)
    ]
    if layers[1] is None:
        return {}
    name = layers[1].name
    if layers[0] is None or layers[0].output_dim != layers[1].output_dim:
        return {name: Part("new: another width than the run's", False)}
    ids = [s.ids("vocabulary.json", x.mask_zero) for s, x in zip((old, new), layers, strict=True)]
    _take(layers[0].embeddings, layers[1].embeddings, *ids)
    return {name: Part(_counted(*ids, "tokens"), True)}


def _spelling(old, new):
    layers = [side.layer("spelling") for side in (old, new)]
    if layers[1] is None:
        return {}
    widths = [x and (x.units, x.embedding_dim) for x in layers]
    if widths[0] != widths[1]:
        return {"spelling": Part("new: the run has none such", False)}
    ids = [side.ids("characters.json", True) for side in (old, new)]
    _take(layers[0].lookup.embeddings, layers[1].lookup.embeddings, *ids)
    layers[1].convolution.set_weights(layers[0].convolution.get_weights())
    return {"spelling": Part(_counted(*ids, "characters"), True)}


def _scaling(old, new):
    """Keep the scaling, which the weights expect, unless the new data is of other units."""
    parts, alike = {}, bool(old.layer("logarithm")) == bool(new.layer("logarithm"))
    for layer in layers_in(new.model):
        if not isinstance(layer, keras.layers.Normalization):
            continue
        before = old.layer(layer.name)
        same = alike and before is not None and before.mean.shape == layer.mean.shape
        far = _distance(before, layer) if same else None
        if same and far <= _FAR:
            layer.input_mean, layer.input_variance = before.input_mean, before.input_variance
            layer.mean = ops.cast(before.mean, layer.mean.dtype)
            layer.variance = ops.cast(before.variance, layer.variance.dtype)
            parts[layer.name] = Part("as in the run, whose weights expect it", True)
        else:
            reason = f"{far:.3g} deviations from the run's" if same else "other columns"
            parts[layer.name] = Part(f"of the new data: {reason}", False)
    return parts


def _distance(old, new):
    """How far a scaling is from another: in deviations, or by what factor they differ."""
    mean, variance, now, spread = (
        np.asarray(value, "float64") for value in (old.mean, old.variance, new.mean, new.variance)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.abs(now - mean) / np.sqrt(variance)
        ratio = np.sqrt(spread / variance)
        return float(np.nan_to_num(np.maximum.reduce([shift, ratio, 1 / ratio]), nan=0.0).max())


def _stem(old, new):
    if new.layer("conv_1") is None:
        return {}
    if old.layer("conv_1") is None or old.inputs() != new.inputs():
        return {name: Part("new: the run has none such", False) for name in _STEM}
    return _same(old, new, _STEM, True)


def _same(old, new, names, whole):
    """Layers that go over with all weights or none. whole: whether all below them did."""
    parts = {}
    for name in names:
        layer, before = new.layer(name), old.layer(name)
        if layer is None or not layer.weights:
            continue
        shapes = [[w.shape for w in x.weights] if x else None for x in (before, layer)]
        whole &= shapes[0] == shapes[1]
        parts[name] = Part("as in the run" if whole else "new: another shape or input", whole)
        if whole:
            layer.set_weights(before.get_weights())
    return parts


def _stack(old, new, whole):
    """The recurrent layers, from below as far as they fit. whole: whether the stem went over."""
    parts, before = {}, old.recurrent()
    names = old.below(), new.below()
    if new.options.get("stem") == "conv" and not whole:
        names = [], []
    for depth, layer in enumerate(new.recurrent()):
        if depth == len(before):
            parts[layer.name] = Part("new: the run has no such layer", False)
            break
        parts[layer.name] = part = _recurrent(before[depth], layer, *names)
        if part.fits is False:
            break
        names = _outputs(before[depth]), _outputs(layer)
    new_ones = {layer.name: Part("new", False) for layer in new.recurrent()}
    return new_ones | parts


def _recurrent(old, new, before, now):
    """Take the directions over that both layers have. before, now: names of their inputs."""
    theirs, ours = _directions(old), _directions(new)
    sides = [side for side in ours if side in theirs]
    cells = [next(iter(x.values())).cell for x in (theirs, ours)]
    if not sides or type(cells[0]) is not type(cells[1]) or cells[0].units != cells[1].units:
        return Part("new: another cell or width", False)
    if not {*before} & {*now}:
        return Part("new: another input", False)
    for side in sides:
        cell, taken = ours[side].cell, theirs[side].cell
        _take(taken.kernel, cell.kernel, before, now)
        for name in ("recurrent_kernel", "bias"):
            getattr(cell, name).assign(getattr(taken, name))
    said = "as in the run" if len(sides) == len(ours) else f"{sides[0]} as in the run, else new"
    read = [name for name in now if not isinstance(name, tuple) or name in before]
    if len(read) < len(now):
        said += f"; {len(read)} of {len(now)} inputs"
    return Part(said, True if len(sides) == len(ours) and len(read) == len(now) else None)


def _head(old, new, whole):
    """The head of the same task: outputs that both have. whole: whether all below went over."""
    layers = [side.layer("head") for side in (old, new)]
    if not all(isinstance(layer, keras.layers.Dense) for layer in layers):
        return {} if not layers[1].weights else {"head": Part("new: the run's is tied", False)}
    if old.task is not new.task:
        return {"head": Part(f"new: the run is a {old.task.name}", False)}
    if not whole or layers[0].kernel.shape[0] != layers[1].kernel.shape[0]:
        return {"head": Part("new: what is below it is", False)}
    outputs = [side.task.outputs(side.said, side.options) for side in (old, new)]
    _take(layers[0].kernel, layers[1].kernel, *outputs, axis=1)
    taken = _take(layers[0].bias, layers[1].bias, *outputs)
    return {"head": Part(_counted(*outputs, "outputs"), taken == len(outputs[1]))}


def _linear(old, new, parts):
    """The linear part of a forecast, which is the run's where its scaling is."""
    scaled = all(part.fits for name, part in parts.items() if name.endswith("scaling"))
    outputs = [
        side.layer("linear") and side.task.outputs(side.said, side.options) for side in (old, new)
    ]
    found = _same(old, new, ["linear"], scaled and outputs[0] == outputs[1])
    return {
        name: part if part.fits else Part("of the new data", False) for name, part in found.items()
    }


def _freeze(new, freeze, parts):
    """Freeze what came from the run whole; returns what that is, in words."""
    check_choice("freeze", freeze, FREEZES)
    kinds = {
        "embedding": (keras.layers.Embedding, CharacterEncoder),
        "stack": (*_RECURRENT, keras.layers.Conv1D, keras.layers.BatchNormalization),
        "all-but-head": keras.layers.Layer,
    }
    chosen = [
        layer
        for layer in layers_in(new.model)
        if isinstance(layer, kinds[freeze]) and layer.trainable_variables and layer.name != "head"
    ]
    kept = [layer for layer in chosen if parts[layer.name].fits]
    learning = [layer.name for layer in chosen if layer not in kept]
    for layer in kept:
        layer.trainable = False
    if not kept or not new.model.trainable_variables:
        raise InputError(
            f"--freeze {freeze} leaves nothing to {'train' if kept else 'freeze'}",
            found="; ".join(f"{name}: {parts[name].said}" for name in learning) or None,
            expected=None if kept else "layers that come from the run whole",
        )
    said = ", ".join(layer.name for layer in kept)
    return f"{said}; not {', '.join(learning)}" if learning else said


def _numbered(name: str, width: int) -> list[Hashable]:
    return [(name, width, index) for index in range(width)]


def _directions(layer) -> dict[str, keras.layers.RNN]:
    """The recurrent layers in one, by the way they read."""
    if isinstance(layer, keras.layers.Bidirectional):
        return {"forward": layer.forward_layer, "backward": layer.backward_layer}
    return {"backward" if layer.go_backwards else "forward": layer}


def _outputs(layer) -> list[Hashable]:
    sides = _directions(layer).items()
    return [name for side, one in sides for name in _numbered(side, one.cell.units)]


def _take(old, new, before, now, axis=0):
    """Set the rows, or columns, of a variable whose names the old one has too; says how many."""
    if old.shape[axis] != len(before):
        raise InputError(
            "the files of a run do not fit its model",
            found=f"{len(before)} names",
            expected=old.shape[axis],
        )
    values, taken = np.moveaxis(np.array(new), axis, 0), np.moveaxis(np.asarray(old), axis, 0)
    places = {name: index for index, name in enumerate(before)}
    pairs = [(index, places[name]) for index, name in enumerate(now) if name in places]
    targets, sources = [index for index, _ in pairs], [index for _, index in pairs]
    values[targets] = taken[sources]
    new.assign(np.moveaxis(values, 0, axis))
    return len(pairs)


def _counted(old, new, noun):
    """How many names go over, and which ones are new."""
    known, names = set(old), [name for name in new if name is not None]
    fresh = [repr(name) for name in names if name not in known]
    said = f"{len(names) - len(fresh):,} of {len(names):,} {noun} as in the run"
    if not fresh:
        return said
    return f"{said}; new: {', '.join(fresh[:_SHOWN])}{', …' * (len(fresh) > _SHOWN)}"
