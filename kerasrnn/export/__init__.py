"""A model as a SavedModel, or in ONNX or LiteRT."""


def __getattr__(name):
    if name in ("export", "servable_of", "ROOT"):
        from kerasrnn.export import saving

        return getattr(saving, name)
    raise AttributeError(f"module 'kerasrnn.export' has no attribute {name!r}")
