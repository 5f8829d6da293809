/* A CUDA driver that is none: a libcuda.so.1 over which the real pycuda runs where there is no GPU.

   Device memory is the host's. What is put into a stream is done when somebody waits for it and not before, so that a
   buffer which is touched too early shows. Everything that is made is counted until it is given back. Kernels are those
   that were compiled for the CPU: `stand_in_kernels` says where. Names and numbers are cuda.h's; what is not here is
   an undefined symbol the moment it is called, since the tests let Python bind names late. */
#include <stddef.h>
#include <stdint.h>

typedef int Result;
typedef uint64_t Address;
enum {
  SUCCESS = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_DEVICE = 101, INVALID_CONTEXT = 201,
  INVALID_HANDLE = 400, NOT_FOUND = 500, NOT_REGISTERED = 713, NOT_CAPTURING = 904
};
typedef _Atomic long Count;

extern Count streams, events, graphs, modules;

/* What keeps a call from being made: no context, an error that stays, or a GPU that is gone. */
Result refusal(void);

/* Whether all of it is memory of the device, or page-locked memory. */
int is_on_device(const void *at, size_t bytes);
int is_locked(const void *at, size_t bytes);

#define IN_CONTEXT \
  if (refusal()) return refusal();
