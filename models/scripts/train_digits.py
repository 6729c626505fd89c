"""Train and export models/digits: a small residual CNN for 28x28 grey digits. About five minutes on two cores."""
import torch
from torch import nn

from common import MODELS, accuracy, export, seed_everything, train, write_dataset
from digits_data import make_set

SCALE = 1 / 255


def conv_bn(cin, cout, kernel, groups=1, act=nn.ReLU):
    """Conv, batch norm, activation: the block everyone writes."""
    layers = [nn.Conv2d(cin, cout, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(cout)]
    return nn.Sequential(*layers, *([act()] if act else []))


class Residual(nn.Module):
    """Two 3x3 convolutions and a shortcut, projected where the width changes."""

    def __init__(self, cin, cout):
        super().__init__()
        self.body = nn.Sequential(conv_bn(cin, cout, 3), conv_bn(cout, cout, 3, act=None))
        self.shortcut = conv_bn(cin, cout, 1, act=None) if cin != cout else nn.Identity()

    def forward(self, x):
        return torch.relu(self.body(x) + self.shortcut(x))


class DigitNet(nn.Module):
    """Stem, residual, depthwise-separable, residual; pooled to 3x3; a two-layer head."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            conv_bn(1, 16, 3), nn.MaxPool2d(2),
            Residual(16, 32), nn.MaxPool2d(2),
            conv_bn(32, 32, 3, groups=32, act=nn.ReLU6), conv_bn(32, 64, 1, act=nn.ReLU6),
            Residual(64, 64), nn.MaxPool2d(2),
        )
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * 9, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 10)
        )

    def forward(self, image):
        return self.head(self.features(image))


def to_float(image):
    """The preprocessing that dataset.json describes."""
    return (image.float() * SCALE,)


def main():
    seed_everything(7)
    x, y = make_set(24000, seed=1)
    x_more, y_more = make_set(4000, seed=2)
    x_test, y_test = make_set(500, seed=3)
    x_calib, _ = make_set(80, seed=4)
    model = DigitNet()
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters")
    train(model, (torch.from_numpy(x),), torch.from_numpy(y), epochs=10, batch=64, rate=4e-3, prepare=to_float,
          smoothing=0.05)
    for name, a, b in (("train (first 4000)", x[:4000], y[:4000]), ("held out (4000)", x_more, y_more),
                       ("evaluation set (500)", x_test, y_test)):
        print(f"{name}: {accuracy(model, (torch.from_numpy(a),), torch.from_numpy(b), to_float):.4f}")

    # PRESERVE keeps batch normalization as a node of its own, as in most exports one meets in the wild.
    export(model, torch.zeros(1, 1, 28, 28), MODELS / "digits/model.onnx", 13, training=torch.onnx.TrainingMode.PRESERVE,
           input_names=["image"], output_names=["logits"], dynamic_axes={"image": {0: "batch"}, "logits": {0: "batch"}})
    write_dataset(MODELS / "digits/eval", {
        "schema": "mlpack.dataset/1",
        "name": "digits",
        "description": "500 handwritten-looking digits, 28x28 grey, drawn by models/scripts/digits_data.py",
        "license": "Apache-2.0",
        "inputs": {"image": {"file": "x_test.npy", "calibration": "x_calib.npy", "dtype": "float32",
                             "scale": SCALE, "bias": 0}},
        "labels": {"file": "y_test.npy", "names": [str(d) for d in range(10)]},
        "output": "logits",
        "metric": "top1",
        "batch": 32,
        "samples": 500,
    }, {"x_test.npy": x_test, "y_test.npy": y_test, "x_calib.npy": x_calib})


if __name__ == "__main__":
    main()
