"""Builders of plain, uncompiled Keras models around one recurrent stack."""

from kerasrnn.models.builders import (
    build_classifier,
    build_generator,
    build_infiller,
    build_tagger,
)
from kerasrnn.models.encoder import build_encoder
from kerasrnn.models.ensemble import build_ensemble
from kerasrnn.models.regressor import build_regressor
from kerasrnn.models.stack import recurrent_stack

__all__ = [
    "build_classifier",
    "build_encoder",
    "build_ensemble",
    "build_generator",
    "build_infiller",
    "build_regressor",
    "build_tagger",
    "recurrent_stack",
]
