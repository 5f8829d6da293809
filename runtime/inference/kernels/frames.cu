// A camera's frame becomes a row of a batch: cropped, its colours worked out, resized. One thread a pixel of the row.
//
// It gives what core.pictures.picture.fit gives with OpenCV on the CPU, within one grey level: averages over areas where
// both sides shrink, OpenCV's kind of interpolation where one grows, and its bilinear colours of a mosaic. All weights
// are whole numbers, so that every GPU, and a CPU for which this is compiled as C++, gives the same row.
// `make kernels` compiles it to frames.ptx, which the driver of CUDA 11 or later finishes for its GPU: no compiler there.

enum Layout { GREY = 0, BGR = 1, RGB = 2, MOSAIC = 4 };  // a mosaic adds the column, and twice the line, of its red

struct Frame {
  const unsigned char *pixels;  // of the piece that was copied over
  unsigned char *row;           // (row_height, row_width, 3), blue first
  int layout;
  int piece_left, piece_top, piece_width;  // within the frame, in pixels
  int frame_width, frame_height;
  int left, top, width, height;  // the region, within the frame
  int row_width, row_height;
};

struct Span {  // which pixels of the region make one of the row, along one side; weights add up to `whole`
  int first, last;
  long long begin, end, step;  // of an area, in pixels of the row times those of the region
  int second_weight, whole;
  bool is_area;
};

struct Colour { int blue, green, red; };

__device__ static Span span_of(int at, int size, int row_size, bool is_area) {
  Span span;
  span.whole = size;
  span.is_area = is_area;
  span.step = row_size;
  span.begin = (long long)at * size;
  span.end = span.begin + size;
  span.second_weight = 0;
  if (is_area) {
    span.first = (int)(span.begin / row_size);
    span.last = (int)((span.end - 1) / row_size);
  } else {
    // In OpenCV's own arithmetic, which falls short of a whole number now and then and takes the pixel before it.
    const double scale = 1.0 / ((double)row_size / size);
    span.first = (int)(at * scale);
    const long long ahead = span.end - (long long)(span.first + 1) * row_size;
    const bool has_second = ahead > 0 && span.first + 1 < size;
    span.second_weight = has_second ? (int)(ahead % size) : 0;
    span.last = span.first + (span.second_weight > 0);
  }
  return span;
}

__device__ static int weight(const Span &span, int at) {
  if (!span.is_area) return at == span.first ? span.whole - span.second_weight : span.second_weight;
  const long long from = at * span.step, to = from + span.step;
  return (int)((to < span.end ? to : span.end) - (from > span.begin ? from : span.begin));
}

__device__ static int sample(const Frame &frame, int x, int y) {
  return frame.pixels[(long long)(y - frame.piece_top) * frame.piece_width + (x - frame.piece_left)];
}

__device__ static Colour of_mosaic(const Frame &frame, int x, int y) {
  // The outermost pixels lack neighbours and are like the next ones.
  x = x < 1 ? 1 : x > frame.frame_width - 2 ? frame.frame_width - 2 : x;
  y = y < 1 ? 1 : y > frame.frame_height - 2 ? frame.frame_height - 2 : y;
  const bool in_red_column = (x & 1) == (frame.layout & 1), in_red_line = (y & 1) == (frame.layout >> 1 & 1);
  const int own = sample(frame, x, y);
  const int beside = sample(frame, x - 1, y) + sample(frame, x + 1, y);
  const int above = sample(frame, x, y - 1) + sample(frame, x, y + 1);
  if (in_red_column != in_red_line) {
    const int along = (beside + 1) >> 1, across = (above + 1) >> 1;
    return in_red_line ? Colour{across, own, along} : Colour{along, own, across};
  }
  const int corners = sample(frame, x - 1, y - 1) + sample(frame, x + 1, y - 1) + sample(frame, x - 1, y + 1) +
                      sample(frame, x + 1, y + 1);
  const int green = (beside + above + 2) >> 2, other = (corners + 2) >> 2;
  return in_red_line ? Colour{other, green, own} : Colour{own, green, other};
}

__device__ static Colour colour(const Frame &frame, int x, int y) {
  if (frame.layout & MOSAIC) return of_mosaic(frame, x, y);
  if (frame.layout == GREY) {
    const int grey = sample(frame, x, y);
    return Colour{grey, grey, grey};
  }
  const long long at = (long long)(y - frame.piece_top) * frame.piece_width + (x - frame.piece_left);
  const unsigned char *pixel = frame.pixels + at * 3;
  return frame.layout == BGR ? Colour{pixel[0], pixel[1], pixel[2]} : Colour{pixel[2], pixel[1], pixel[0]};
}

__device__ static unsigned char rounded(unsigned long long sum, unsigned long long whole) {
  return (unsigned char)((sum + whole / 2) / whole);
}

extern "C" __global__ void fit_frame(Frame frame) {
  const int column = blockIdx.x * blockDim.x + threadIdx.x, line = blockIdx.y * blockDim.y + threadIdx.y;
  if (column >= frame.row_width || line >= frame.row_height) return;
  const bool is_area = frame.width >= frame.row_width && frame.height >= frame.row_height;
  const Span across = span_of(column, frame.width, frame.row_width, is_area);
  const Span down = span_of(line, frame.height, frame.row_height, is_area);
  unsigned long long blue = 0, green = 0, red = 0;
  for (int y = down.first; y <= down.last; y++) {
    long long line_blue = 0, line_green = 0, line_red = 0;
    for (int x = across.first; x <= across.last; x++) {
      const Colour pixel = colour(frame, frame.left + x, frame.top + y);
      const int share = weight(across, x);
      line_blue += share * pixel.blue;
      line_green += share * pixel.green;
      line_red += share * pixel.red;
    }
    const int share = weight(down, y);
    blue += share * line_blue;
    green += share * line_green;
    red += share * line_red;
  }
  const unsigned long long whole = (unsigned long long)across.whole * down.whole;
  unsigned char *pixel = frame.row + ((long long)line * frame.row_width + column) * 3;
  pixel[0] = rounded(blue, whole);
  pixel[1] = rounded(green, whole);
  pixel[2] = rounded(red, whole);
}
