/**
 * The inner loops of convolutions and products: `rows` outputs of 16 neighbouring pixels, kept in registers while all inputs pass by.
 *
 *   y[r][0..16) = first ? bias[r] : y[r][..]  +  Σ over c, i, j of  w[r][c][i][j] · b[c·cs + i·ks + at[j] + 0..16)
 *
 * One body serves AVX-512 (8 rows × 1 register), AVX (4 × 2), SSE and NEON (4 × 4) and plain C (4 × an array): it is written out
 * for each, since compilers keep an array of accumulators in memory.
 */

interface Shape {
  readonly rows: number;
  readonly vectors: number;
}

const floatParameters =
  'const f32* w, int lda, int wc, const f32* b, int channels, int cs, int height, int ks, int width, const int* at, f32* y, int ldy, int cols, const f32* bias, int first, f32 lo, f32 hi';

function floatTile(name: string, { rows, vectors }: Shape): string {
  const rs = Array.from({ length: rows }, (_, r) => r);
  const vs = Array.from({ length: vectors }, (_, v) => v);
  const each = (make: (r: number, v: number) => string): string =>
    rs.flatMap((r) => vs.map((v) => make(r, v))).join(' ');
  return `static void ${name}(${floatParameters}) {
  f32 edge[${rows}][16];
  ${each((r, v) => `vf a${r}${v};`)}
  if (first) { ${rs.map((r) => `{ const f32 start = bias ? bias[${r}] : 0.0f; ${vs.map((v) => `a${r}${v} = (vf){0} + start;`).join(' ')} }`).join(' ')} }
  else {
    if (cols < 16) for (int r = 0; r < ${rows}; ++r) for (int t = 0; t < 16; ++t) edge[r][t] = t < cols ? y[r * ldy + t] : 0.0f;
    const f32* from = cols < 16 ? &edge[0][0] : y;
    const int step = cols < 16 ? 16 : ldy;
    ${each((r, v) => `a${r}${v} = *(const vf*)(from + ${r} * step + ${v} * MODEL_LANES);`)}
  }
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < height; ++i) {
      const f32* row = b + c * cs + i * ks;
      const f32* k = w + c * wc + i * width;
      for (int j = 0; j < width; ++j) {
        const f32* p = row + at[j];
        ${vs.map((v) => `const vf x${v} = *(const vf*)(p + ${v} * MODEL_LANES);`).join(' ')}
        ${rs.map((r) => `{ const f32 f = k[${r} * lda + j]; ${vs.map((v) => `a${r}${v} += x${v} * f;`).join(' ')} }`).join('\n        ')}
      }
    }
  }
  f32* to = cols < 16 ? &edge[0][0] : y;
  const int step = cols < 16 ? 16 : ldy;
  const vf low = (vf){0} + lo, high = (vf){0} + hi;
  ${each((r, v) => `a${r}${v} = limit(a${r}${v}, low, high); *(vf*)(to + ${r} * step + ${v} * MODEL_LANES) = a${r}${v};`)}
  if (cols < 16) for (int r = 0; r < ${rows}; ++r) for (int t = 0; t < cols; ++t) y[r * ldy + t] = edge[r][t];
}
`;
}

function plainTile(name: string, rows: number): string {
  return `static void ${name}(${floatParameters}) {
  f32 a[${rows}][16];
  for (int r = 0; r < ${rows}; ++r) for (int t = 0; t < 16; ++t) a[r][t] = first ? (bias ? bias[r] : 0.0f) : (t < cols ? y[r * ldy + t] : 0.0f);
  for (int c = 0; c < channels; ++c) for (int i = 0; i < height; ++i) for (int j = 0; j < width; ++j) {
    const f32* p = b + c * cs + i * ks + at[j];
    const f32* k = w + c * wc + i * width + j;
    for (int r = 0; r < ${rows}; ++r) for (int t = 0; t < 16; ++t) a[r][t] += k[r * lda] * p[t];
  }
  for (int r = 0; r < ${rows}; ++r) for (int t = 0; t < cols; ++t) y[r * ldy + t] = clampf(a[r][t], lo, hi);
}
`;
}

/** `a ? b : c` on vectors is C++ and new GNU C only; masks work everywhere. */
const limit = `static inline vf limit(vf v, vf low, vf high) {
  vi below = v < low, above = v > high;
  vi bits = ((vi)v & ~(below | above)) | ((vi)low & below) | ((vi)high & above);
  return (vf)bits;
}
`;

