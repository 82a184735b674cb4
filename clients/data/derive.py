"""Derived features: from a record's own columns to further ones, the same code in training and in scoring."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from sealscore.shared.plan.schema import DerivedFeature, Formula, TableSchema


def derived_columns(table: TableSchema, columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """All columns: those given (float64 [n], NaN where missing) and the table's derived ones.

    A derived value is missing where any of its inputs is, and cut off at the feature's bounds otherwise. Each value
    depends on the columns of its own record only, to the last bit: columns are added one after the other, as numpy
    adds those of a single record in another order than those of many. None raises: what is no number although no input
    is missing counts as the lower bound.
    """
    return {**columns, **{feature.name: _value(feature, columns) for feature in table.derived}}


def derived_values(table: TableSchema, values: Mapping[str, float]) -> dict[str, float]:
    """As `derived_columns`, of one record in plain numbers and with the same bits: for scores one by one."""
    return {**values, **{feature.name: _of_one(feature, values) for feature in table.derived}}


def _of_one(feature: DerivedFeature, values: Mapping[str, float]) -> float:
    formula = feature.formula
    inputs = [values[name] for name in formula.of]
    parts = [values[name] for name in formula.per] if formula.per is not None else []
    if any(value != value for value in (*inputs, *parts)):
        return math.nan
    if formula.op == "max":
        value = max(inputs)
    elif formula.op == "min":
        value = min(inputs)
    elif formula.op == "count-above":
        value = float(sum(one > (formula.threshold or 0.0) for one in inputs))
    else:
        value = 0.0
        for weight, one in zip(formula.weights or (1.0,) * len(inputs), inputs, strict=True):
            value += weight * one
    if formula.per is not None and formula.floor is not None:
        total = 0.0
        for one in parts:
            total += one
        value /= max(total, formula.floor)
    return feature.lower if value != value else min(max(value, feature.lower), feature.upper) + 0.0


def _value(feature: DerivedFeature, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    formula = feature.formula
    inputs = np.stack([columns[name] for name in formula.of])
    absent = np.isnan(inputs).any(axis=0)
    with np.errstate(all="ignore"):
        value = applied(formula, inputs)
        if formula.per is not None and formula.floor is not None:
            parts = [columns[name] for name in formula.per]
            absent |= np.isnan(parts).any(axis=0)
            value = value / np.maximum(_added(parts), formula.floor)
    value = np.clip(value, feature.lower, feature.upper)
    # Of zeros of both signs the largest is one here and the other there; all of them are counted as the plain one.
    return np.where(np.isnan(value) & ~absent, feature.lower, value) + 0.0


def applied(formula: Formula, inputs: np.ndarray) -> np.ndarray:
    """What a formula makes of its columns `of`, before it is divided: inputs float64 [columns, n] -> float64 [n].

    NaN passes through every operation.
    """
    if formula.op == "max":
        return np.asarray(np.max(inputs, axis=0))
    if formula.op == "min":
        return np.asarray(np.min(inputs, axis=0))
    if formula.op == "count-above":
        counts = (inputs > formula.threshold).sum(axis=0).astype(np.float64)
        return np.where(np.isnan(inputs).any(axis=0), np.nan, counts)
    weights = formula.weights or (1.0,) * len(formula.of)
    return _added([weight * column for weight, column in zip(weights, inputs, strict=True)])


def _added(columns: list[np.ndarray]) -> np.ndarray:
    """The sum of columns float64 [n], in their order."""
    total = np.zeros_like(columns[0], dtype=np.float64)
    for column in columns:
        total += column
    return total
