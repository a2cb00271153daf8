"""Recurrent networks in Keras: builders, training, evaluation, plots, one command line.

Every public name is imported on first use (PEP 562), so ``import kerasrnn`` is instant and
TensorFlow loads only when something needs it.
"""

from importlib import import_module

__version__ = "0.1.0"

_HOMES = {
    "InputError": "errors",
    "plot_confusion": "plotting",
    "plot_history": "plotting",
    "Run": "runs",
    "latest_run": "runs",
    "list_runs": "runs",
    "open_run": "runs",
    "build_classifier": "models",
    "build_encoder": "models",
    "build_generator": "models",
    "build_infiller": "models",
    "build_tagger": "models",
    "load_model": "inference.loading",
    "recurrent_stack": "models",
    "step_model": "inference.states",
    "load_export": "inference.exports",
    "Tagger": "tasks.tagger",
    "load_tagger": "tasks.tagger",
    "Infiller": "tasks.infiller",
    "load_infiller": "tasks.infiller",
    "Writer": "tasks.generator",
    "load_writer": "tasks.generator",
    "Corpus": "data.corpora",
    "Dataset": "data.sequences",
    "Part": "data.sequences",
    "Sentences": "data.sentences",
    "load": "data.sequences",
    "load_corpus": "data.corpora",
    "load_sentences": "data.sentences",
    "evaluate": "training",
    "predict": "tasks",
    "train": "training",
    "Vocabulary": "text",
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
