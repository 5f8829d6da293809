/* A device of Video4Linux that is none. Preloaded into a process, it answers for the pipe that V4L2_STAND_IN names: a
   byte in the pipe is a frame that is ready. What it gives stands in a file beside it, <pipe>.frames: a line with
   layout (a letter fewer where it ends with a space), width, height and the bytes of its buffers, then of each frame
   how long it waits (ms), its bytes, its flags, each 32 bits, and itself. At their end the device is gone. One of no
   width cannot be opened: in place of the bytes stands why. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 32, PAGE = 4096 };
typedef struct { unsigned pause_ms, bytes, flags; } Head;
typedef int (*Open)(const char *, int, ...);
typedef void *(*Map)(void *, size_t, int, int, int, off_t);

static int device = -1, waiting, queued[MOST];
static unsigned width, height, size, layout, sequence;
static FILE *frames, *asked;
static long first;
static char *memory[MOST];

static FILE *beside(const char *ending, const char *mode) {
  char path[PAGE];
  snprintf(path, sizeof path, "%s%s", getenv("V4L2_STAND_IN"), ending);
  return fopen(path, mode);
}

static void *film(void *nothing) {
  FILE *ahead = beside(".frames", "rb");
  Head head;
  for (fseek(ahead, first, SEEK_SET); fread(&head, sizeof head, 1, ahead) == 1; fseek(ahead, head.bytes, SEEK_CUR)) {
    usleep(1000 * head.pause_ms);
    if (device < 0 || write(device, "", 1) < 0) break;
  }
  if (device >= 0 && write(device, "", 1) < 0) perror("stand-in");
  fclose(ahead);
  return nothing;
}

static int opened(const char *path, int flags) {
  char letters[5] = "    ";
  frames = beside(".frames", "rb");
  if (!frames || fscanf(frames, "%4s %u %u %u", letters, &width, &height, &size) != 4) { errno = EIO; return -1; }
  if (!width) { errno = size; return -1; }
  first = ftell(frames) + 1;
  fseek(frames, first, SEEK_SET);
  if (strlen(letters) < 4) letters[strlen(letters)] = ' ';
  memcpy(&layout, letters, sizeof layout);
  asked = beside(".asked", "w");
  waiting = sequence = 0;
  return device = ((Open)dlsym(RTLD_NEXT, "open"))(path, flags);
}

static int open_by(const char *name, const char *path, int flags, int mode) {
  const char *ours = getenv("V4L2_STAND_IN");
  if (ours && !strcmp(path, ours) && (flags & O_ACCMODE) == O_RDWR) return opened(path, flags);
  return ((Open)dlsym(RTLD_NEXT, name))(path, flags, mode);
}

static int taken(struct v4l2_buffer *buffer) {
  char ready;
  Head head;
  if (read(device, &ready, 1) < 0) return -1;
  if (fread(&head, sizeof head, 1, frames) != 1) { errno = ENODEV; return -1; }
  int which = queued[0];
  memmove(queued, queued + 1, sizeof *queued * --waiting);
  if (fread(memory[which], 1, head.bytes, frames) != head.bytes) { errno = EIO; return -1; }
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  *buffer = (struct v4l2_buffer){
      .index = which, .type = buffer->type, .memory = V4L2_MEMORY_MMAP, .bytesused = head.bytes, .length = size,
      .flags = V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_DONE | head.flags, .sequence = sequence++,
      .m.offset = which * PAGE, .timestamp = {now.tv_sec, now.tv_nsec / 1000}};
  return 0;
}

static int refused(int why) { errno = why; return -1; }

static int format(struct v4l2_pix_format *pix) {
  fprintf(asked, "%u x %u\n", pix->width, pix->height);
  fflush(asked);
  *pix = (struct v4l2_pix_format){width, height, layout, V4L2_FIELD_NONE, .sizeimage = size};
  return 0;
}

static int answer(unsigned request, void *told) {
  struct v4l2_buffer *buffer = told;
  pthread_t thread;
  switch (request) {
  case VIDIOC_QUERYCAP:
    *(struct v4l2_capability *)told = (struct v4l2_capability){
        .driver = "stand-in", .capabilities = V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING};
    return 0;
  case VIDIOC_ENUM_FMT:
    if (((struct v4l2_fmtdesc *)told)->index) return refused(EINVAL);
    ((struct v4l2_fmtdesc *)told)->pixelformat = layout;
    return 0;
  case VIDIOC_ENUMINPUT: return ((struct v4l2_input *)told)->index ? refused(EINVAL) : 0;
  case VIDIOC_G_INPUT: *(int *)told = 0; return 0;
  case VIDIOC_S_INPUT: return 0;
  case VIDIOC_G_FMT: case VIDIOC_S_FMT: return format(&((struct v4l2_format *)told)->fmt.pix);
  case VIDIOC_G_PARM: case VIDIOC_S_PARM:
    ((struct v4l2_streamparm *)told)->parm.capture.timeperframe = (struct v4l2_fract){1, 25};
    return 0;
  case VIDIOC_REQBUFS: {
    struct v4l2_requestbuffers *wanted = told;
    wanted->count = wanted->count < MOST ? wanted->count : MOST;
    return 0;
  }
  case VIDIOC_QUERYBUF: buffer->length = size; buffer->m.offset = buffer->index * PAGE; return 0;
  case VIDIOC_QBUF: queued[waiting++] = buffer->index; return 0;
  case VIDIOC_DQBUF: return taken(buffer);
  case VIDIOC_STREAMON: return pthread_create(&thread, NULL, film, NULL) || pthread_detach(thread) ? -1 : 0;
  case VIDIOC_STREAMOFF: waiting = 0; return 0;
  default: return refused(EINVAL);
  }
}

static void *map_by(const char *name, void *at, size_t bytes, int what, int how, int handle, off_t offset) {
  Map map = (Map)dlsym(RTLD_NEXT, name);
  if (device < 0 || handle != device) return map(at, bytes, what, how, handle, offset);
  return memory[offset / PAGE] = map(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

/* What a process calls in place of the system's own. */

int open(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  int mode = va_arg(more, int);
  va_end(more);
  return open_by("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  int mode = va_arg(more, int);
  va_end(more);
  return open_by("open64", path, flags, mode);
}

int ioctl(int handle, unsigned long request, ...) {
  va_list more;
  va_start(more, request);
  void *told = va_arg(more, void *);
  va_end(more);
  if (device >= 0 && handle == device && (request >> 8 & 255) == 'V') return answer(request, told);
  return ((int (*)(int, unsigned long, void *))dlsym(RTLD_NEXT, "ioctl"))(handle, request, told);
}

void *mmap(void *at, size_t bytes, int what, int how, int handle, off_t offset) {
  return map_by("mmap", at, bytes, what, how, handle, offset);
}

void *mmap64(void *at, size_t bytes, int what, int how, int handle, off_t offset) {
  return map_by("mmap64", at, bytes, what, how, handle, offset);
}

int close(int handle) {
  if (device >= 0 && handle == device) {
    device = -1;
    fclose(frames);
    fclose(asked);
  }
  return ((int (*)(int))dlsym(RTLD_NEXT, "close"))(handle);
}
