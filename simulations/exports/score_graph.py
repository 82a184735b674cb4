"""A released model as a graph of ONNX: from columns to logit, PD and points, in float64 as everywhere."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from sealscore.clients.scoring.scorer import PD_DIGITS
from sealscore.shared.model.additive.curve import KNOTS, PdCurve
from sealscore.shared.model.additive.table_score import TableScore
from sealscore.shared.model.score_model import BASE_ODDS, BASE_POINTS, POINTS_TO_DOUBLE, ScoreModel
from sealscore.shared.plan.schema import TableSchema
from sealscore.simulations.exports.graph import Graph
from sealscore.simulations.exports.inputs import InputColumns

_EXTREME_PD = 1e-6
Blocks = list[tuple[tuple[int, ...], np.ndarray]]


def score_graph(model: ScoreModel, schema: TableSchema, name: str, facts: dict[str, str]) -> Any:
    """The model as an ONNX model. Its inputs are the columns of `schema` that it needs, and levels of platforms.

    Outputs, [rows] each: `logit` (calibrated), `pd` to six digits, both float64, and `points`, int64. Of a row that the
    schema would refuse, logit and PD are NaN and points 0.
    """
    graph = Graph()
    columns = InputColumns(graph, schema)
    bins = [columns.bins(part) for part in model.binning.features]
    allowed = graph.both(*columns.allowed, graph.constant(True, np.bool_))
    logit = _logit(graph, model, bins)
    pd = graph.node("Sigmoid", logit)
    nothing, scale = graph.constant(np.nan), graph.constant(10.0**PD_DIGITS)
    graph.output("logit", graph.node("Where", allowed, logit, nothing))
    rounded = graph.node("Div", graph.node("Round", graph.node("Mul", pd, scale)), scale)
    graph.output("pd", graph.node("Where", allowed, rounded, nothing))
    whole = graph.cast(graph.node("Round", _points(graph, pd)), np.int64)
    graph.output("points", graph.node("Where", allowed, whole, graph.constant(0, np.int64)), whole=True)
    told = "Score of loan applicants. Numbers are float64, NaN where missing; categories are text, empty where missing."
    return graph.model(name, told, facts)


def _logit(graph: Graph, model: ScoreModel, bins: list[str]) -> str:
    """The calibrated logit of bins, float64 [rows]."""
    weights = model.weights
    if isinstance(weights, TableScore):
        tables = weights.tables
        blocks: Blocks = [((place,), table) for place, table in enumerate(tables.mains)]
        blocks += [((pair.left, pair.right), pair.table) for pair in tables.pairs]
        fitted = _sums(graph, blocks, np.array(tables.constant), bins)
        return fitted if weights.curve is None else _on_curve(graph, weights.curve, fitted)
    parts = weights.parts()
    logit = _sums(graph, list(_weighed(model, parts["linear.weight"])), parts["linear.bias"][0], bins)
    if weights.hidden:
        # Every unit of the network reads a sum of table entries, too.
        blocks = list(_weighed(model, parts["inner.weight"]))
        raised = graph.node("Tanh", _sums(graph, blocks, parts["inner.bias"], bins))
        weighted = graph.node("Mul", raised, graph.constant(parts["outer.weight"][0]))
        one = graph.constant([1], np.int64)
        logit = graph.node("Add", logit, graph.node("ReduceSum", weighted, one, keepdims=0))
    slope, intercept = graph.constant(model.calibration.slope), graph.constant(model.calibration.intercept)
    return graph.node("Add", graph.node("Mul", slope, logit), intercept)


def _weighed(model: ScoreModel, weights: np.ndarray) -> Iterator[tuple[tuple[int, ...], np.ndarray]]:
    """Tables over bins of one row of weights; of several rows, with an axis of them behind."""
    assert model.coding is not None
    rows = [model.coding.weighed(row) for row in weights]
    for tables in zip(*rows, strict=True):
        features = tables[0][0]
        found = [table for _, table in tables]
        if features[0] == features[-1]:
            features = features[:1]
        yield features, found[0] if len(weights) == 1 else np.stack(found, axis=-1)


def _sums(graph: Graph, blocks: Blocks, constant: np.ndarray, bins: list[str]) -> str:
    """A constant and an entry of each table."""
    found = [graph.constant(constant)]
    for features, table in blocks:
        at = bins[features[0]]
        if len(features) == 2:
            stride = graph.constant(table.shape[1], np.int64)
            at = graph.node("Add", graph.node("Mul", at, stride), bins[features[1]])
            table = table.reshape(-1, *table.shape[2:])
        found.append(graph.node("Gather", graph.constant(table), at))
    return graph.added(*found)


def _on_curve(graph: Graph, curve: PdCurve, fitted: str) -> str:
    """As `PdCurve.logits`."""
    away = graph.node("Abs", fitted)
    small = graph.node("Log", graph.node("Add", graph.constant(1.0), graph.node("Exp", graph.node("Neg", away))))
    size = graph.node("Sub", graph.node("Add", away, small), graph.constant(math.log(2)))
    inverted = graph.node("Mul", graph.node("Sign", fitted), size)
    at = graph.node("Sub", inverted, graph.constant(curve.first))
    at = graph.node("Min", graph.node("Max", at, graph.constant(0.0)), graph.constant(KNOTS - 1.0))
    below = graph.node("Min", graph.node("Floor", at), graph.constant(KNOTS - 2.0))
    part, place = graph.node("Sub", at, below), graph.cast(below, np.int64)
    first, second = (
        graph.node("Gather", graph.constant(table), place) for table in (curve.corrections[:-1], curve.corrections[1:])
    )
    left = graph.node("Mul", first, graph.node("Sub", graph.constant(1.0), part))
    return graph.added(inverted, left, graph.node("Mul", second, part))


def _points(graph: Graph, pd: str) -> str:
    """As `score_model.points`."""
    bounded = graph.node("Max", pd, graph.constant(_EXTREME_PD))
    bounded = graph.node("Min", bounded, graph.constant(1 - _EXTREME_PD))
    good = graph.node("Log", graph.node("Sub", graph.constant(1.0), bounded))
    odds = graph.node("Sub", graph.node("Sub", good, graph.node("Log", bounded)), graph.constant(math.log(BASE_ODDS)))
    scaled = graph.node("Mul", odds, graph.constant(POINTS_TO_DOUBLE / math.log(2)))
    return graph.node("Add", graph.constant(BASE_POINTS), scaled)
