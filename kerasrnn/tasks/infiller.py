"""The infiller: masked tokens, from both sides."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from kerasrnn import evaluation, layers
from kerasrnn.data.batches import MaskedBatches, mask_tokens, new_tokens
from kerasrnn.data.corpora import Corpus, load_corpus
from kerasrnn.data.inputs import text_of
from kerasrnn.errors import InputError, check_positive
from kerasrnn.inference import text_ops
from kerasrnn.inference.calling import compiled, probabilities
from kerasrnn.inference.explaining import Explanation
from kerasrnn.inference.exports import Export
from kerasrnn.inference.signatures import (
    Example,
    Servable,
    Signature,
    example_text,
    one_step_at_least,
    string_spec,
)
from kerasrnn.models import build_infiller
from kerasrnn.runs import Run
from kerasrnn.tasks import base
from kerasrnn.tasks.explanations import explain_blanks, single
from kerasrnn.tasks.language import TextTask
from kerasrnn.tasks.text_report import beginning, blanks, ngram_baseline
from kerasrnn.text import MASK, Vocabulary, clean, tokens_of

_BATCH = 64


class Infiller(base.Predictor):
    """Fills the blanks of texts, again and again without compiling anew.

    Args:
        model: a model of ``build_infiller``.
        vocabulary: the ``Vocabulary`` of its ids, with ``text.MASK`` right after the unknown
            token.
        level: ``"char"`` or ``"word"``, as the vocabulary was made.
        letters_only: texts are cleaned as its text was (``text.clean``).

    Raises:
        InputError: the vocabulary is not the model's, or has no mask.

    >>> import kerasrnn
    >>> letters = Vocabulary("abc", reserved=[MASK])
    >>> infiller = Infiller(kerasrnn.build_infiller(letters.num_ids, units=4), letters)
    >>> len(infiller.predict("a_c"))
    3
    """

    task = "infiller"

    def __init__(
        self,
        model: keras.Model,
        vocabulary: Vocabulary,
        level: str = "char",
        *,
        letters_only: bool = False,
    ):
        base.check_outputs(model, vocabulary.num_ids, "tokens")
        if vocabulary.mask_id != vocabulary.unknown_id + 1:
            raise InputError(
                "a vocabulary without a mask", expected=f"{MASK!r} as its second token"
            )
        self.model = model
        self.vocabulary, self.tokens = vocabulary, tokens_of(level)
        self.letters_only = letters_only
        self._compiled = compiled(model)

    @classmethod
    def _from_run(cls, run: Run):
        reading = run.reading("level", "letters_only")
        return cls(base.load_run_model(run), run.vocabulary(), **reading)

    @classmethod
    def _from_export(cls, export: Export):
        return _ExportedInfiller(export)

    def predict(self, text: str) -> str:
        """The text with its blanks filled; see ``fill``."""
        return self.fill(text, unknown="unk")[0]

    def fill(
        self, text: str, *, alternatives: int = 1, unknown: str = "error"
    ) -> tuple[str, list[list[tuple[str, float]]]]:
        """The text with its blanks filled, and what else might stand there.

        Each ``_`` is a masked character, or each word of ``_`` only a masked word. Again and
        again all masks that are left are predicted, and the surest is filled in.

        Args:
            text: a text with at least one blank.
            alternatives: how many candidates to give for each blank.
            unknown: what to do with tokens that the vocabulary lacks: ``"error"``, ``"skip"``
                them, or read them as ``"unk"``.

        Returns:
            ``(text, candidates)``: for each blank the likeliest ``(token, probability)`` at the
            moment it was filled, best first.

        Raises:
            InputError: no blank, a token that the vocabulary lacks, or an argument outside
                what is said above.
        """
        check_positive(alternatives=alternatives)
        tokens = self.split(text, unknown)
        masks = np.flatnonzero([token == MASK for token in tokens])
        if not len(masks):
            raise InputError("no blank in the text", expected=f"a {self.tokens.blank} for each")
        candidates, given = {}, list(tokens)
        first = self.vocabulary.mask_id + 1  # neither the unknown token nor another mask
        alternatives = min(alternatives, self.vocabulary.num_ids - first)
        while len(candidates) < len(masks):
            left = [place for place in masks if place not in candidates]
            rows = self._predict_proba(given)[left][:, first:]
            row = rows.max(-1).argmax()
            order = rows[row].argsort(kind="stable")[::-1][:alternatives]
            found = [(self.vocabulary.decode(int(first + k)), float(rows[row, k])) for k in order]
            candidates[left[row]] = found
            given[left[row]] = found[0][0]
        return self.tokens.join(given), [candidates[place] for place in masks]

    def _predict_proba(self, tokens):
        """Probabilities (tokens, vocabulary) at each token of one text."""
        return self._compiled(np.array([self.vocabulary.encode(tokens)], "int32"))[0]

    def split(self, text: str, unknown: str = "error") -> list[str]:
        """The tokens of a text, ``text.MASK`` for each blank; unknown: as of ``fill``."""
        if self.letters_only:
            text = clean(text, "_")
        tokens = [MASK if not token.strip("_") else token for token in self.tokens.split(text)]
        return self.vocabulary.known(tokens, unknown)


class _ExportedInfiller(Infiller):
    def __init__(self, export):
        reading = export.reading("level", "letters_only")
        self.vocabulary, self.tokens = export.vocabulary(), tokens_of(reading["level"])
        self.letters_only, self._export = reading["letters_only"], export

    def _predict_proba(self, tokens):
        return self._export.call("predict_tokens", tokens=[tokens])["probabilities"][0]


class InfillerTask(TextTask):
    """The masked tokens of a text."""

    name = "infiller"
    summary = "Fills the blanks of a text, a `_` for each masked character, or of words `____`."
    predictor = Infiller
    most_epochs = (100, 100)  # each teaches the few tokens that it masks
    dropouts = (0.3, 0.3)

    def load(self, *source: str, **options) -> Corpus:
        return load_corpus(*source, task=self.name, **options)

    def build(self, data: Corpus, settings: base.Settings) -> keras.Model:
        return build_infiller(data.vocabulary.num_ids, **settings.model)

    def batches(self, data: Corpus, settings: base.Settings, seed: int):
        names = ("sequence_length", "batch_size", "mask_rate", "mask_span")
        options = {name: settings.fit[name] for name in names}
        return MaskedBatches(data, seed=seed, rare=new_tokens(data), **options)

    def validator(self, model, data: Corpus, settings: base.Settings):
        if not len(data.validation):
            return None
        call = compiled(model)
        return lambda: _validation(call, data, settings)

    def evaluate(self, model, data: Corpus, settings: base.Settings, folder) -> base.Evaluation:
        if not len(data.validation):
            return base.Evaluation({}, {})
        call = compiled(model)
        metrics = {"validation": _validation(call, data, settings)}
        metrics |= ngram_baseline(data, max_order=1)  # more would need tokens that are masked
        return base.Evaluation(metrics, {"blanks": blanks(call, data, *_masking(settings))})

    def next_command(self, data: Corpus, run: Run) -> list[str]:
        tokens = beginning(data, 40)
        tokens[len(tokens) // 2] = data.tokens.blank
        return ["infill", str(run), data.tokens.separator.join(tokens)]

    def predictions(
        self, predictor: Infiller, inputs: Sequence[str], encoding: str | None
    ) -> base.Predictions:
        texts = map(text_of, inputs)
        return base.Predictions.of_texts(predictor.predict(text) for text in texts)

    def explanation(self, predictor: Infiller, source: str, row, encoding) -> Explanation:
        return explain_blanks(predictor, single(source, row))

    def servable(self, predictor: Infiller) -> Servable:
        """``text`` with a ``_`` for each masked token → ``text`` with all of them filled in."""
        exported = layers.for_export(predictor.model, lengths=True)
        table = text_ops.lookup(predictor.vocabulary)

        def predict_tokens(tokens):
            tokens = one_step_at_least(tokens)
            real = tokens != ""
            lengths = tf.reduce_sum(tf.cast(real, tf.int32), 1)
            ids = tf.where(real, table.lookup(tokens), 0)
            found = probabilities(exported, [ids, lengths])
            return {"probabilities": tf.where(real[:, :, None], found, 0.0)}

        return Servable(
            self.name,
            exported,
            {
                "serving_default": Signature(
                    _filling_graph(predictor, exported, table), [string_spec("text")]
                ),
                "predict_tokens": Signature(predict_tokens, [string_spec("tokens", 2)]),
            },
            _examples(predictor),
            tables=(table,),
            numeric_model=predictor.model,
            vocabularies={"tokens": predictor.vocabulary},
            reading={"level": predictor.tokens.level, "letters_only": predictor.letters_only},
        )


TASK = InfillerTask()


def _masking(settings):
    return [settings.fit[name] for name in ("sequence_length", "mask_rate", "mask_span")]


def _validation(call, data, settings):
    """The metrics of masked tokens of the validation text."""
    loss = masked_loss(call, data.validation, data.vocabulary.mask_id, *_masking(settings))
    return evaluation.language_metrics(loss, data.tokens.bits)


def masked_loss(call, ids: np.ndarray, mask_id: int, length: int, rate: float, span: int) -> float:
    """The mean cross-entropy (nats) of the masked tokens of a text.

    The text ids (tokens,) is cut into windows of a length, and some tokens of each are masked,
    always the same ones (``data.batches.mask_tokens``). call: ids → probabilities.

    Raises ``InputError`` where the text is shorter than a window.
    """
    number = len(ids) // length
    if not number:
        raise InputError(
            "a validation text shorter than a window",
            found=f"{len(ids):,} tokens",
            expected=f"at least {length:,}",
            fix="give more text, or choose a smaller --sequence-length",
        )
    windows = ids[: number * length].astype("int32").reshape(number, length)
    rng = np.random.default_rng(0)
    total = count = 0
    for start in range(0, number, _BATCH):
        tokens = windows[start : start + _BATCH]
        masked = mask_tokens(tokens.shape, rate, span, rng)
        output = call(np.where(masked, mask_id, tokens))
        chosen = np.take_along_axis(output, tokens[:, :, None], -1)[masked]
        total -= np.log(np.maximum(chosen, 1e-38, dtype="float64")).sum()
        count += masked.sum()
    return float(total / count)


def _filling_graph(infiller, exported, table):
    """A graph from texts with blanks to texts without."""
    vocabulary, ops = infiller.vocabulary, text_ops.ops_of(infiller.tokens)
    mask_id, first = vocabulary.mask_id, vocabulary.mask_id + 1
    tokens_of_ids = tf.constant(vocabulary.tokens)

    def fill_one(ids, lengths):
        """The surest mask of each text."""
        known = probabilities(exported, [ids, lengths])[:, :, first:]
        mask = ids == mask_id
        surest = tf.argmax(tf.where(mask, tf.reduce_max(known, -1), known.dtype.min), 1)
        token = tf.argmax(tf.gather(known, surest, batch_dims=1), -1, tf.int32) + first
        here = tf.one_hot(surest, tf.shape(ids)[1], True, False, dtype=tf.bool) & mask
        return tf.where(here, token[:, None], ids), lengths

    def fill(text):
        text = text_ops.clean(text, "_") if infiller.letters_only else text
        tokens, lengths = text_ops.padded(ops.split(text), "")
        tokens = text_ops.masked(tokens)
        before = table.lookup(tokens)
        after, _ = tf.while_loop(
            lambda ids, _: tf.reduce_any(ids == mask_id), fill_one, (before, lengths)
        )
        tokens = tf.where(before == mask_id, tf.gather(tokens_of_ids, after), tokens)
        return {"text": ops.join(tokens)}

    return fill


def _examples(infiller):
    """Texts with every fourth token masked, from the second on."""
    rows = []
    for number in (12, 5):
        tokens = infiller.tokens.split(example_text(infiller.vocabulary, infiller.tokens, number))
        tokens[1::4] = ["_"] * len(tokens[1::4])
        rows.append(tokens)
    texts = [infiller.tokens.separator.join(tokens) for tokens in rows]
    tokens = [MASK if token == "_" else token for token in rows[0]]
    found = infiller._predict_proba(tokens)
    return [
        Example("serving_default", {"text": texts}, {"text": [infiller.predict(t) for t in texts]}),
        Example("predict_tokens", {"tokens": [tokens]}, {"probabilities": found[None]}),
    ]
