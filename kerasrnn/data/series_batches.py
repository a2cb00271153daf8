"""What ``fit`` reads of series: batches of windows, in an order fixed by a seed."""

from __future__ import annotations

import math

from kerasrnn.data.batches import Batches
from kerasrnn.data.windows import Windows


class SeriesBatches(Batches):
    """Batches of windows, in an order fixed by (seed, epoch); so many in an epoch at most.

    Windows that overlap have little new to say: of many an epoch takes other ones each time.
    """

    def __init__(self, part: Windows, batch_size: int, seed: int, most_windows: int):
        super().__init__()
        self.part, self.batch_size, self.seed = part, batch_size, seed
        self.number = min(len(part), most_windows)
        self.begin(0)

    def __len__(self):
        return math.ceil(self.number / self.batch_size)

    def __getitem__(self, index):
        start = index * self.batch_size
        inputs, y = self.part.take(self.order[start : start + self.batch_size])
        return (inputs if len(inputs) > 1 else inputs["x"]), y

    def _arrange(self, rng):
        self.order = rng.permutation(len(self.part))[: self.number]
