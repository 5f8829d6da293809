# `make demo` and `make test` set up what they need. Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Full TensorRT's bindings, against which the tests hold what we ask of it.
TENSORRT := tensorrt-cu12-bindings==10.3.0 tensorrt-cu13-bindings==10.16.1.11 tensorrt-cu13-bindings==11.4.0.106 \
  tensorrt-rtx-cu13-bindings==1.6.1.120
# Not compiled ahead: half of the time, and most of what comes is never imported. What is imported keeps what it was
# compiled to, even where the machine would not have it so: torch takes a process 14 s of a core then, and else 5.
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(BIN)/pip install -q --disable-pip-version-check --no-compile -c constraints.txt

.PHONY: demo test check lint docs setup bench results clean

demo: $(VENV)/.demo
	$(BIN)/python demo.py

# Four processes, since many tests wait; a file's tests stay together, so that what they share is built once. In the order
# that they are collected in: the longest first (tests/conftest.py), so that none of them is left for the end.
test: $(VENV)/.dev mosquitto chromium aravis
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

# What needs only Python: no broker, camera's server, browser or root, no network trained or exported and no engine built.
check: $(VENV)/.dev
	+$(MAKE) -j5 -O --no-print-directory lint quick-with-torch quick-rooms quick-cameras quick-runtime

# A process each, and no workers, each of which would import and collect everything: only the first needs torch. They are more
# than two cores, since many tests wait.
QUICK := $(BIN)/python -m pytest -m "not machine and not long" --hypothesis-profile quick
ROOMS := archive core fleet gateway
.PHONY: quick-with-torch quick-rooms quick-cameras quick-runtime
quick-with-torch: $(VENV)/.dev
	$(QUICK) $(ROOMS:%=--ignore tests/%) --ignore tests/runtime

quick-rooms: $(VENV)/.dev
	$(QUICK) $(ROOMS:%=tests/%)

quick-cameras: $(VENV)/.dev
	$(QUICK) tests/runtime/cameras

quick-runtime: $(VENV)/.dev
	$(QUICK) tests/runtime --ignore tests/runtime/cameras

# What runs on Ray, on clusters that are started here: 3 minutes on two cores. Its extra is some 500 MB, so not in `dev`.
.PHONY: test-ray
test-ray: $(VENV)/.dev
	$(INSTALL) -e '.[ray]'
	$(BIN)/python -m pytest -rs -m ray

# How much of the code the tests run, branches too; by hand, since it takes the tests longer. WHAT: which tests.
.PHONY: coverage
coverage: $(VENV)/.dev mosquitto
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest -n 2 --dist loadfile $(WHAT)
	$(BIN)/coverage combine -q
	$(BIN)/coverage report --skip-covered --sort=cover

# What is generated from the settings: docs/configuration.md and configs/*.schema.json.
docs: $(VENV)/.dev
	$(BIN)/python docs/generate.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The runtime's is taken with what `make demo` left.
bench: $(VENV)/.dev demo-out/elpv-mono.bundle
	$(BIN)/python benchmarks/bench_training.py
	$(BIN)/python benchmarks/bench_export.py
	$(BIN)/python benchmarks/bench_runtime.py --bundle demo-out/elpv-mono.bundle --pictures demo-out/cells/good

demo-out/elpv-mono.bundle:
	$(MAKE) demo

SETS = $(or $(MVTEC),$(error say where the pictures are: make $@ MVTEC=DIR))
# The tables of docs/results.md, and the figures. MVTEC is a folder that holds screw/, cookie/, metal_plate/ and circuitboard/ in
# MVTec layout; ELPV comes by pip. RESNET18 is torchvision's state dict, for the second control.
results: $(VENV)/.dev
	$(BIN)/python benchmarks/quality.py --mvtec "$(SETS)" --methods recipe fast "decoders alone" $(if $(RESNET18),--resnet18 "$(RESNET18)")
	$(BIN)/python benchmarks/quality.py --mvtec "$(SETS)" --sets cookie metal_plate circuitboard
	$(BIN)/python benchmarks/label_noise.py --mvtec "$(SETS)" --seeds 0 1 2
	$(BIN)/python benchmarks/figures.py --set cookie

# The paper's Tables I and II on those of MVTec AD's categories that stand in MVTEC. Its own form is days on two cores: ENCODER
# (YAML) and EPOCHS make it less, as docs/paper.md does.
.PHONY: paper
paper: $(VENV)/.dev
	$(BIN)/python benchmarks/paper.py --mvtec "$(SETS)" $(if $(ENCODER),--encoder '$(ENCODER)') $(if $(EPOCHS),--epochs $(EPOCHS))

# On a machine with an NVIDIA GPU and the CUDA toolkit, from which pycuda is built. TensorRT for RTX is there already; a GPU
# that it does not know (a data centre's, a Jetson's) needs TensorRT, whose libraries pip fetches from NVIDIA. Each is
# installed by itself: what one machine cannot have does not take the rest along.
GPU := $(BIN)/python -c 'import sys; from runtime.inference.cuda.gpu import find_gpu; \
  sys.excepthook = lambda _kind, error, _where: print(error, file=sys.stderr); print(find_gpu().target)'
