"""What the benchmarks compare this package with: stock Keras and PyTorch, with the same weights."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable

import keras
import numpy as np


def timed(call: Callable, clock: Callable = time.perf_counter) -> float:
    """Seconds that a call takes."""
    start = clock()
    call()
    return clock() - start


def stock(model: keras.Model) -> keras.Model:
    """The same model of Keras's own layers, with the same weights."""
    from kerasrnn.layers import keras_clone

    return keras_clone(model)


def has_torch() -> bool:
    """Whether PyTorch is installed."""
    return importlib.util.find_spec("torch") is not None


class TorchModel:
    """The same model in PyTorch, with the same weights, and the calls that are timed.

    On the GPU where PyTorch sees one; arrays are copied there and back in each call.

    Raises:
        ValueError: a layer that has no counterpart here.
    """

    def __init__(self, model: keras.Model):
        import torch

        modules = [_torch_module(layer, torch) for layer in model.layers]
        self.torch = torch
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.logits = torch.nn.Sequential(*filter(None, modules)).to(self.device)
        self.optimizer = torch.optim.Adam(self.logits.parameters())
        self.loss = torch.nn.CrossEntropyLoss()

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Probabilities."""
        self.logits.eval()
        with self.torch.inference_mode():
            return self.logits(self._there(x)).softmax(-1).cpu().numpy()

    def predict(self, x: np.ndarray, batch_size: int) -> None:
        """Probabilities of all batches, which are thrown away."""
        for start in range(0, len(x), batch_size):
            self(x[start : start + batch_size])

    def fit(self, x: np.ndarray, y: np.ndarray, batch_size: int) -> None:
        """One epoch, in order."""
        self.logits.train()
        for start in range(0, len(x), batch_size):
            self.optimizer.zero_grad()
            output = self.logits(self._there(x[start : start + batch_size]))
            target = self._there(y[start : start + batch_size]).long()
            self.loss(output.flatten(0, -2), target.flatten()).backward()
            self.optimizer.step()
        if self.device.type == "cuda":
            self.torch.cuda.synchronize()

    def _there(self, array):
        return self.torch.from_numpy(array).to(self.device)


def _torch_module(layer, torch):
    """A module that does what a Keras layer does; None if that is nothing."""
    kind, nn = type(layer).__name__, torch.nn
    weights = [np.asarray(weight) for weight in layer.get_weights()]
    if kind == "InputLayer":
        return None
    if kind == "Dropout":
        return nn.Dropout(layer.rate)
    if kind == "Normalization":
        spread = np.maximum(np.sqrt(layer.variance), 1e-7)
        return _torch_scaling(torch, np.asarray(layer.mean).copy(), spread)
    if kind == "Embedding":
        return nn.Embedding.from_pretrained(torch.tensor(weights[0]), freeze=False)
    if kind == "Dense" and layer.activation in (keras.activations.softmax, None):
        module = nn.Linear(*weights[0].shape)
        _fill(module.parameters(), (weights[0].T, weights[1]), torch)
        return module
    one = getattr(layer, "forward_layer", layer)
    if type(one).__name__ in ("LSTM", "GRU", "SimpleRNN"):
        return _torch_recurrent(torch, one, weights, both=one is not layer)
    raise ValueError(f"no counterpart to {layer.name}, a {kind}")


def _torch_scaling(torch, mean, spread):
    class Scaling(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", torch.from_numpy(mean))
            self.register_buffer("spread", torch.from_numpy(spread))

        def forward(self, x):
            return (x - self.mean) / self.spread

    return Scaling()


def _torch_recurrent(torch, layer, weights, both):
    kinds = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU, "SimpleRNN": torch.nn.RNN}
    kind, all_steps = kinds[type(layer).__name__], layer.return_sequences

    class Recurrent(torch.nn.Module):
        def __init__(self):
            super().__init__()
            width = weights[0].shape[0]
            self.loop = kind(width, layer.units, batch_first=True, bidirectional=both)

        def forward(self, x):
            output, state = self.loop(x)
            state = state[0] if isinstance(state, tuple) else state
            return output if all_steps else torch.cat(tuple(state), -1)

    module = Recurrent()
    parts = [weights[start : start + 3] for start in range(0, len(weights), 3)]
    order = [1, 0, 2] if kind is torch.nn.GRU else None  # PyTorch's gates are r, z, n
    values = [array for part in parts for array in _torch_weights(*part, order)]
    _fill(module.parameters(), values, torch)
    return module


def _torch_weights(kernel, recurrent, bias, order):
    """Keras's weights of a layer as PyTorch's: gates of an LSTM are i, f, c, o in both."""
    biases = bias if bias.ndim == 2 else np.stack([bias, 0 * bias])  # PyTorch has two
    arrays = [kernel.T, recurrent.T, *biases]
    if order is None:
        return arrays
    return [np.concatenate([np.split(array, 3)[gate] for gate in order]) for array in arrays]


def _fill(parameters, values, torch):
    for parameter, value in zip(parameters, values, strict=True):
        parameter.data = torch.from_numpy(np.ascontiguousarray(value))
