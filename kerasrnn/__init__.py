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
    "load_model": "models",
    "recurrent_stack": "models",
    "step_model": "models",
    "load_export": "exported",
    "Tagger": "tagging",
    "load_tagger": "tagging",
    "Infiller": "infilling",
    "load_infiller": "infilling",
    "Writer": "generation",
    "load_writer": "generation",
    "Corpus": "corpora",
    "Dataset": "datasets",
    "Part": "datasets",
    "Sentences": "sentences",
    "load": "datasets",
    "load_corpus": "corpora",
    "load_sentences": "sentences",
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
