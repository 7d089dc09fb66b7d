"""Write the stored networks as ONNX files, which browsers can run: a dozen operators, so no package is needed.

ONNX is a Protocol Buffers message (onnx/onnx.proto, opset 17). A message is a row of fields, each a key and a value;
a value is a number or, with its length before it, a text, bytes or another message.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any

import numpy as np
from torch import nn

from upcrack_lite.drawn.detect import DrawnNet
from upcrack_lite.generator import Generator

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

    def layers(self, x: str, modules: Iterable[nn.Module], own: str = "") -> str:
        """PyTorch's layers one after the other, as in eval mode.

        own: a number, 0 for batch norm by the averages of training, 1 for the statistics of the image itself.
        """
        for module in modules:
            weights = [self.tensor(p.detach().numpy()) for p in module.parameters()]
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                operator = "Conv" if isinstance(module, nn.Conv2d) else "ConvTranspose"
                pads, strides = 2 * list(module.padding), list(module.stride)
                x = self.add(operator, [x, *weights], pads=pads, strides=strides)
            elif isinstance(module, nn.BatchNorm2d):
                averages = (self.tensor(value.numpy()) for value in (module.running_mean, module.running_var))
                given, epsilon = x, float(module.eps)
                x = self.add("BatchNormalization", [given, *weights, *averages], epsilon=epsilon)
                if own:
                    other = self.add("InstanceNormalization", [given, *weights], epsilon=epsilon)
                    x = self.add("Add", [x, self.add("Mul", [self.add("Sub", [other, x]), own])])
            elif isinstance(module, nn.LeakyReLU):
                x = self.add("LeakyRelu", [x], alpha=float(module.negative_slope))
            elif isinstance(module, nn.ReLU):
                x = self.add("Relu", [x])
        return x

    def model(self, result: str, **given: list[int | str]) -> bytes:
        """The file: float32 `result`, and the names and sides of what is given, such as `[1, 1, "H", "W"]`."""

        def face(name: str, sides: list[int | str]) -> bytes:
            shape = message((1, [message((1 if isinstance(side, int) else 2, side)) for side in sides]))
            return message((1, name), (2, message((1, message((1, FLOAT), (2, shape))))))

        faces = [face(name, sides) for name, sides in given.items()]
        graph = message(
            (1, self.nodes),
            (2, "graph"),
            (5, self.tensors),
            (11, faces),
            (12, face(result, ["N", "C", "H", "W"])),
        )
        return message((1, 8), (7, graph), (8, message((2, 17))))


def drawn_model(network: DrawnNet) -> bytes:
    """The network as an ONNX file: what `DrawnNet.forward` does, from "gray" ``(1, 1, H, W)`` to its logits."""
    graph = Graph()
    x, skips = graph.add("SpaceToDepth", ["gray"], blocksize=2), []
    for down in network.down[:-1]:
        skips.append(graph.layers(x, down))
        x = graph.add("MaxPool", [skips[-1]], kernel_shape=[2, 2], strides=[2, 2])
    x = graph.layers(x, network.down[-1])
    twice = graph.tensor(np.array([1, 1, 2, 2], np.float32))
    for up, skip in zip(reversed(network.up), reversed(skips), strict=True):
        x = graph.add("Resize", [x, "", twice], mode="linear", coordinate_transformation_mode="half_pixel")
        x = graph.layers(graph.add("Concat", [skip, x], axis=1), up)
    x = graph.layers(x, [network.head])
    x = graph.add("DepthToSpace", [x], blocksize=2, mode="CRD")
    return graph.model(x, gray=[1, 1, "H", "W"])


def generator_model(generator: Generator) -> bytes:
    """UP-CrackNet's G as an ONNX file, without dropout: from "masked" ``(1, 3, S, S)`` in [-1, 1] to its restoration.

    "own" ``(1,)`` is 0 for running statistics and 1 for those of the photo at hand, `restore`'s "batch".
    """
    graph, x, skips = Graph(), "masked", []
    for down in generator.encoder:
        x = graph.layers(x, down, "own")
        skips.append(x)
    x = graph.layers(skips.pop(), generator.decoder[0], "own")
    for up in generator.decoder[1:]:
        x = graph.layers(graph.add("Concat", [x, skips.pop()], axis=1), up, "own")
    side = 2**generator.depth
    return graph.model(graph.add("Tanh", [x]), masked=[1, 3, side, side], own=[1])
