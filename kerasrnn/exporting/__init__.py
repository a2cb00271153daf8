"""A trained model written for inference without kerasrnn: as a SavedModel, ONNX or LiteRT."""
