"""What both training scripts share: seeds, the training loop, the dataset folder, a check of the exported file."""
import json
import random
from pathlib import Path

import numpy as np
import torch

MODELS = Path(__file__).resolve().parent.parent


def seed_everything(seed):
    """Fix every random generator, and the thread count, which changes the order of sums."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    torch.set_num_threads(2)
    torch.use_deterministic_algorithms(True)


def train(model, inputs, labels, epochs, batch, rate, prepare=lambda *x: x, smoothing=0.0):
    """AdamW with a one-cycle learning rate; `inputs` is a tuple of tensors cut into the same batches."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.02)
    steps = epochs * (len(labels) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=smoothing)
    model.train()
    for epoch in range(epochs):
        order, total = torch.randperm(len(labels)), 0.0
        for i in range(0, len(labels) - batch + 1, batch):
            pick = order[i : i + batch]
            loss = criterion(model(*prepare(*(x[pick] for x in inputs))), labels[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * batch
        print(f"epoch {epoch + 1:2d}  loss {total / len(labels):.4f}", flush=True)
    model.eval()


@torch.no_grad()
def accuracy(model, inputs, labels, prepare=lambda *x: x, batch=250):
    """Share of right answers."""
    right = 0
    for i in range(0, len(labels), batch):
        cut = slice(i, i + batch)
        right += (model(*prepare(*(x[cut] for x in inputs))).argmax(1) == labels[cut]).sum().item()
    return right / len(labels)


def write_dataset(folder, description, arrays):
    """Write `dataset.json` and the .npy files beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / name, array)
    (folder / "dataset.json").write_text(json.dumps(description, indent=2) + "\n")


def export(model, example, path, opset, **options):
    """`torch.onnx.export`, the tracing exporter, as most people call it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(model, example, str(path), opset_version=opset, dynamo=False, **options)
    print(f"{path.name}: {path.stat().st_size:,} bytes")
