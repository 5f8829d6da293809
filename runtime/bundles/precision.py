"""Precisions: in which arithmetic a bundle's model computes."""

from typing import Literal

Precision = Literal["fp32", "fp16", "int8"]
