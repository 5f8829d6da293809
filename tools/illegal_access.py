"""A real illegal access on GPU 0, and whether this process can use the GPU again. `python illegal_access.py [torch]`.

Prints a line each: the driver's error, whether it stays, and RECOVERED or what opening again says.
"""

import ctypes
import importlib
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from runtime.inference.cuda import gpu

# Writes to address 8, which belongs to nobody. PTX is compiled by the driver: no toolkit is needed.
BAD_KERNEL = b""".version 7.0
.target sm_75
.address_size 64
.visible .entry bad() {
  .reg .b64 %address;
  .reg .b32 %value;
  mov.u64 %address, 8;
  mov.u32 %value, 1;
  st.global.u32 [%address], %value;
  ret;
}
\0"""


def access_illegally() -> None:
    """Do it, in the current CUDA context. Raises CudaError, as everything does from then on."""
    cuda = gpu.driver()
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    gpu.check(cuda, cuda.cuModuleLoadData(ctypes.byref(module), BAD_KERNEL))
    gpu.check(cuda, cuda.cuModuleGetFunction(ctypes.byref(function), module, b"bad"))
    one, none = ctypes.c_uint(1), ctypes.c_uint(0)
    gpu.check(cuda, cuda.cuLaunchKernel(function, one, one, one, one, one, one, none, None, None, None))
    gpu.check(cuda, cuda.cuCtxSynchronize())


def main() -> None:
    """Do it on GPU 0, and open that again."""
    import pycuda.driver as cuda

    cuda.init()
    context = cuda.Device(0).retain_primary_context()
    context.push()
    for extra in filter(None, sys.argv[1:]):
        importlib.import_module(extra).zeros(1, device="cuda")
    try:
        access_illegally()
        print("no error")
    except gpu.CudaError as error:
        print(error)
    print("sticky" if gpu.has_sticky_error() else "not sticky")
    context.pop()
    context.detach()
    try:
        again = cuda.Device(0).retain_primary_context()
        again.push()
        cuda.mem_alloc(100).free()
        print("RECOVERED")
        again.pop()
    except cuda.Error as error:
        print(f"NOT RECOVERED: {error}")


if __name__ == "__main__":
    main()
