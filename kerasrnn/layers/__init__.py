"""Recurrent layers with a native loop on a CPU, and the small ones that a stack needs.

All are registered under ``kerasrnn``; ``import kerasrnn.layers`` (or ``load_model``) makes
them known to Keras before a saved model is loaded.
"""

from kerasrnn.layers.recurrent import (
    GRU,
    LSTM,
    Bidirectional,
    Path,
    SimpleRNN,
    adaptive,
    adopt,
    portable,
    which_path,
)
from kerasrnn.layers.sequence import (
    CharacterEncoder,
    FlipTime,
    LengthMask,
    MaskOf,
    OneHot,
    SequencePooling,
    ZeroPadding,
)

__all__ = [
    "GRU",
    "LSTM",
    "Bidirectional",
    "CharacterEncoder",
    "FlipTime",
    "LengthMask",
    "MaskOf",
    "OneHot",
    "Path",
    "SequencePooling",
    "SimpleRNN",
    "ZeroPadding",
    "adaptive",
    "adopt",
    "portable",
    "which_path",
]
