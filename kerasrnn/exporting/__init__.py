"""A trained model written for inference without kerasrnn: as a SavedModel, ONNX or LiteRT.

A format is a module of this package, named in ``options.EXPORT_FORMATS``, with

* ``WORDS``: what the model card says of it,
* ``write(servable, place) -> Written``: makes the directory ``place`` and writes the model,
* ``usage(name, example) -> str``: how to call a signature, Markdown for the model card,
* ``open_model(folder)``: a function that needs neither kerasrnn nor other names of the module
  than ``np``; its source goes into the export's own check.py.
"""
