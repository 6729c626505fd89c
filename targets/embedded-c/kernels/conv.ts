/**
 * Convolution over lines: the input rows under one row of outputs are copied beside each other with their padding, one line for
 * each remainder of the stride, so that the tiles read 16 neighbours whatever stride and padding are. `block` channels at a time, so that
 * the lines stay small.
 *
 * Line of channel c, kernel row i, remainder m:  lines[((c·KH + i)·S + m)·pitch + t] = x[c][iy][t·S + m − left]
 */
export const convLines = `typedef struct {
  int channels, height, width;          /* of one group */
  int outputs, out_height, out_width;   /* of one group */
  int kh, kw, sh, sw, dh, dw, top, left;
  int groups, block, pitch;
} conv_shape;

static void conv(const f32* x, const f32* w, const f32* bias, f32* y, f32* lines, const conv_shape* s, f32 lo, f32 hi) {
  const int depth = s->channels * s->kh * s->kw, plane = s->out_height * s->out_width;
  int at[CONV_WIDTH];
  for (int j = 0; j < s->kw; ++j) at[j] = (j * s->dw % s->sw) * s->pitch + j * s->dw / s->sw;
  for (int g = 0; g < s->groups; ++g) {
    const f32* gx = x + g * s->channels * s->height * s->width;
    const f32* gw = w + g * s->outputs * depth;
    f32* gy = y + g * s->outputs * plane;
    for (int oy = 0; oy < s->out_height; ++oy) {
      for (int c0 = 0; c0 < s->channels; c0 += s->block) {
        const int blocks = s->channels - c0 < s->block ? s->channels - c0 : s->block;
        f32* line = lines;
        for (int c = c0; c < c0 + blocks; ++c) for (int i = 0; i < s->kh; ++i) {
          const int iy = oy * s->sh - s->top + i * s->dh;
          const f32* row = gx + (c * s->height + iy) * s->width;
          for (int m = 0; m < s->sw; ++m, line += s->pitch) {
            if (iy < 0 || iy >= s->height) { for (int t = 0; t < s->pitch; ++t) line[t] = 0.0f; continue; }
            const int before = s->left > m ? (s->left - m + s->sw - 1) / s->sw : 0;
            int end = (s->width + s->left - m + s->sw - 1) / s->sw;
            if (end > s->pitch) end = s->pitch;
            int t = 0;
            for (; t < before && t < s->pitch; ++t) line[t] = 0.0f;
            if (s->sw == 1) for (; t < end; ++t) line[t] = row[t - s->left];
            else for (; t < end; ++t) line[t] = row[t * s->sw + m - s->left];
            for (; t < s->pitch; ++t) line[t] = 0.0f;
          }
        }
        for (int ox = 0; ox < s->out_width; ox += 16) {
          /* The last tile overlaps the one before, where nothing is added up twice by it. */
          if (ox + 16 > s->out_width && s->out_width >= 16 && s->block >= s->channels) ox = s->out_width - 16;
          const int cols = s->out_width - ox < 16 ? s->out_width - ox : 16;
          tiles(s->outputs, gw + c0 * s->kh * s->kw, depth, s->kh * s->kw, lines + ox, blocks, s->kh * s->sw * s->pitch, s->kh, s->sw * s->pitch,
            s->kw, at, gy + oy * s->out_width + ox, plane, cols, bias ? bias + g * s->outputs : 0, c0 == 0,
            c0 + blocks < s->channels ? -INFINITY : lo, c0 + blocks < s->channels ? INFINITY : hi);
        }
      }
    }
  }
}
`;

/** Product with a matrix whose columns lie side by side: 1×1 convolutions, Gemm and MatMul. `n` is at least 16: the last tile overlaps. */
export const product = `static void product(const f32* a, int m, int k, const f32* b, int n, f32* y, const f32* bias, f32 lo, f32 hi) {
  const int at[1] = {0};
  for (int x = 0; x < n; x += 16) {
    if (x + 16 > n) x = n - 16;
    tiles(m, a, k, 1, b + x, k, n, 1, 0, 1, at, y + x, n, 16, bias, 1, lo, hi);
  }
}
`;

/** Dot products of a row with rows: vectors times matrices, and products with fewer than 16 columns. */
export const dot = `static f32 dot(const f32* a, const f32* b, int n) {
  int i = 0;
  f32 sum = 0.0f;
#if MODEL_LANES > 0
  vf s0 = (vf){0}, s1 = (vf){0}, s2 = (vf){0}, s3 = (vf){0};
  for (; i + 4 * MODEL_LANES <= n; i += 4 * MODEL_LANES) {
    s0 += *(const vf*)(a + i) * *(const vf*)(b + i);
    s1 += *(const vf*)(a + i + MODEL_LANES) * *(const vf*)(b + i + MODEL_LANES);
    s2 += *(const vf*)(a + i + 2 * MODEL_LANES) * *(const vf*)(b + i + 2 * MODEL_LANES);
    s3 += *(const vf*)(a + i + 3 * MODEL_LANES) * *(const vf*)(b + i + 3 * MODEL_LANES);
  }
  for (; i + MODEL_LANES <= n; i += MODEL_LANES) s0 += *(const vf*)(a + i) * *(const vf*)(b + i);
  s0 = (s0 + s1) + (s2 + s3);
  for (int t = 0; t < MODEL_LANES; ++t) sum += s0[t];
#endif
  for (; i < n; ++i) sum += a[i] * b[i];
  return sum;
}
`;

