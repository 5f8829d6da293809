/* Streams, and what is put into them: copies, kernels, events, graphs. */
#define _GNU_SOURCE
#include "stand_in.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COPY, CALL, MARK, LAUNCH };
enum { MOST_ARGUMENT_BYTES = 512 };

typedef void (*HostFunction)(void *);
typedef void (*Kernel)(const unsigned *grid, const unsigned *block, const void *arguments);
typedef struct Event { int is_pending; } Event;

typedef struct Work {
  int kind;
  void *to;
  const void *from;
  size_t bytes;
  HostFunction call;
  Event *event;
  Kernel kernel;
  unsigned grid[3], block[3];
  char arguments[MOST_ARGUMENT_BYTES];
  struct Work *next;
} Work;

typedef struct { Work *first, *last; } List;
typedef struct { List waiting, recorded; int is_capturing; } Stream;

Count streams, events, graphs, modules;
static const char *kernels; /* the library's file */

void stand_in_kernels(const char *library) { kernels = library ? strdup(library) : NULL; }

static void put(Stream *stream, Work work) {
  Work *kept = malloc(sizeof *kept);
  *kept = work;
  kept->next = NULL;
  List *list = stream->is_capturing ? &stream->recorded : &stream->waiting;
  if (list->last) list->last->next = kept;
  else list->first = kept;
  list->last = kept;
}

void stand_in_enqueue(Stream *stream, HostFunction call) { put(stream, (Work){.kind = CALL, .call = call}); }

/* Streams and events. */

static void release(List *list) {
  while (list->first) {
    Work *work = list->first;
    list->first = work->next;
    free(work);
  }
  list->last = NULL;
}

static void work_off(Stream *stream, const Event *until) {
  while (stream->waiting.first && (until == NULL || until->is_pending)) {
    Work *work = stream->waiting.first;
    stream->waiting.first = work->next;
    if (!work->next) stream->waiting.last = NULL;
    if (work->kind == COPY) memcpy(work->to, work->from, work->bytes);
    if (work->kind == CALL) work->call(NULL);
    if (work->kind == MARK) work->event->is_pending = 0;
    if (work->kind == LAUNCH) work->kernel(work->grid, work->block, work->arguments);
    free(work);
  }
}

Result cuStreamCreate(Stream **stream, unsigned flags) {
  IN_CONTEXT
  *stream = calloc(1, sizeof **stream);
  streams += flags == 1; /* CU_STREAM_NON_BLOCKING; another would wait for everybody's work */
  return flags == 1 ? SUCCESS : INVALID_VALUE;
}

Result cuStreamDestroy_v2(Stream *stream) {
  IN_CONTEXT
  work_off(stream, NULL);
  free(stream);
  streams--;
  return SUCCESS;
}

Result cuStreamSynchronize(Stream *stream) {
  IN_CONTEXT
  work_off(stream, NULL);
  return SUCCESS;
}

typedef struct { Event event; Stream *stream; } RecordedEvent;

Result cuEventCreate(RecordedEvent **event, unsigned flags) {
  IN_CONTEXT
  if (flags != 3) return INVALID_VALUE; /* CU_EVENT_BLOCKING_SYNC, CU_EVENT_DISABLE_TIMING: whoever waits sleeps */
  *event = calloc(1, sizeof **event);
  events++;
  return SUCCESS;
}

Result cuEventRecord(RecordedEvent *event, Stream *stream) {
  IN_CONTEXT
  event->event.is_pending = 1;
  event->stream = stream;
  put(stream, (Work){.kind = MARK, .event = &event->event});
  return SUCCESS;
}

Result cuEventSynchronize(RecordedEvent *event) {
  IN_CONTEXT
  if (event->stream) work_off(event->stream, &event->event);
  return SUCCESS;
}

Result cuEventDestroy_v2(RecordedEvent *event) {
  IN_CONTEXT
  free(event);
  events--;
  return SUCCESS;
}

/* Graphs: what was put into a stream that records. */

Result cuStreamBeginCapture_v2(Stream *stream, int mode) {
  IN_CONTEXT
  if (mode != 1) return INVALID_VALUE; /* CU_STREAM_CAPTURE_MODE_THREAD_LOCAL */
  stream->is_capturing = 1;
  return SUCCESS;
}

Result cuStreamEndCapture(Stream *stream, List **graph) {
  IN_CONTEXT
  if (!stream->is_capturing) return NOT_CAPTURING;
  *graph = malloc(sizeof **graph);
  **graph = stream->recorded;
  stream->recorded = (List){NULL, NULL};
  stream->is_capturing = 0;
  graphs++;
  return SUCCESS;
}

