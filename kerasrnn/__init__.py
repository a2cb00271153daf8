"""Recurrent networks in Keras: builders, training, evaluation, plots, one command line.

Every public name is imported on first use (PEP 562), so ``import kerasrnn`` is instant and
TensorFlow loads only when something needs it.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "InputError": "errors",
    "plot_confusion": "plotting",
    "plot_histories": "plotting",
    "plot_history": "plotting",
    "Run": "runs",
    "latest_run": "runs",
    "list_runs": "runs",
    "open_run": "runs",
    "Vocabulary": "text",
    "build_classifier": "models",
    "build_encoder": "models",
    "build_ensemble": "models",
    "build_generator": "models",
    "build_infiller": "models",
    "build_regressor": "models",
    "build_tagger": "models",
    "recurrent_stack": "models",
    "load_export": "inference.exports",
    "load_model": "inference.loading",
    "step_model": "inference.states",
    "Corpus": "data.corpora",
    "load_corpus": "data.corpora",
    "Sentences": "data.sentences",
    "load_sentences": "data.sentences",
    "Texts": "data.texts",
    "Dataset": "data.sequences",
    "load_dataset": "data.sequences",
    "Series": "data.series",
    "Roles": "data.roles",
    "load_texts": "data.loading",
    "load_series": "data.loading",
    "Classifier": "tasks.classifier",
    "TextGenerator": "tasks.generator",
    "Infiller": "tasks.infiller",
    "Regressor": "tasks.regressor",
    "Tagger": "tasks.tagger",
    "evaluate": "training",
    "train": "training",
    "cross_validate": "ensembles",
    "resume": "ensembles",
    "train_seeds": "ensembles",
    "Tuning": "tuning",
    "tune": "tuning",
    "export": "exporting.saving",
    "convert": "keras2.converting",
}

__all__ = sorted(_HOMES)


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'kerasrnn' has no attribute {name!r}")
    value = getattr(import_module(f"kerasrnn.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*globals(), *_HOMES])
