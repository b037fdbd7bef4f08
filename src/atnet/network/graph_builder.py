"""A builder of ONNX graphs: each operation is one call that returns the names of its outputs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET, IR_VERSION = 17, 9

Tensor = str
"""The name of a value in the graph."""
_Constants = dict[tuple[str, tuple[int, ...], bytes], onnx.TensorProto]


class GraphBuilder:
    """Collects the nodes and constants of a graph.

    Names are numbered in the order of the calls, so the same calls give the same bytes.
    """

    def __init__(self, *, prefix: str = "", constants: "_Constants | None" = None) -> None:
        self._prefix = prefix
        self._nodes: list[onnx.NodeProto] = []
        self._constants: _Constants = {} if constants is None else constants

    def op(self, op_type: str, *inputs: Tensor | np.ndarray | np.generic, **attributes: Any) -> Tensor:
        """Add an operation with one output and return its name; arrays among the inputs become constants."""
        return self.ops(op_type, *inputs, outputs=1, **attributes)[0]

    def ops(
        self, op_type: str, *inputs: Tensor | np.ndarray | np.generic, outputs: int, **attributes: Any
    ) -> tuple[Tensor, ...]:
        """Add an operation with several outputs and return their names."""
        names = tuple(f"{self._prefix}{op_type}_{len(self._nodes)}_{index}" for index in range(outputs))
        sources = [value if isinstance(value, Tensor) else self.constant(np.asarray(value)) for value in inputs]
        self._nodes.append(helper.make_node(op_type, sources, list(names), **attributes))
        return names

    def choose(
        self,
        condition: Tensor,
        then: Callable[["GraphBuilder"], Sequence[Tensor]],
        otherwise: Callable[["GraphBuilder"], Sequence[Tensor]],
        *,
        outputs: int,
    ) -> tuple[Tensor, ...]:
        """Add two branches, of which only the chosen one is executed, and return the names of their outputs.

        Args:
            condition: a boolean scalar.
            then: adds the operations of the first branch and returns its outputs, float32.
            otherwise: the same for the other branch.
        """
        branches = {"then_branch": then, "else_branch": otherwise}
        graphs = {name: self._branch(f"{name}_{len(self._nodes)}_", add) for name, add in branches.items()}
        return self.ops("If", condition, outputs=outputs, **graphs)

    def _branch(self, prefix: str, add: Callable[["GraphBuilder"], Sequence[Tensor]]) -> onnx.GraphProto:
        branch = GraphBuilder(prefix=prefix, constants=self._constants)
        results = [branch.op("Identity", result) for result in add(branch)]
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in results]
        return helper.make_graph(branch._nodes, prefix, [], values)

    def output(self, name: str, value: Tensor) -> None:
        """Assign the name of a graph output to a value."""
        self._nodes.append(helper.make_node("Identity", [value], [name]))

    def model(
        self,
        inputs: Mapping[str, tuple[int, Sequence[str | int]]],
        outputs: Mapping[str, Sequence[str | int]],
        defaults: Mapping[str, np.ndarray],
    ) -> onnx.ModelProto:
        """Build the model and check it.

        Args:
            inputs: name -> element type of `onnx.TensorProto`, shape.
            outputs: name -> shape; outputs are float32.
            defaults: values of optional inputs.
        """
        graph = helper.make_graph(
            self._nodes,
            "atnet",
            [helper.make_tensor_value_info(name, kind, shape) for name, (kind, shape) in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
            [*self._constants.values(), *(numpy_helper.from_array(value, name) for name, value in defaults.items())],
        )
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="atnet")
        onnx.checker.check_model(model)
        return model

    def constant(self, value: np.ndarray) -> Tensor:
        """Add a constant, once for equal ones, and return its name."""
        key = (value.dtype.str, value.shape, value.tobytes())
        if key not in self._constants:
            self._constants[key] = numpy_helper.from_array(value, f"constant_{len(self._constants)}")
        return self._constants[key].name
