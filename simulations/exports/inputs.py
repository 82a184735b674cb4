"""From an applicant's columns to bins, as nodes of a graph: what reading a table, derived features and bins do."""

from __future__ import annotations

import numpy as np

from sealscore.shared.model.bins import FeatureBins
from sealscore.shared.plan.schema import CategoricalFeature, DerivedFeature, NumericFeature, TableSchema
from sealscore.simulations.exports.graph import Graph


class InputColumns:
    """The columns of a group's schema as inputs of a graph: numbers as float64 with NaN where one is missing,
    categories as text with "" where one is missing.

    `allowed` are conditions on each row: a row that the plan's schema would refuse meets one of them not.
    """

    def __init__(self, graph: Graph, schema: TableSchema) -> None:
        self._graph = graph
        self._features = {feature.name: feature for feature in (*schema.features, *schema.derived)}
        self._numbers = {name: one for name, one in self._features.items() if isinstance(one, NumericFeature)}
        self._values: dict[str, str] = {}
        self.allowed: list[str] = []

    def bins(self, part: FeatureBins) -> str:
        """The bin of each row under published bins, int64 [rows]; any bin where the row is not allowed."""
        feature = self._features.get(part.feature.name)
        if isinstance(feature, CategoricalFeature):
            level = self._level(feature)
            absent = self._graph.node("Less", level, self._graph.constant(0, np.int64))
            found = self._graph.node("Max", level, self._graph.constant(0, np.int64))
        else:
            # What is no column of the lenders is a level of a platform: a number.
            value = self._graph.column(part.feature.name) if feature is None else self._value(feature)
            absent = self._graph.node("IsNaN", value)
            found = self._place(part, value)
        return self._graph.node(
            "Where", absent, self._graph.constant(part.count * part.feature.missing, np.int64), found
        )

    def _place(self, part: FeatureBins, value: str) -> str:
        """How many edges lie below a value; without edges a value is the index of a level."""
        graph = self._graph
        if not part.edges:
            floored = graph.node("Floor", graph.node("Max", value, graph.constant(0.0)))
            return graph.cast(graph.node("Min", floored, graph.constant(part.count - 1.0)), np.int64)
        column = graph.node("Unsqueeze", value, graph.constant([1], np.int64))
        above = graph.cast(graph.node("Less", graph.constant([part.edges]), column), np.int64)
        return graph.node("ReduceSum", above, graph.constant([1], np.int64), keepdims=0)

    def _level(self, feature: CategoricalFeature) -> str:
        """Index of each row's level; -1 where it is missing."""
        graph, text = self._graph, self._graph.column(feature.name, text=True)
        strange = -2 if feature.other is None else feature.levels.index(feature.other)
        known = {level: place for place, level in enumerate(feature.levels)} | {"": -1}
        level = graph.node(
            "LabelEncoder", text, keys_strings=list(known), values_int64s=list(known.values()), default_int64=strange
        )
        least = graph.constant(-1 if feature.missing else 0, np.int64)
        self.allowed.append(graph.node("GreaterOrEqual", level, least))
        return level

    def _value(self, feature: NumericFeature) -> str:
        """A number of each row, cut off at its bounds where the plan says so."""
        if feature.name in self._values:
            return self._values[feature.name]
        graph = self._graph
        if isinstance(feature, DerivedFeature):
            value = self._derived(feature)
        else:
            value = self._checked(feature, graph.column(feature.name))
        self._values[feature.name] = value
        return value

    def _checked(self, feature: NumericFeature, value: str) -> str:
        graph, absent = self._graph, self._graph.node("IsNaN", value)
        if not feature.missing:
            self.allowed.append(graph.node("Not", absent))
        if feature.clip:
            value = self._cut(value, feature.lower, feature.upper)
        else:
            low, high = graph.constant(feature.lower), graph.constant(feature.upper)
            inside = graph.both(graph.node("GreaterOrEqual", value, low), graph.node("LessOrEqual", value, high))
            self.allowed.append(graph.node("Or", absent, inside))
        if feature.integer:
            whole = graph.node("Equal", value, graph.node("Floor", value))
            self.allowed.append(graph.node("Or", absent, whole))
        return value

    def _cut(self, value: str, lower: float, upper: float) -> str:
        """A value within bounds; NaN stays: the runtime's own Max and Min need not keep it."""
        graph, low, high = self._graph, self._graph.constant(lower), self._graph.constant(upper)
        value = graph.node("Where", graph.node("Less", value, low), low, value)
        return graph.node("Where", graph.node("Greater", value, high), high, value)

    def _derived(self, feature: DerivedFeature) -> str:
        graph, formula = self._graph, feature.formula
        parts = {name: self._value(self._numbers[name]) for name in formula.inputs}
        inputs = [parts[name] for name in formula.of]
        absent = [graph.node("IsNaN", value) for value in parts.values()]
        if formula.op in ("max", "min"):
            value = inputs[0]
            for one in inputs[1:]:
                ahead = graph.node("Greater" if formula.op == "max" else "Less", one, value)
                value = graph.node("Where", ahead, one, value)
        elif formula.op == "count-above":
            limit = graph.constant(formula.threshold)
            value = graph.added(*(graph.cast(graph.node("Greater", one, limit), np.float64) for one in inputs))
        else:
            weights = formula.weights or (1.0,) * len(inputs)
            weighted = (graph.node("Mul", graph.constant(w), one) for w, one in zip(weights, inputs, strict=True))
            value = graph.added(*weighted)
        if formula.per is not None and formula.floor is not None:
            total, floor = graph.added(*(parts[name] for name in formula.per)), graph.constant(formula.floor)
            total = graph.node("Where", graph.node("Less", total, floor), floor, total)
            value = graph.node("Div", value, total)
        # What is no number although no input is missing counts as the lower bound.
        value = graph.node("Where", graph.node("IsNaN", value), graph.constant(feature.lower), value)
        value = self._cut(value, feature.lower, feature.upper)
        missing = absent[0]
        for one in absent[1:]:
            missing = graph.node("Or", missing, one)
        return graph.node("Where", missing, graph.constant(np.nan), value)
