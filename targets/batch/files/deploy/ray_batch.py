"""Rows of a Ray dataset through the batch program, one process for each block: python deploy/ray_batch.py IN OUT, in the folder of the bundle"""

import json
import os
import subprocess
import sys

# Not named ray.py: that would be what "import ray" finds.
import ray

bundle = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def predict(block):
    rows = [dict(zip(block, values)) for values in zip(*(column.tolist() for column in block.values()))]
    lines = "\n".join(json.dumps(row, default=as_json) for row in rows)
    done = subprocess.run(["node", "run-batch.mjs", "-"], cwd=bundle, input=lines, capture_output=True, text=True, check=True)
    return {**block, "prediction": done.stdout.split("\n")[:-1]}


def as_json(value):
    """What json does not know: arrays in arrays, and dates and decimals as text."""
    return value.tolist() if hasattr(value, "tolist") else str(value)


if __name__ == "__main__":
    source, target = sys.argv[1:3]
    ray.data.read_parquet(source).map_batches(predict, batch_format="numpy").write_parquet(target)
