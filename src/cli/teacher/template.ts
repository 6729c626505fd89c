import type { Manifest } from './manifest.ts';

/** What stands beside the shards: enough to begin with, meant to be changed. */
export const trainScript = `"""Trains a student on what mlpack export-teacher wrote, and exports it to ONNX.

    pip install torch safetensors onnx onnxscript        (and pyarrow, where the shards are Parquet)
    python train.py --epochs 20 --out student.onnx

Put your own network into student.py beside this file: build_student(manifest) -> torch.nn.Module. It is called with the inputs of the
teacher by name, and returns the outputs of the teacher in order (one tensor, or a tuple), or (outputs, {hidden name: tensor}).
Without student.py a small network is trained that only shows that everything fits together.
"""
import argparse
import importlib.util
import json
import pathlib

import torch
from torch import nn
from torch.nn import functional as F

here = pathlib.Path(__file__).resolve().parent


def batches(manifest, shards):
    """Yields (inputs, outputs, hidden, labels) as dictionaries of tensors, rows that only fill a batch left out."""
    read = parquet if manifest.get("format") == "parquet" else safetensors
    for shard in shards:
        for one in read(here / shard["file"]):
            for kind in ("outputs", "hidden"):
                for name, tensor in one.get(kind, {}).items():
                    if tensor.dtype == torch.float16:
                        one[kind][name] = tensor.float()
            yield one["inputs"], one["outputs"], one.get("hidden", {}), one.get("labels", {}).get("labels")


def safetensors(path):
    """The batches of a shard: tensors by kind and name."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        sizes = json.loads(file.metadata()["sizes"])
        rows = json.loads(file.metadata()["rows"])
        kinds = [{} for _ in sizes]
        for key in file.keys():
            number, kind, name = key.split(".", 2)
            tensor = file.get_tensor(key)
            size = sizes[int(number)]
            # What does not begin with the axis of samples (time first) stays as it is.
            if kind != "labels" and tensor.ndim > 0 and tensor.shape[0] == rows[int(number)] > size:
                tensor = tensor[:size]
            kinds[int(number)].setdefault(kind, {})[name] = tensor
    return kinds


def parquet(path):
    """The same from rows, one for each sample."""
    import pyarrow.parquet

    table = pyarrow.parquet.read_table(path)
    dtypes = json.loads(table.schema.metadata[b"dtypes"])
    rows = table.to_pylist()
    kinds = []
    for number in sorted({row["batch"] for row in rows}):
        own = [row for row in rows if row["batch"] == number]
        shapes = json.loads(own[0]["shapes"])
        one = {}
        for key, dtype in dtypes.items():
            kind, name = key.split(".", 1)
            flat = torch.frombuffer(bytearray(b"".join(row[key] for row in own)), dtype=getattr(torch, dtype))
            one.setdefault(kind, {})[name] = flat.reshape(len(own), *shapes[key])
        kinds.append(one)
    return kinds


class Example(nn.Module):
    """Token ids are embedded and averaged, floats flattened; two layers behind them."""

    def __init__(self, manifest, width=128, vocabulary=65536):
        super().__init__()
        first = next(batches(manifest, manifest["shards"]))
        self.names = [io["name"] for io in manifest["inputs"]]
        self.shapes = [first[1][io["name"]].shape[1:] for io in manifest["outputs"]]
        self.parts = nn.ModuleDict()
        total = 0
        for index, name in enumerate(self.names):
            x = first[0][name]
            if x.is_floating_point():
                self.parts[str(index)] = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), width))
            else:
                self.parts[str(index)] = nn.Embedding(vocabulary, width)
            total += width
        self.trunk = nn.Sequential(nn.GELU(), nn.Linear(total, width), nn.GELU())
        self.heads = nn.ModuleList(nn.Linear(width, shape.numel()) for shape in self.shapes)

    def forward(self, **inputs):
        parts = []
        for index, name in enumerate(self.names):
            x = self.parts[str(index)](inputs[name])
            while x.ndim > 2:
                x = x.mean(1)
            parts.append(x)
        x = self.trunk(torch.cat(parts, 1))
        return tuple(head(x).reshape(-1, *shape) for head, shape in zip(self.heads, self.shapes))


def load_student(manifest):
    path = here / "student.py"
    if not path.exists():
        return Example(manifest)
    spec = importlib.util.spec_from_file_location("student", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build_student(manifest)


def distance(student, teacher, temperature, kind):
    """Kullback-Leibler divergence of softened scores, or squared error for outputs that are no scores."""
    if kind == "mse" or not teacher.is_floating_point() or teacher.shape[-1] < 2:
        return F.mse_loss(student, teacher.to(student.dtype))
    scores = F.log_softmax(student.flatten(0, -2) / temperature, -1)
    wanted = F.log_softmax(teacher.flatten(0, -2) / temperature, -1)
    return F.kl_div(scores, wanted, log_target=True, reduction="batchmean") * temperature**2


class Named(nn.Module):
    """The student with inputs by position, for the exporter."""

    def __init__(self, student, names):
        super().__init__()
        self.student = student
        self.names = names

    def forward(self, *inputs):
        result = self.student(**dict(zip(self.names, inputs)))
        return result[0] if isinstance(result, tuple) and isinstance(result[-1], dict) else result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--temperature", type=float, default=2.0)
    parser.add_argument("--labels", type=float, default=0.0, help="weight of the true labels, where the data have them")
    parser.add_argument("--hidden", type=float, default=1.0, help="weight of hidden states that the student returns")
    parser.add_argument("--loss", choices=["kl", "mse"], default="kl")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="student.onnx")
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    manifest = json.loads((here / "teacher.json").read_text())
    if not manifest["complete"]:
        raise SystemExit("the export is not complete: run mlpack export-teacher again, it goes on where it stopped")
    names = [io["name"] for io in manifest["inputs"]]
    student = load_student(manifest)
    optimizer = torch.optim.AdamW(student.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        order = torch.randperm(len(manifest["shards"])).tolist()
        total = count = 0
        for inputs, outputs, hidden, labels in batches(manifest, [manifest["shards"][i] for i in order]):
            result = student(**inputs)
            own, states = result if isinstance(result, tuple) and isinstance(result[-1], dict) else (result, {})
            own = own if isinstance(own, tuple) else (own,)
            loss = sum(
                distance(mine, outputs[io["name"]], args.temperature, args.loss)
                for mine, io in zip(own, manifest["outputs"])
            )
            for name, state in states.items():
                loss = loss + args.hidden * F.mse_loss(state, hidden[name])
            if args.labels and labels is not None:
                loss = loss + args.labels * F.cross_entropy(own[0], labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
            count += 1
        print(f"epoch {epoch + 1}: loss {total / count:.4f}", flush=True)
    student.eval()
    example = next(batches(manifest, manifest["shards"]))[0]
    axes = {name: {0: "batch"} for name in names + [io["name"] for io in manifest["outputs"]]}
    torch.onnx.export(
        Named(student, names),
        tuple(example[name] for name in names),
        args.out,
        input_names=names,
        output_names=[io["name"] for io in manifest["outputs"]],
        dynamic_axes=axes,
        dynamo=False,
    )
    print(f"{args.out} written; next: mlpack compare {manifest['model']['path']} {args.out}")


main()
`;