.PHONY: gpu test-gpu bench-gpu
gpu: $(VENV)/.dev
	@$(GPU)
	$(INSTALL) pycuda
	-$(INSTALL) tensorrt
	$(BIN)/pip uninstall -q -y onnxruntime onnxruntime-gpu
	$(INSTALL) -e '.[cuda]'

# Every backend through one suite, a real network on the GPU against PyTorch, training, `verify`, and a real illegal access;
# without a GPU this fails, and where a backend that the machine has would be skipped.
test-gpu: gpu
	PWAE_TEST_GPU=1 $(BIN)/python -m pytest -rs -m gpu tests/runtime/inference

# The real pycuda under TensorRT's backend, over a stand-in for the driver: no GPU is needed, nor CUDA. pycuda is built once,
# in some minutes, and lies in a folder of its own.
STAND_IN := $(VENV)/stand-in
.PHONY: test-standin
test-standin: $(STAND_IN)/pycuda
	gcc -Wall -Wextra -Werror -O1 -shared -fPIC -Wl,-soname,libcuda.so.1 -o $(STAND_IN)/libcuda.so.1 \
	  tests/runtime/stand_in_driver/*.c -ldl -lpthread
	LD_LIBRARY_PATH=$(STAND_IN) PYTHONPATH=$(STAND_IN) $(BIN)/python -m pytest -rs tests/runtime/inference/cuda/test_over_pycuda.py

$(STAND_IN)/pycuda: | $(VENV)/.dev
	PYTHON=$(BIN)/python bash tools/pycuda-wheel.sh $(STAND_IN)
	$(BIN)/pip install -q --disable-pip-version-check --target $(STAND_IN) --no-deps $(STAND_IN)/pycuda-*.whl
	$(BIN)/pip install -q --disable-pip-version-check --target $(STAND_IN) --no-deps -c constraints.txt \
	  pytools siphash24 platformdirs Mako

# Of a checkpoint and the bundle exported from it.
CHECKPOINT ?= runs/elpv-mono/checkpoint
BUNDLE ?= demo-out/elpv-mono.bundle
PICTURES ?= demo-out/cells/good
bench-gpu: gpu $(BUNDLE) mosquitto
	rm -rf demo-out/gpu.bundle && cp -r $(BUNDLE) demo-out/gpu.bundle
	$(BIN)/export-engine add demo-out/gpu.bundle --target $$($(GPU)) --max-batch 64 || \
	  $(BIN)/export-engine add demo-out/gpu.bundle --target here --max-batch 64
	$(BIN)/python benchmarks/bench_gpu.py --checkpoint $(CHECKPOINT) --bundle demo-out/gpu.bundle \
	  --pictures $(PICTURES) | tee benchmarks/results/gpu.jsonl

# The kernel that resizes frames on a GPU, for the driver, which finishes it: with the CUDA toolkit, where its source has
# changed. Nothing in it is newer than PTX 7.0, so that the driver of CUDA 11 takes it, and ptxas says so.
KERNELS := runtime/inference/kernels
.PHONY: kernels
kernels:
	nvcc -ptx -arch compute_75 $(KERNELS)/frames.cu -o $(KERNELS)/frames.ptx
	sed -i -e 's/^\.version .*/.version 7.0/' -e "1s|.*|// frames.cu $$(sha256sum < $(KERNELS)/frames.cu | cut -d' ' -f1)|" $(KERNELS)/frames.ptx
	ptxas -arch sm_75 -o /dev/null $(KERNELS)/frames.ptx

setup: $(VENV)/.dev

$(VENV)/bin/pip:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(INSTALL) -e '.[demo]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(VENV)/bin/pip
	$(INSTALL) -e '.[dev]'
	$(foreach package,$(TENSORRT),$(BIN)/pip download -q --disable-pip-version-check --no-deps \
	  -d $(VENV)/tensorrt-bindings $(package) &&) true
	touch $@

# The tests talk to a real broker and look at pages with a real browser. What is missing is installed with root's or
# sudo's rights; without a browser or a camera its tests are skipped, and say so.
APT_INSTALL := SUDO=; [ "$$(id -u)" = 0 ] || SUDO=sudo; $$SUDO apt-get update -qq && \
  $$SUDO env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
.PHONY: mosquitto chromium aravis
mosquitto:
	@{ PATH="$$PATH:/usr/sbin" command -v mosquitto && command -v mosquitto_rr; } >/dev/null || { \
	  echo "installing mosquitto and mosquitto-clients (apt-get), which the tests use"; \
	  $(APT_INSTALL) mosquitto mosquitto-clients; }

chromium:
	@command -v chromium >/dev/null || { \
	  echo "installing chromium (apt-get), with which the tests look at pages"; \
	  $(APT_INSTALL) chromium fonts-dejavu-core; } || \
	  echo "no chromium: the browser's tests are skipped"

aravis:
	@command -v arv-fake-gv-camera-0.8 >/dev/null || { \
	  echo "installing aravis-tools (apt-get), a GigE Vision camera for the tests"; \
	  $(APT_INSTALL) aravis-tools; } || \
	  echo "no aravis-tools: the tests with a second maker's GigE Vision camera are skipped"

clean:
	rm -rf $(VENV) runs demo-out .mypy_cache .ruff_cache .pytest_cache .hypothesis
