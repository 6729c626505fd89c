"""Rows of a Ray dataset through the batch program, one process for each block: python deploy/ray.py IN OUT"""

import json
import subprocess
import sys

import ray


def predict(block):
    rows = [dict(zip(block, values)) for values in zip(*(column.tolist() for column in block.values()))]
    lines = "\n".join(json.dumps(row) for row in rows)
    done = subprocess.run(["node", "run-batch.mjs", "-"], input=lines, capture_output=True, text=True, check=True)
    return {**block, "prediction": done.stdout.splitlines()}


if __name__ == "__main__":
    source, target = sys.argv[1:3]
    ray.data.read_parquet(source).map_batches(predict, batch_format="numpy").write_parquet(target)
