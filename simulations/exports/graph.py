"""A graph of ONNX under construction: nodes and constants with names of their own."""

from __future__ import annotations

from typing import Any

import numpy as np

from sealscore.simulations.extras import optional

OPSET, ML_OPSET, IR_VERSION = 17, 2, 8
"""Of operators, of those of machine learning, and of the file: old enough for every ONNX Runtime since 1.13."""
_ML = "ai.onnx.ml"


class Graph:
    """Nodes in the order in which they are asked for. Values are known by the names that the methods give.

    Raises:
        NoExtra: onnx is not installed.
    """

    def __init__(self) -> None:
        self._helper, self._numpy = optional("onnx.helper"), optional("onnx.numpy_helper")
        self._proto = optional("onnx").TensorProto
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def column(self, name: str, text: bool = False) -> str:
        """An input with an entry a row: float64, or text."""
        kind = self._proto.STRING if text else self._proto.DOUBLE
        self._inputs.append(self._helper.make_tensor_value_info(name, kind, ["rows"]))
        return name

    def constant(self, value: Any, dtype: type = np.float64) -> str:
        """A number or an array."""
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._numpy.from_array(np.asarray(value, dtype=dtype), name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """The value of one operator."""
        name = f"{kind.lower()}_{len(self._nodes)}"
        domain = _ML if kind == "LabelEncoder" else ""
        self._nodes.append(self._helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def cast(self, value: str, dtype: type) -> str:
        """A value as another type."""
        return self.node("Cast", value, to=self._helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def added(self, *values: str) -> str:
        """The sum of values, in their order."""
        total = values[0]
        for value in values[1:]:
            total = self.node("Add", total, value)
        return total

    def both(self, *truths: str) -> str:
        """Whether all of them are true."""
        found = truths[0]
        for one in truths[1:]:
            found = self.node("And", found, one)
        return found

    def output(self, name: str, value: str, whole: bool = False) -> None:
        """Give a value away under a name: float64, or int64."""
        self._nodes.append(self._helper.make_node("Identity", [value], [name]))
        kind = self._proto.INT64 if whole else self._proto.DOUBLE
        self._outputs.append(self._helper.make_tensor_value_info(name, kind, ["rows"]))

    def model(self, name: str, told: str, facts: dict[str, str]) -> Any:
        """All of it, checked for form. `facts` are kept in the file."""
        graph = self._helper.make_graph(self._nodes, name, self._inputs, self._outputs, self._constants)
        versions = [self._helper.make_opsetid("", OPSET), self._helper.make_opsetid(_ML, ML_OPSET)]
        found = self._helper.make_model(graph, opset_imports=versions, producer_name="sealscore", doc_string=told)
        found.ir_version = IR_VERSION
        self._helper.set_model_props(found, facts)
        optional("onnx.checker").check_model(found)
        return found
