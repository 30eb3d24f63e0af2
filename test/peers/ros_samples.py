"""Random ROS messages that are likely to hit the special cases of adapters."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np

from mosaico_ros.ros_bridge.cdr.layout import Array, Primitive, Sequence, Struct, Text


def sample(node: Any, name: str, dice: random.Random) -> Any:
    """Random value that is likely to hit a special case of some adapter."""
    if isinstance(node, Struct):
        return {member: sample(inner, member, dice) for member, inner in node.members}
    if isinstance(node, Text):
        if name == 'format':
            return dice.choice(['', 'png', 'jpeg', 'rgb8; jpeg compressed bgr8', 'h264'])
        return dice.choice(['', 'base_link', 'größe'])
    if isinstance(node, Primitive):
        return number(node.code, name, dice)
    if isinstance(node, Array):
        style = dice.choice(['zero', 'unknown', 'any'])
        values = [sample(node.item, name, dice) for _ in range(node.count)]
        if isinstance(node.item, Primitive) and style == 'zero':
            return [0] * node.count
        if isinstance(node.item, Primitive) and node.item.code[0] == 'f' and style == 'unknown':
            return [-1.0, *values[1:]]
        return values
    assert isinstance(node, Sequence)
    count = dice.choice([0, 1, 3])
    if node.item == Primitive('u1'):
        return bytes(dice.randrange(256) for _ in range(count))
    return [sample(node.item, name, dice) for _ in range(count)]


def number(code: str, name: str, dice: random.Random) -> Any:
    if name == 'nanosec':
        return dice.choice([0, dice.randrange(10**9)])
    if name == 'datatype':
        return dice.randrange(1, 9)
    if code == 'b1':
        return dice.random() < 0.5
    if code[0] == 'f':
        value = dice.choice([0.0, -1.0, 1.0, math.nan, dice.gauss(0, 100)])
        return float(np.float32(value)) if code == 'f4' else value
    low, high = int(np.iinfo(np.dtype(code)).min), int(np.iinfo(np.dtype(code)).max)
    return dice.choice([0, 1, 2, max(low, -2), max(low, -1), dice.randint(low, high)])
