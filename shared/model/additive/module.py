"""The published tables as a torch module: its parameters are the tables, its input are bins."""

from __future__ import annotations

import torch
from torch import nn

from sealscore.shared.model.additive.codes import BinTables, PairTable


class TableModule(nn.Module):
    """Fitted logits of bins: a constant, an entry of each feature's table and of each pair's, in float64.

    Its logits are those of `BinTables.sums`, bit for bit: entries lie on a grid on which their sums are exact.
    """

    def __init__(self, tables: BinTables) -> None:
        super().__init__()
        self.constant = _parameter([tables.constant])
        self.mains = nn.ParameterList(_parameter(table) for table in tables.mains)
        self.pairs = nn.ParameterList(_parameter(pair.table) for pair in tables.pairs)
        self.places = [(pair.left, pair.right) for pair in tables.pairs]

    def forward(self, bins: torch.Tensor) -> torch.Tensor:
        """Bin indices int64 [n, features] -> logits [n]."""
        total = self.constant.expand(len(bins))
        for place, table in enumerate(self.mains):
            total = total + table[bins[:, place]]
        for (left, right), table in zip(self.places, self.pairs, strict=True):
            total = total + table[bins[:, left], bins[:, right]]
        return total

    def tables(self) -> BinTables:
        """The tables as they are now, without torch."""
        return BinTables(
            float(self.constant),
            tuple(table.detach().numpy().copy() for table in self.mains),
            tuple(
                PairTable(left, right, table.detach().numpy().copy())
                for (left, right), table in zip(self.places, self.pairs, strict=True)
            ),
        )


def _parameter(numbers: object) -> nn.Parameter:
    return nn.Parameter(torch.tensor(numbers, dtype=torch.float64))
