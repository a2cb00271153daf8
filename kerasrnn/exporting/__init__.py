"""A trained model written for inference without kerasrnn: as a SavedModel, ONNX or LiteRT.

A format is a module of this package, named in ``options.EXPORT_FORMATS``, with

* ``WORDS``: what the model card says of it,
* ``write(servable, place) -> Written``: makes the directory ``place`` and writes the model,
* ``open_model(folder)``: gives a function that answers; its source goes into the export's own
  check.py and model card, so it needs neither kerasrnn nor a name of its module but ``np``,
* ``usage(name, example) -> str``, where there are more ways to call a signature: Markdown.
"""
