/* The device, its one context, its memory, and what the tests ask. */
#include "stand_in.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ALLOCATIONS = 1024, PAGE = 4096 };
typedef struct { void *at; size_t bytes; } Range;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Range allocated[MOST_ALLOCATIONS], locked[MOST_ALLOCATIONS];
static int is_initialised, sticky, gone;
static size_t memory_bytes = 8000000000;
static Count retained, lost;
static __thread int depth;
static char primary_context;

Result refusal(void) { return !is_initialised ? NOT_INITIALIZED : !depth ? INVALID_CONTEXT : gone ? gone : sticky; }

/* What the tests ask and say. */

static long count(const Range *ranges) {
  long found = 0;
  for (int i = 0; i < MOST_ALLOCATIONS; i++) found += ranges[i].at != NULL;
  return found;
}

static void forget(void) {
  memset(allocated, 0, sizeof allocated);
  memset(locked, 0, sizeof locked);
  streams = events = graphs = modules = 0;
  sticky = 0;
}

void stand_in_held(long *held) {
  const long all[] = {count(allocated), count(locked), streams, events, graphs, modules, retained, lost};
  memcpy(held, all, sizeof all);
}

void stand_in_fails(int result) { sticky = result; }

void stand_in_has(size_t bytes) { memory_bytes = bytes; }

/* With 0 it comes back, and what was held on it is not there any more. */
void stand_in_loses(int result) {
  gone = result;
  if (!result) forget();
}

size_t stand_in_bytes_at(Address address) {
  for (int i = 0; i < MOST_ALLOCATIONS; i++)
    if ((Address)(uintptr_t)allocated[i].at == address) return allocated[i].bytes;
  return 0;
}

/* Memory. */

static Result add(Range *ranges, void *at, size_t bytes) {
  pthread_mutex_lock(&lock);
  Result result = OUT_OF_MEMORY;
  for (int i = 0; i < MOST_ALLOCATIONS && result; i++)
    if (!ranges[i].at) ranges[i] = (Range){at, bytes}, result = SUCCESS;
  pthread_mutex_unlock(&lock);
  return result;
}

static Result take(Range *ranges, const void *at, Result missing) {
  pthread_mutex_lock(&lock);
  Result result = missing;
  for (int i = 0; i < MOST_ALLOCATIONS; i++)
    if (at && ranges[i].at == at) ranges[i].at = NULL, result = SUCCESS;
  pthread_mutex_unlock(&lock);
  return result;
}

static int is_within(const Range *ranges, const void *at, size_t bytes) {
  const char *from = at;
  for (int i = 0; i < MOST_ALLOCATIONS; i++) {
    const char *begin = ranges[i].at;
    if (begin && from >= begin && from + bytes <= begin + ranges[i].bytes) return 1;
  }
  return 0;
}

int is_on_device(const void *at, size_t bytes) { return is_within(allocated, at, bytes); }

int is_locked(const void *at, size_t bytes) { return is_within(locked, at, bytes); }

static size_t free_bytes(void) {
  size_t free = memory_bytes;
  for (int i = 0; i < MOST_ALLOCATIONS; i++)
    if (allocated[i].at) free -= allocated[i].bytes < free ? allocated[i].bytes : free;
  return free;
}

Result cuMemAlloc_v2(Address *address, size_t bytes) {
  IN_CONTEXT
  if (bytes > free_bytes()) return OUT_OF_MEMORY;
  void *memory = calloc(1, bytes);
  *address = (Address)(uintptr_t)memory;
  return add(allocated, memory, bytes);
}

Result cuMemFree_v2(Address address) {
  IN_CONTEXT
  Result result = take(allocated, (void *)(uintptr_t)address, INVALID_VALUE);
  if (!result) free((void *)(uintptr_t)address);
  return result;
}

Result cuMemGetInfo_v2(size_t *free, size_t *all) {
  IN_CONTEXT
  *free = free_bytes();
  *all = memory_bytes;
  return SUCCESS;
}

Result cuMemHostRegister_v2(void *at, size_t bytes, unsigned flags) {
  IN_CONTEXT
  return (uintptr_t)at % PAGE || flags ? INVALID_VALUE : add(locked, at, bytes);
}

Result cuMemHostUnregister(void *at) {
  IN_CONTEXT
  return take(locked, at, NOT_REGISTERED);
}

/* The device and its one context. */

Result cuInit(unsigned flags) {
  is_initialised = 1;
  return flags ? INVALID_VALUE : SUCCESS;
}

Result cuDriverGetVersion(int *version) {
  *version = 13000;
  return SUCCESS;
}

Result cuDeviceGetCount(int *devices) {
  *devices = 1;
  return SUCCESS;
}

Result cuDeviceGet(int *device, int ordinal) {
  *device = ordinal;
  return ordinal ? INVALID_DEVICE : SUCCESS;
}

Result cuDeviceGetName(char *name, int length, int device) {
  snprintf(name, (size_t)length, "NVIDIA Stand-In");
  return device ? INVALID_DEVICE : SUCCESS;
}

Result cuDeviceGetAttribute(int *value, int attribute, int device) {
  *value = attribute == 75 ? 8 : attribute == 76 ? 9 : attribute == 16 ? 58 : 0; /* sm89, multiprocessors */
  return device ? INVALID_DEVICE : SUCCESS;
}

Result cuDevicePrimaryCtxRetain(void **context, int device) {
  if (gone) return gone;
  retained++;
  *context = &primary_context;
  return device ? INVALID_DEVICE : SUCCESS;
}

Result cuDevicePrimaryCtxRelease_v2(int device) {
  if (device || !retained) return INVALID_CONTEXT;
  if (--retained) return SUCCESS;
  /* All that is left goes with the context, and so does what ailed it; of a whole one nothing should be left. */
  if (!sticky && !gone) lost += count(allocated) + count(locked) + streams + events + graphs + modules;
  forget();
  return SUCCESS;
}

Result cuCtxPushCurrent_v2(void *context) {
  if (gone) return gone;
  depth += context == &primary_context;
  return context == &primary_context && retained ? SUCCESS : INVALID_CONTEXT;
}

Result cuCtxPopCurrent_v2(void **context) {
  if (!depth) return INVALID_CONTEXT;
  depth--;
  *context = &primary_context;
  return SUCCESS;
}

Result cuCtxGetDevice(int *device) {
  IN_CONTEXT
  *device = 0;
  return SUCCESS;
}

Result cuCtxSynchronize(void) {
  IN_CONTEXT
  return SUCCESS;
}

Result cuGetErrorString(Result result, const char **text) {
  *text = result == 700 ? "an illegal memory access was encountered" : result == 2 ? "out of memory" : "an error of the stand-in";
  return SUCCESS;
}
