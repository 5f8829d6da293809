# The runtime in two images: `cpu`, which a plain build gives, and `gpu`, for TensorRT. docs/docker.md says how to use
# them, and what of them was built and run before it came to you; the GPU image never was.
#   docker build -t p-wae .
#   docker build -t p-wae:gpu --target gpu .

# ---- GPU --------------------------------------------------------------------------------------------------------------
# 26.08: Ubuntu 24.04, Python 3.12, CUDA 13.3, TensorRT 11.2.1. TensorRT and its Python module are the image's own, so
# the extra `tensorrt` of pyproject.toml is not installed, and of onnxruntime-gpu not its CUDA; an engine runs only with the
# TensorRT that built it.
FROM nvcr.io/nvidia/tensorrt:26.08-py3 AS gpu-build
# pycuda comes as source.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends build-essential python3-dev python3-pip \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY core core
COPY training training
COPY assessment assessment
COPY export export
COPY runtime runtime
COPY archive archive
COPY fleet fleet
COPY gateway gateway
# pycuda's random numbers are not used, and would need one library more.
RUN echo 'CUDA_ENABLE_CURAND = False' > "$HOME/.aksetup-defaults.py" \
 && python3 -m pip wheel --no-cache-dir --wheel-dir /wheels -c constraints.txt '.[view,sign]' onnxruntime-gpu==1.31.1 pycuda==2026.1
RUN python3 -m venv --without-pip --system-site-packages /opt/p-wae \
 && python3 -m pip --python /opt/p-wae/bin/python install --no-cache-dir --no-index --find-links /wheels \
    'p-wae[view,sign]' onnxruntime-gpu==1.31.1 pycuda==2026.1

# NVIDIA's image has a compiler and the CUDA toolkit of its own; we add none.
FROM nvcr.io/nvidia/tensorrt:26.08-py3 AS gpu
RUN groupadd --gid 10001 pwae \
 && useradd --uid 10001 --gid 10001 --home-dir /station --no-create-home --no-log-init pwae \
 && install --directory --owner 10001 --group 10001 /station
COPY --from=gpu-build /opt/p-wae /opt/p-wae
ENV PATH=/opt/p-wae/bin:$PATH PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1
USER 10001:10001
WORKDIR /station
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["run-inspection"]
CMD ["/station/inspection.yaml"]

# ---- CPU --------------------------------------------------------------------------------------------------------------
FROM python:3.11-slim-bookworm AS cpu-build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY core core
COPY training training
COPY assessment assessment
COPY export export
COPY runtime runtime
COPY archive archive
COPY fleet fleet
COPY gateway gateway
RUN python3 -m pip wheel --no-cache-dir --wheel-dir /wheels -c constraints.txt '.[cpu,view,sign]'
RUN python3 -m venv --without-pip /opt/p-wae \
 && python3 -m pip --python /opt/p-wae/bin/python install --no-cache-dir --no-index --find-links /wheels 'p-wae[cpu,view,sign]'

FROM python:3.11-slim-bookworm AS cpu
RUN groupadd --gid 10001 pwae \
 && useradd --uid 10001 --gid 10001 --home-dir /station --no-create-home --no-log-init pwae \
 && install --directory --owner 10001 --group 10001 /station
COPY --from=cpu-build /opt/p-wae /opt/p-wae
# ONNX Runtime would tell its maker which models run here.
ENV PATH=/opt/p-wae/bin:$PATH PYTHONUNBUFFERED=1 ORT_DISABLE_TELEMETRY=1
# A number, so that Kubernetes too can tell that it is not root.
USER 10001:10001
WORKDIR /station
# Asks the page (`view`), which never needs the token for this. A configuration without `view`: --no-healthcheck.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["run-inspection"]
CMD ["/station/inspection.yaml"]
