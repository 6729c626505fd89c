"""Rows of a Spark table through the batch program, one process for each partition: spark-submit --archives bundle.zip#bundle deploy/spark_batch.py IN OUT"""

import json
import subprocess
import sys

from pyspark.sql import SparkSession


def predict(rows):
    rows = list(rows)
    lines = "\n".join(json.dumps(row.asDict(recursive=True), default=str) for row in rows)
    done = subprocess.run(["node", "bundle/run-batch.mjs", "-"], input=lines, capture_output=True, text=True, check=True)
    for row, line in zip(rows, done.stdout.split("\n")[:-1], strict=True):
        yield json.dumps({**row.asDict(recursive=True), "prediction": json.loads(line)}, default=str)


if __name__ == "__main__":
    source, target = sys.argv[1:3]
    spark = SparkSession.builder.getOrCreate()
    spark.read.parquet(source).rdd.mapPartitions(predict).saveAsTextFile(target)