Result cuGraphInstantiateWithFlags(List **executable, const List *graph, unsigned long long flags) {
  IN_CONTEXT
  if (flags) return INVALID_VALUE;
  Stream copy = {0};
  for (const Work *work = graph->first; work; work = work->next) put(&copy, *work);
  *executable = malloc(sizeof **executable);
  **executable = copy.waiting;
  graphs++;
  return SUCCESS;
}

Result cuGraphLaunch(const List *executable, Stream *stream) {
  IN_CONTEXT
  for (const Work *work = executable->first; work; work = work->next) put(stream, *work);
  return SUCCESS;
}

Result cuGraphDestroy(List *graph) {
  release(graph);
  free(graph);
  graphs--;
  return SUCCESS;
}

Result cuGraphExecDestroy(List *executable) { return cuGraphDestroy(executable); }

/* Copies. */

static Result copy(void *to, const void *from, size_t bytes, const void *device, const void *host, Stream *stream) {
  if (!is_on_device(device, bytes)) return INVALID_VALUE;
  put(stream, (Work){.kind = COPY, .to = to, .from = from, .bytes = bytes});
  if (host && !is_locked(host, bytes)) work_off(stream, NULL); /* the driver copies other memory at once */
  return SUCCESS;
}

Result cuMemcpyHtoDAsync_v2(Address to, const void *from, size_t bytes, Stream *stream) {
  IN_CONTEXT
  void *device = (void *)(uintptr_t)to;
  return copy(device, from, bytes, device, from, stream);
}

Result cuMemcpyDtoHAsync_v2(void *to, Address from, size_t bytes, Stream *stream) {
  IN_CONTEXT
  const void *device = (void *)(uintptr_t)from;
  return copy(to, device, bytes, device, to, stream);
}

Result cuMemcpyDtoDAsync_v2(Address to, Address from, size_t bytes, Stream *stream) {
  IN_CONTEXT
  if (!is_on_device((void *)(uintptr_t)from, bytes)) return INVALID_VALUE;
  return copy((void *)(uintptr_t)to, (void *)(uintptr_t)from, bytes, (void *)(uintptr_t)to, NULL, stream);
}

/* Modules: a library compiled for the CPU, in which each kernel is called like that of the GPU with _on_cpu behind it. */

Result cuModuleLoadDataEx(void **module, const void *image, unsigned count, const int *options, void **values) {
  IN_CONTEXT
  (void)image, (void)count, (void)options, (void)values;
  *module = kernels ? dlopen(kernels, RTLD_NOW | RTLD_LOCAL) : NULL;
  modules += *module != NULL;
  return *module ? SUCCESS : NOT_FOUND;
}

Result cuModuleUnload(void *module) {
  IN_CONTEXT
  modules--;
  return dlclose(module) ? INVALID_HANDLE : SUCCESS;
}

Result cuFuncSetBlockShape(Kernel kernel, int x, int y, int z) { return kernel && x > 0 && y > 0 && z > 0 ? SUCCESS : INVALID_VALUE; }

Result cuModuleGetFunction(void **function, void *module, const char *name) {
  IN_CONTEXT
  char full_name[128];
  snprintf(full_name, sizeof full_name, "%s_on_cpu", name);
  *function = dlsym(module, full_name);
  return *function ? SUCCESS : NOT_FOUND;
}

Result cuLaunchKernel(Kernel kernel, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,
                      unsigned block_y, unsigned block_z, unsigned shared_bytes, Stream *stream, void **parameters,
                      void **extra) {
  IN_CONTEXT
  Work work = {.kind = LAUNCH, .kernel = kernel, .grid = {grid_x, grid_y, grid_z}, .block = {block_x, block_y, block_z}};
  /* CU_LAUNCH_PARAM_BUFFER_POINTER 1, CU_LAUNCH_PARAM_BUFFER_SIZE 2, CU_LAUNCH_PARAM_END 0 */
  if (parameters || shared_bytes || !extra || extra[0] != (void *)1 || extra[2] != (void *)2) return INVALID_VALUE;
  size_t bytes = *(size_t *)extra[3];
  if (bytes > sizeof work.arguments || block_x * block_y * block_z > 1024) return INVALID_VALUE;
  memcpy(work.arguments, extra[1], bytes);
  put(stream, work);
  return SUCCESS;
}