/** Pointers move on instead of being multiplied out: compilers else warn of overflow that no extent reaches. */
const runTiles = `static void tiles(int rows, ${floatParameters}) {
  for (; rows >= TILE_ROWS; rows -= TILE_ROWS, w += TILE_ROWS * lda, y += TILE_ROWS * ldy) {
    tile(w, lda, wc, b, channels, cs, height, ks, width, at, y, ldy, cols, bias, first, lo, hi);
    if (bias) bias += TILE_ROWS;
  }
  for (; rows > 0; --rows, w += lda, y += ldy) {
    tile1(w, lda, wc, b, channels, cs, height, ks, width, at, y, ldy, cols, bias, first, lo, hi);
    if (bias) ++bias;
  }
}
`;

export const floatTiles = `#if MODEL_LANES > 0
${limit}#endif
#if MODEL_LANES == 16
#define TILE_ROWS 8
${floatTile('tile', { rows: 8, vectors: 1 })}${floatTile('tile1', { rows: 1, vectors: 1 })}#elif MODEL_LANES == 8
#define TILE_ROWS 4
${floatTile('tile', { rows: 4, vectors: 2 })}${floatTile('tile1', { rows: 1, vectors: 2 })}#elif MODEL_LANES == 4
#define TILE_ROWS 4
${floatTile('tile', { rows: 4, vectors: 4 })}${floatTile('tile1', { rows: 1, vectors: 4 })}#else
#define TILE_ROWS 4
${plainTile('tile', 4)}${plainTile('tile1', 1)}#endif
${runTiles}`;

/** What integer convolutions do with a sum: give a real number, or an 8-bit one again. */
const requantize = `static inline i32 requantize(i32 sum, f32 factor, i32 zero, i32 lo, i32 hi) {
  return clampi(nearest((f32)sum * factor) + zero, lo, hi);
}
`;

const intParameters =
  'const i8* w, int lda, int wc, const i16* b, int channels, int cs, int height, int ks, int width, const int* at, i32* y, int cols';

function intTile(name: string, { rows, vectors }: Shape): string {
  const rs = Array.from({ length: rows }, (_, r) => r);
  const vs = Array.from({ length: vectors }, (_, v) => v);
  const each = (make: (r: number, v: number) => string): string =>
    rs.flatMap((r) => vs.map((v) => make(r, v))).join(' ');
  return `static void ${name}(${intParameters}) {
  ${each((r, v) => `vi a${r}${v} = (vi){0};`)}
  (void)cols;
  for (int c = 0; c < channels; ++c) {
    for (int i = 0; i < height; ++i) {
      const i16* row = b + c * cs + i * ks;
      const i8* k = w + c * wc + i * width;
      for (int j = 0; j < width; ++j) {
        const i16* p = row + at[j];
        ${vs.map((v) => `const vi x${v} = __builtin_convertvector(*(const vs*)(p + ${v} * MODEL_LANES), vi);`).join(' ')}
        ${rs.map((r) => `{ const i32 f = k[${r} * lda + j]; ${vs.map((v) => `a${r}${v} += x${v} * f;`).join(' ')} }`).join('\n        ')}
      }
    }
  }
  ${each((r, v) => `*(vi*)(y + ${r} * 16 + ${v} * MODEL_LANES) = a${r}${v};`)}
}
`;
}

function plainIntTile(name: string, rows: number): string {
  return `static void ${name}(${intParameters}) {
  for (int r = 0; r < ${rows}; ++r) for (int t = 0; t < 16; ++t) y[r * 16 + t] = 0;
  for (int c = 0; c < channels; ++c) for (int i = 0; i < height; ++i) for (int j = 0; j < width; ++j) {
    const i16* p = b + c * cs + i * ks + at[j];
    const i8* k = w + c * wc + i * width + j;
    for (int r = 0; r < ${rows}; ++r) for (int t = 0; t < cols; ++t) y[r * 16 + t] += (i32)k[r * lda] * (i32)p[t];
  }
}
`;
}

export const intTiles = `${requantize}#if MODEL_LANES == 16
#define INT_ROWS 8
${intTile('int_tile', { rows: 8, vectors: 1 })}${intTile('int_tile1', { rows: 1, vectors: 1 })}#elif MODEL_LANES == 8
#define INT_ROWS 4
${intTile('int_tile', { rows: 4, vectors: 2 })}${intTile('int_tile1', { rows: 1, vectors: 2 })}#elif MODEL_LANES == 4
#define INT_ROWS 2
${intTile('int_tile', { rows: 2, vectors: 4 })}${intTile('int_tile1', { rows: 1, vectors: 4 })}#else
#define INT_ROWS 4
${plainIntTile('int_tile', 4)}${plainIntTile('int_tile1', 1)}#endif
`;