/** y[m][n] = bias + a[m][k] · b[n][k]ᵀ, both with neighbouring k. */
export const rowsByRows = `static void rows_by_rows(const f32* a, int m, const f32* b, int n, int k, f32* y, const f32* bias, int bias_rows, f32 lo, f32 hi) {
  for (int i = 0; i < m; ++i) for (int j = 0; j < n; ++j)
    y[i * n + j] = clampf(dot(a + i * k, b + j * k, k) + (bias ? bias[bias_rows ? i : j] : 0.0f), lo, hi);
}
`;

/** y[m][n] = a[m][k] · b[k][n] where n is small. */
export const smallProduct = `static void small_product(const f32* a, int m, int k, const f32* b, int n, f32* y, const f32* bias, f32 lo, f32 hi) {
  for (int i = 0; i < m; ++i) for (int j = 0; j < n; ++j) {
    f32 sum = bias ? bias[i] : 0.0f;
    for (int c = 0; c < k; ++c) sum += a[i * k + c] * b[c * n + j];
    y[i * n + j] = clampf(sum, lo, hi);
  }
}
`;

/** Convolution of 8-bit numbers: the lines hold x − zero point in 16 bits (so that padding is 0), sums are whole numbers. */
export const intConv = (
  type: 'i8' | 'u8',
  out: 'i8' | 'u8' | 'f32',
): string => `static void conv_${type}_${out}(const ${type}* x, const i8* w, const i32* bias, const f32* factor, ${out}* y, i16* lines, const conv_shape* s, int x_zero, int w_zero, int y_zero, ${out === 'f32' ? 'f32' : 'int'} lo, ${out === 'f32' ? 'f32' : 'int'} hi) {
  const int depth = s->channels * s->kh * s->kw, plane = s->out_height * s->out_width;
  int at[CONV_WIDTH];
  i32 sum[INT_ROWS * 16], patch[16];
  ${out === 'f32' ? '(void)y_zero;' : ''}
  for (int j = 0; j < s->kw; ++j) at[j] = (j * s->dw % s->sw) * s->pitch + j * s->dw / s->sw;
  for (int g = 0; g < s->groups; ++g) {
    const ${type}* gx = x + g * s->channels * s->height * s->width;
    for (int oy = 0; oy < s->out_height; ++oy) {
      i16* line = lines;
      for (int c = 0; c < s->channels; ++c) for (int i = 0; i < s->kh; ++i) {
        const int iy = oy * s->sh - s->top + i * s->dh;
        const ${type}* row = gx + (c * s->height + iy) * s->width;
        for (int m = 0; m < s->sw; ++m, line += s->pitch)
          for (int t = 0; t < s->pitch; ++t) {
            const int ix = t * s->sw + m - s->left;
            line[t] = (i16)(iy >= 0 && iy < s->height && ix >= 0 && ix < s->width ? row[ix] - x_zero : 0);
          }
      }
      for (int ox = 0; ox < s->out_width; ox += 16) {
        const int cols = s->out_width - ox < 16 ? s->out_width - ox : 16;
        if (w_zero != 0) {
          for (int t = 0; t < 16; ++t) patch[t] = 0;
          for (int r = 0; r < s->channels * s->kh; ++r) for (int j = 0; j < s->kw; ++j)
            for (int t = 0; t < 16; ++t) patch[t] += lines[r * s->sw * s->pitch + at[j] + ox + t];
        }
        for (int r = 0; r < s->outputs;) {
          const int o = g * s->outputs + r, rows = r + INT_ROWS <= s->outputs ? INT_ROWS : 1;
          (rows == 1 ? int_tile1 : int_tile)(w + o * depth, depth, s->kh * s->kw, lines + ox, s->channels, s->kh * s->sw * s->pitch, s->kh, s->sw * s->pitch, s->kw, at, sum, cols);
          for (int q = 0; q < rows; ++q) for (int t = 0; t < cols; ++t) {
            const i32 total = sum[q * 16 + t] + bias[o + q] - (w_zero != 0 ? w_zero * patch[t] : 0);
            y[(o + q) * plane + oy * s->out_width + ox + t] = ${out === 'f32' ? 'clampf((f32)total * factor[o + q], lo, hi)' : `(${out})requantize(total, factor[o + q], y_zero, lo, hi)`};
          }
          r += rows;
        }
      }
    }
  }
}
`;
