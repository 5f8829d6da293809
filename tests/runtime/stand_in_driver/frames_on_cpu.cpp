// The kernel of frames.cu, compiled for the CPU: the same source, whose threads are run one after the other.
#define __device__
#define __global__
namespace {
struct Index { unsigned x, y, z; };
thread_local Index blockIdx, blockDim, threadIdx;
}

#include "frames.cu"

extern "C" void fit_frame_on_cpu(const unsigned *grid, const unsigned *block, const void *arguments) {
  blockDim = {block[0], block[1], block[2]};
  for (blockIdx.y = 0; blockIdx.y < grid[1]; blockIdx.y++)
    for (blockIdx.x = 0; blockIdx.x < grid[0]; blockIdx.x++)
      for (threadIdx.y = 0; threadIdx.y < block[1]; threadIdx.y++)
        for (threadIdx.x = 0; threadIdx.x < block[0]; threadIdx.x++) fit_frame(*static_cast<const Frame *>(arguments));
}
