"""Recurrent layers with a native loop on a CPU, and the small ones that a stack needs.

All are registered under ``kerasrnn``; ``import kerasrnn.layers`` (or ``load_model``) makes
them known to Keras before a saved model is loaded.
"""

from kerasrnn.layers.bidirectional import Bidirectional
from kerasrnn.layers.clones import (
    for_export,
    in_float32,
    keras_clone,
    layers_in,
    with_native_layers,
)
from kerasrnn.layers.entities import LabelPairs
from kerasrnn.layers.instance import InstanceScaling
from kerasrnn.layers.linear import LinearTagger, OpinionPool
from kerasrnn.layers.ngrams import NgramClassifier
from kerasrnn.layers.numbers import Logarithm, ScaledError, SortedQuantiles
from kerasrnn.layers.recurrent import (
    GRU,
    LSTM,
    RNN,
    Implementation,
    SimpleRNN,
    implementation,
)
from kerasrnn.layers.rocket import MiniRocket
from kerasrnn.layers.sequence import (
    AttentionPooling,
    CharacterEncoder,
    FillMissing,
    FlipTime,
    LengthMask,
    MaskOf,
    OneHot,
    Renumber,
    SequencePooling,
    ZeroPadding,
)
from kerasrnn.layers.stem import MaskedAveragePooling1D, MaskedConv1D, PiecewiseAggregate

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "AttentionPooling",
    "Bidirectional",
    "CharacterEncoder",
    "FillMissing",
    "FlipTime",
    "Implementation",
    "InstanceScaling",
    "LabelPairs",
    "LengthMask",
    "LinearTagger",
    "Logarithm",
    "MaskOf",
    "MaskedAveragePooling1D",
    "MaskedConv1D",
    "MiniRocket",
    "NgramClassifier",
    "OneHot",
    "OpinionPool",
    "PiecewiseAggregate",
    "Renumber",
    "ScaledError",
    "SequencePooling",
    "SimpleRNN",
    "SortedQuantiles",
    "ZeroPadding",
    "for_export",
    "implementation",
    "in_float32",
    "keras_clone",
    "layers_in",
    "with_native_layers",
]
