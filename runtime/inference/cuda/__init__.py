"""Judging on an NVIDIA GPU: engines of TensorRT, and the kernel that fits frames into rows."""