const safetensorsText = `Each \`shard-*.safetensors\` holds batches: \`00000.inputs.NAME\`, \`00000.outputs.NAME\`, \`00000.hidden.NAME\` where inner values were asked for, and, where the data have them,
\`00000.labels.labels\`; \`sizes\` in its metadata says how many rows of each batch count, \`rows\` how many were fed.`;

const parquetText = `Each \`shard-*.parquet\` has a row for each sample: \`batch\`, \`shapes\` (JSON, by column) and binary columns \`inputs.NAME\`, \`outputs.NAME\`, \`hidden.NAME\` where inner values were asked for, and, where the data have them,
\`labels.labels\`: numbers as they lie in memory (\`numpy.frombuffer\`), of the types that \`dtypes\` in the file's metadata says.`;

export function readmeText({ model, data, shards, format }: Manifest): string {
  const samples = shards.reduce((sum, shard) => sum + shard.samples, 0);
  return `# What ${model.path} says of ${samples} samples

Written by \`mlpack export-teacher\` from the ${data.split} samples of ${data.name}, for training a smaller network (a student) on the outputs of this one.
${format === 'parquet' ? parquetText : safetensorsText} \`teacher.json\` says the rest.

\`\`\`
pip install torch ${format === 'parquet' ? 'pyarrow' : 'safetensors'} onnx onnxscript
python train.py --epochs 20 --out student.onnx      # your own network: student.py with build_student(manifest)
mlpack compare ${model.path} student.onnx -d DATA    # how near its outputs are
mlpack eval student.onnx -d DATA --base ${model.path} --max-drop 0.01    # the task metric against the teacher; exit 1 when it loses more
mlpack optimize ${model.path} -d DATA -o teacher-run && mlpack optimize student.onnx -d DATA -o student-run
mlpack gate student-run/report.json --baseline teacher-run/report.json
\`\`\`
`;
}
