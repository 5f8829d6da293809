"""The floor on which the other rooms stand: pictures, thresholds, configuration, errors. No torch, no I/O but files."""

import os

# ONNX Runtime tells Microsoft what models it opens unless it is told not to before it is imported. What a factory
# inspects is nobody else's business.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
# OpenCV tells of files in lines of its own, without their names; what it finds is told by whoever asked it.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
