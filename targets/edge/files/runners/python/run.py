"""The recorded inputs through the model: python3 runners/python/run.py (needs onnxruntime and numpy)."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort

root = Path(__file__).resolve().parents[2]
manifest = json.loads((root / "mlpack.json").read_text(encoding="utf-8"))
session = ort.InferenceSession(root / "__MODEL__", providers=["CPUExecutionProvider"])


def read(tensor):
    if tensor["dtype"] == "string":
        sys.exit("string tensors are not read by this runner")
    data = np.fromfile(root / tensor["file"], dtype=tensor["dtype"])
    return data.reshape(tensor["shape"])


failed = False
for number, case in enumerate(manifest["golden"]):
    feeds = {tensor["name"]: read(tensor) for tensor in case["inputs"]}
    names = [tensor["name"] for tensor in case["outputs"]]
    for tensor, got in zip(case["outputs"], session.run(names, feeds)):
        want = read(tensor).astype(np.float64)
        finite = np.abs(want[np.isfinite(want)])
        scale = finite.max() if finite.size else 0.0
        tolerance = tensor.get("tolerance", case["tolerance"])
        allowed = tolerance["atol"] + tolerance["rtol"] * scale
        ok = got.shape == want.shape and np.allclose(got.astype(np.float64), want, rtol=0, atol=allowed, equal_nan=True)
        print(f"case {number}, {tensor['name']}: {'ok' if ok else 'differs'}")
        failed = failed or not ok
sys.exit(1 if failed else 0)
