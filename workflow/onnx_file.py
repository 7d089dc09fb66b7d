"""Write the drawn-crack detector as an ONNX file, which browsers can run: a dozen operators, so no package is needed.

ONNX is a Protocol Buffers message (onnx/onnx.proto, opset 17). A message is a row of fields, each a key and a value;
a value is a number or, with its length before it, a text, bytes or another message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import nn

from upcrack_lite.drawn.network import DrawnNet

FLOAT, INT64, FLOAT16 = 1, 7, 10  # ONNX's numbers of types
KINDS = {"float32": FLOAT, "int64": INT64, "float16": FLOAT16}


def varint(number: int) -> bytes:
    """A whole number, 0 or more, in groups of seven bits."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    return bytes([*groups, number])


def message(*fields: tuple[int, Any]) -> bytes:
    """A message of (field number, value); a float takes four bytes, a list is repeated."""
    parts = []
    for number, value in fields:
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, float):
                parts.append(varint(number << 3 | 5) + struct.pack("<f", one))
            elif isinstance(one, int):
                parts.append(varint(number << 3) + varint(one))
            else:
                data = one.encode() if isinstance(one, str) else one
                parts.append(varint(number << 3 | 2) + varint(len(data)) + data)
    return b"".join(parts)


class Graph:
    """Nodes and tensors of a graph; each method returns the name of what it added."""

    def __init__(self) -> None:
        self.nodes: list[bytes] = []
        self.tensors: list[bytes] = []

    def tensor(self, array: np.ndarray) -> str:
        """A constant, float or int64; numbers that half precision can hold are stored so, and made float32 again."""
        half = array.astype(np.float16) if array.dtype == np.float32 else None
        small = half is not None and array.size > 1000 and np.array_equal(half, array)
        stored, name = half if small else array, f"t{len(self.tensors)}"
        fields = (1, list(array.shape)), (2, KINDS[str(stored.dtype)]), (8, name), (9, stored.tobytes())
        self.tensors.append(message(*fields))
        return self.add("Cast", [name], to=FLOAT) if small else name

    def add(self, operator: str, inputs: Iterable[str], **attributes: Any) -> str:
        """A node with one output; attributes are numbers, texts or lists of whole numbers."""
        name, packed = f"n{len(self.nodes)}", []
        for key, value in attributes.items():
            # (number of the field, number of the type) in AttributeProto
            if isinstance(value, float):
                at, kind = 2, 1
            elif isinstance(value, int):
                at, kind = 3, 2
            elif isinstance(value, str):
                at, kind = 4, 3
            else:
                at, kind = 8, 7
            packed.append(message((1, key), (at, value), (20, kind)))
        self.nodes.append(message((1, list(inputs)), (2, [name]), (4, operator), (5, packed)))
        return name

    def model(self, given: str, result: str) -> bytes:
        """The file; `given` and `result` are float32 ``(1, 1, H, W)``."""

        def face(name: str) -> bytes:
            sides: list[tuple[int, Any]] = [(1, 1), (1, 1), (2, "H"), (2, "W")]
            shape = message((1, [message(side) for side in sides]))
            return message((1, name), (2, message((1, message((1, FLOAT), (2, shape))))))

        graph = message(
            (1, self.nodes), (2, "graph"), (5, self.tensors), (11, face(given)), (12, face(result))
        )
        return message((1, 8), (7, graph), (8, message((2, 17))))


def drawn_model(network: DrawnNet) -> bytes:
    """The network as an ONNX file: what `DrawnNet.forward` does, from "gray" ``(1, 1, H, W)`` to its logits."""
    graph = Graph()

    def convolve(x: str, layer: nn.Conv2d) -> str:
        inputs = [x, *(graph.tensor(p.detach().numpy()) for p in layer.parameters())]
        return graph.add("Conv", inputs, pads=[1, 1, 1, 1])

    def block(x: str, layers: nn.Sequential) -> str:
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                x = convolve(x, layer)
            elif isinstance(layer, nn.BatchNorm2d):
                values = layer.weight, layer.bias, layer.running_mean, layer.running_var
                inputs = [x, *(graph.tensor(value.detach().numpy()) for value in values)]
                x = graph.add("BatchNormalization", inputs, epsilon=float(layer.eps))
            else:
                x = graph.add("Relu", [x])
        return x

    x, skips = graph.add("SpaceToDepth", ["gray"], blocksize=2), []
    for down in network.down[:-1]:
        skips.append(block(x, down))
        x = graph.add("MaxPool", [skips[-1]], kernel_shape=[2, 2], strides=[2, 2])
    x = block(x, network.down[-1])
    twice = graph.tensor(np.array([1, 1, 2, 2], np.float32))
    for up, skip in zip(reversed(network.up), reversed(skips), strict=True):
        x = graph.add("Resize", [x, "", twice], mode="linear", coordinate_transformation_mode="half_pixel")
        x = block(graph.add("Concat", [skip, x], axis=1), up)
    x = graph.add("DepthToSpace", [convolve(x, network.head)], blocksize=2, mode="CRD")
    return graph.model("gray", x)
