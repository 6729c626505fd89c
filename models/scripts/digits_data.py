"""Handwritten-looking digits, drawn from scratch: no downloaded data anywhere.

Every digit has several ways of being written, each a list of pen strokes through a few control points in the
unit square (x to the right, y down). A sample jitters the points, bends and slants the whole, draws it with a pen of
uneven width, then adds what a camera adds: clutter, blur, weak contrast, uneven paper and noise.
Run this file to write a contact sheet:  python digits_data.py sheet.pgm
"""
import sys

import numpy as np

SIZE = 28


def arc(cx, cy, rx, ry, start, end, n=9):
    """Points of an elliptic arc; angles in degrees, clockwise on the screen, 0 = right."""
    t = np.radians(np.linspace(start, end, n))
    return [(cx + rx * np.cos(a), cy + ry * np.sin(a)) for a in t]


# (kind, points): 'c' is a smooth curve through the points, 'l' straight lines between them.
STYLES = {
    0: [
        [("c", arc(0.5, 0.5, 0.33, 0.46, -90, 270, 13))],
        [("c", arc(0.5, 0.5, 0.26, 0.46, -60, -430, 13))],
        [("c", arc(0.5, 0.5, 0.36, 0.42, -110, 235, 12))],
        [("c", arc(0.5, 0.5, 0.33, 0.46, -90, 270, 13)), ("l", [(0.72, 0.15), (0.28, 0.85)])],
    ],
    1: [
        [("l", [(0.5, 0.04), (0.5, 0.96)])],
        [("l", [(0.28, 0.28), (0.54, 0.04), (0.54, 0.96)])],
        [("l", [(0.3, 0.25), (0.52, 0.05), (0.52, 0.95)]), ("l", [(0.25, 0.95), (0.78, 0.95)])],
        [("c", [(0.58, 0.04), (0.52, 0.35), (0.48, 0.65), (0.47, 0.96)])],
        [("c", [(0.22, 0.4), (0.4, 0.24), (0.55, 0.04)]), ("l", [(0.55, 0.04), (0.52, 0.96)])],
    ],
    2: [
        [("c", [(0.2, 0.25), (0.33, 0.08), (0.58, 0.04), (0.78, 0.2), (0.72, 0.45), (0.45, 0.72), (0.18, 0.95)]),
         ("l", [(0.18, 0.95), (0.84, 0.94)])],
        [("c", [(0.22, 0.2), (0.45, 0.04), (0.75, 0.15), (0.72, 0.42), (0.42, 0.78), (0.2, 0.9), (0.16, 0.76),
                (0.34, 0.74), (0.55, 0.9), (0.86, 0.88)])],
        [("l", [(0.2, 0.08), (0.76, 0.08)]), ("c", [(0.76, 0.08), (0.68, 0.35), (0.4, 0.68), (0.16, 0.94)]),
         ("c", [(0.16, 0.94), (0.5, 0.9), (0.84, 0.95)])],
        [("c", [(0.16, 0.34), (0.22, 0.1), (0.55, 0.03), (0.8, 0.2), (0.66, 0.5), (0.3, 0.8), (0.2, 0.93),
                (0.5, 0.9), (0.84, 0.82)])],
    ],
    3: [
        [("c", [(0.2, 0.16), (0.45, 0.03), (0.75, 0.13), (0.72, 0.36), (0.42, 0.47)]),
         ("c", [(0.42, 0.47), (0.75, 0.54), (0.82, 0.78), (0.52, 0.97), (0.16, 0.84)])],
        [("l", [(0.2, 0.06), (0.78, 0.06), (0.46, 0.4)]),
         ("c", [(0.46, 0.4), (0.76, 0.48), (0.82, 0.74), (0.55, 0.96), (0.18, 0.86)])],
        [("c", [(0.22, 0.12), (0.56, 0.03), (0.76, 0.2), (0.6, 0.42), (0.44, 0.48), (0.52, 0.5), (0.78, 0.62),
                (0.72, 0.88), (0.44, 0.97), (0.2, 0.86)])],
        [("c", [(0.26, 0.22), (0.34, 0.06), (0.7, 0.05), (0.74, 0.3), (0.5, 0.44), (0.48, 0.52), (0.8, 0.6),
                (0.78, 0.9), (0.4, 0.98), (0.18, 0.78)])],
    ],
    4: [
        [("l", [(0.3, 0.06), (0.16, 0.56), (0.84, 0.56)]), ("l", [(0.66, 0.3), (0.64, 0.96)])],
        [("l", [(0.62, 0.96), (0.62, 0.04), (0.14, 0.64), (0.88, 0.64)])],
        [("c", [(0.24, 0.08), (0.2, 0.36), (0.34, 0.52), (0.58, 0.48), (0.72, 0.34)]),
         ("l", [(0.74, 0.06), (0.66, 0.96)])],
        [("l", [(0.22, 0.1), (0.22, 0.5), (0.76, 0.5)]), ("l", [(0.72, 0.08), (0.72, 0.96)])],
    ],
    5: [
        [("l", [(0.78, 0.06), (0.28, 0.06), (0.24, 0.44)]),
         ("c", [(0.24, 0.44), (0.5, 0.36), (0.8, 0.54), (0.74, 0.84), (0.46, 0.97), (0.18, 0.86)])],
        [("c", [(0.3, 0.06), (0.26, 0.4), (0.52, 0.38), (0.78, 0.58), (0.7, 0.88), (0.42, 0.96), (0.18, 0.82)]),
         ("l", [(0.3, 0.07), (0.8, 0.04)])],
        [("c", [(0.8, 0.1), (0.5, 0.04), (0.26, 0.18), (0.34, 0.4), (0.62, 0.52), (0.74, 0.74), (0.54, 0.95),
                (0.2, 0.88)])],
    ],
    6: [
        [("c", [(0.66, 0.05), (0.36, 0.3), (0.22, 0.62), (0.32, 0.92), (0.6, 0.95), (0.76, 0.72), (0.58, 0.52),
                (0.34, 0.6), (0.25, 0.74)])],
        [("l", [(0.52, 0.04), (0.3, 0.55)]), ("c", [(0.3, 0.55)] + arc(0.5, 0.73, 0.24, 0.22, 190, 530, 10))],
        [("c", [(0.76, 0.16), (0.58, 0.04), (0.32, 0.2), (0.2, 0.56), (0.3, 0.88), (0.56, 0.96), (0.78, 0.78),
                (0.7, 0.56), (0.46, 0.5), (0.24, 0.66)])],
    ],
    7: [
        [("l", [(0.16, 0.08), (0.82, 0.08), (0.4, 0.96)])],
        [("l", [(0.18, 0.08), (0.8, 0.08), (0.42, 0.96)]), ("l", [(0.34, 0.5), (0.78, 0.48)])],
        [("l", [(0.2, 0.24), (0.18, 0.08)]), ("c", [(0.18, 0.08), (0.5, 0.12), (0.82, 0.06)]),
         ("c", [(0.82, 0.06), (0.62, 0.38), (0.5, 0.66), (0.46, 0.96)])],
        [("c", [(0.16, 0.18), (0.36, 0.06), (0.6, 0.12), (0.78, 0.1)]),
         ("c", [(0.78, 0.1), (0.64, 0.46), (0.36, 0.94)])],
    ],
    8: [
        [("c", [(0.66, 0.12), (0.42, 0.04), (0.26, 0.22), (0.42, 0.42), (0.66, 0.56), (0.76, 0.78), (0.5, 0.96),
                (0.24, 0.78), (0.38, 0.54), (0.64, 0.38), (0.74, 0.2), (0.62, 0.08)])],
        [("c", arc(0.5, 0.27, 0.22, 0.22, 90, 450, 11)), ("c", arc(0.5, 0.73, 0.28, 0.24, -90, 270, 11))],
        [("c", [(0.76, 0.08), (0.4, 0.04), (0.24, 0.24), (0.5, 0.46), (0.74, 0.7), (0.58, 0.95), (0.3, 0.88),
                (0.3, 0.66), (0.6, 0.42), (0.8, 0.1)])],
    ],
    9: [
        [("c", arc(0.48, 0.29, 0.25, 0.24, -10, -370, 11)), ("l", [(0.74, 0.26), (0.66, 0.96)])],
        [("c", arc(0.48, 0.28, 0.26, 0.24, -20, -365, 11)),
         ("c", [(0.74, 0.28), (0.74, 0.62), (0.6, 0.9), (0.24, 0.92)])],
        [("c", [(0.74, 0.14), (0.46, 0.04), (0.22, 0.24), (0.34, 0.48), (0.6, 0.44), (0.74, 0.16), (0.74, 0.5),
                (0.56, 0.96)])],
        [("l", [(0.74, 0.08), (0.72, 0.96)]), ("c", [(0.73, 0.14), (0.4, 0.06), (0.22, 0.3), (0.4, 0.52), (0.72, 0.4)])],
    ],
}


