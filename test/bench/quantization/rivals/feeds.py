"""Calibration samples as the benchmark wrote them: <folder>/<number>/<input>.npy."""
import os
import sys

import numpy as np


def read(folder):
    for number in sorted(os.listdir(folder), key=int):
        at = os.path.join(folder, number)
        yield {name[: -len(".npy")]: np.load(os.path.join(at, name)) for name in sorted(os.listdir(at))}


def options():
    """model, out, feeds and the key=value pairs of the command line."""
    model, out, feeds, *pairs = sys.argv[1:]
    return model, out, feeds, dict(pair.split("=", 1) for pair in pairs)