def smooth(points, steps=7):
    """Catmull-Rom spline through the points."""
    p = np.concatenate([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None, None]
    a, b, c, d = p[:-3], p[1:-2], p[2:-1], p[3:]
    q = 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
    return np.concatenate([q.transpose(1, 0, 2).reshape(-1, 2), points[-1:]])


def warp(points, rng):
    """Bend the plane by a few slow waves in random directions."""
    out = points.copy()
    for _ in range(3):
        freq = rng.normal(0, 2.6, 2)
        out += rng.normal(0, 0.024, 2) * np.sin(points @ freq + rng.uniform(0, 2 * np.pi))[:, None]
    return out


def draw(image, points, width, ink, rng):
    """Draw one line through the points (pixel units) with a pen whose width wanders."""
    a, b = points[:-1], points[1:]
    d = b - a
    yy, xx = np.mgrid[0:SIZE, 0:SIZE].reshape(2, -1, 1).astype(np.float32)
    px, py = xx - a[:, 0], yy - a[:, 1]
    t = np.clip((px * d[:, 0] + py * d[:, 1]) / np.maximum((d * d).sum(1), 1e-6), 0, 1)
    distance = np.hypot(px - t * d[:, 0], py - t * d[:, 1])
    phase, speed = rng.uniform(0, 6.3), rng.uniform(0, 0.35)
    pen = width * (1 + 0.25 * np.sin(phase + speed * np.arange(len(a))))
    cover = np.clip(pen / 2 - distance + 0.5, 0, 1).max(1).reshape(SIZE, SIZE)
    np.maximum(image, ink * cover, out=image)


def digit_strokes(digit, rng):
    """The strokes of one digit in pixels: a style, jittered, bent, slanted, turned, scaled and placed."""
    style = STYLES[digit][rng.integers(len(STYLES[digit]))]
    loose = rng.gamma(2.0, 0.013)
    lines = []
    for kind, control in style:
        control = np.asarray(control, np.float32)
        control = control + rng.normal(0, loose, control.shape)
        fine = smooth(control) if kind == "c" else np.concatenate(
            [np.linspace(p, q, 6) for p, q in zip(control, control[1:])])
        lines.append(fine)
    sizes = np.cumsum([len(line) for line in lines])[:-1]
    points = warp(np.concatenate(lines), rng) - 0.5
    angle, slant = rng.normal(0, 0.14), rng.normal(0.1, 0.2)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.array([[c, -s], [s, c]]) @ np.array([[1, -slant], [0, 1]])
    points = points @ matrix.T * [rng.uniform(11, 20), rng.uniform(15, 23)]
    points += (SIZE - 1) / 2 + rng.normal(0, 1.3, 2)
    return np.split(points, sizes)


def blur(image, sigma):
    """Separable Gaussian blur, radius 2."""
    kernel = np.exp(-np.arange(-2, 3) ** 2 / (2 * sigma**2))
    kernel /= kernel.sum()
    for axis in (0, 1):
        padded = np.pad(image, [(2, 2) if i == axis else (0, 0) for i in (0, 1)])
        image = sum(k * np.take(padded, np.arange(i, i + SIZE), axis) for i, k in enumerate(kernel))
    return image


def background(rng):
    """Uneven paper with, sometimes, stray lines, a ruled line or the end of a neighbouring digit."""
    yy, xx = np.mgrid[0:SIZE, 0:SIZE] / SIZE - 0.5
    image = rng.uniform(0, 0.2) + rng.normal(0, 0.08) * xx + rng.normal(0, 0.08) * yy
    if rng.random() < 0.35:
        start, turn = rng.uniform(0, SIZE, 2), rng.uniform(0, 6.3)
        line = start + np.linspace(0, rng.uniform(4, 12), 5)[:, None] * [np.cos(turn), np.sin(turn)]
        draw(image, line, rng.uniform(0.6, 1.8), rng.uniform(0.25, 0.8), rng)
    if rng.random() < 0.15:
        y = rng.uniform(0, SIZE)
        draw(image, np.array([[-1, y], [SIZE, y + rng.normal(0, 1)]]), 0.8, rng.uniform(0.2, 0.5), rng)
    if rng.random() < 0.25:
        shift = np.array([rng.choice([-1, 1]) * rng.uniform(17, 22), rng.normal(0, 3)])
        for line in digit_strokes(int(rng.integers(10)), rng):
            draw(image, line + shift, rng.uniform(1.2, 2.6), rng.uniform(0.4, 0.9), rng)
    return image


def make_digit(digit, rng):
    """One 28x28 uint8 picture."""
    image = background(rng)
    width, ink = rng.uniform(1.1, 3.4), rng.uniform(0.5, 1.0)
    for line in digit_strokes(digit, rng):
        draw(image, line, width, ink, rng)
    if rng.random() < 0.12:  # a dropped pen or a scratch: part of the digit is missing
        cx, cy, r = *rng.uniform(4, 24, 2), rng.uniform(1.5, 3.5)
        yy, xx = np.mgrid[0:SIZE, 0:SIZE]
        image *= np.clip(np.hypot(xx - cx, yy - cy) - r, 0.15, 1)
    image = blur(image, rng.uniform(0.3, 1.0))
    image = image * rng.uniform(0.6, 1.05) + rng.normal(0, rng.uniform(0.01, 0.13), image.shape)
    return (np.clip(image, 0, 1) * 255).astype(np.uint8)


def make_set(count, seed):
    """`count` labelled pictures, classes balanced and shuffled: uint8 [N,1,28,28] and int64 [N]."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % 10)
    images = np.stack([make_digit(int(d), rng) for d in labels])
    return images[:, None], labels.astype(np.int64)


if __name__ == "__main__":
    pictures, _ = make_set(200, 1)
    sheet = pictures.reshape(10, 20, SIZE, SIZE).transpose(0, 2, 1, 3).reshape(10 * SIZE, 20 * SIZE)
    with open(sys.argv[1], "wb") as out:
        out.write(b"P5 %d %d 255\n" % sheet.shape[::-1] + sheet.tobytes())
