"""Train and export models/intents: a two-layer transformer in DistilBERT's layout. About four minutes on two cores."""
import json
import math

import numpy as np
import torch
from torch import nn

from common import MODELS, accuracy, export, seed_everything, train, write_dataset
from intents_data import NAMES, encode, learn_vocab, make_set

LENGTH = 32
CONFIG = {"vocab_size": 640, "max_position_embeddings": LENGTH, "dim": 64, "hidden_dim": 256, "n_heads": 4, "n_layers": 2,
          "activation": "gelu", "dropout": 0.1, "attention_dropout": 0.1, "seq_classif_dropout": 0.2}


class Embeddings(nn.Module):
    """Word and position embeddings, normalized."""

    def __init__(self, c):
        super().__init__()
        self.word_embeddings = nn.Embedding(c["vocab_size"], c["dim"], padding_idx=0)
        self.position_embeddings = nn.Embedding(c["max_position_embeddings"], c["dim"])
        self.LayerNorm = nn.LayerNorm(c["dim"], eps=1e-12)
        self.dropout = nn.Dropout(c["dropout"])
        self.register_buffer("position_ids", torch.arange(c["max_position_embeddings"])[None], persistent=False)

    def forward(self, input_ids):
        position_ids = self.position_ids[:, : input_ids.size(1)]
        return self.dropout(self.LayerNorm(self.word_embeddings(input_ids) + self.position_embeddings(position_ids)))


class Attention(nn.Module):
    """Multi-head self-attention, written out."""

    def __init__(self, c):
        super().__init__()
        self.n_heads, self.head_dim = c["n_heads"], c["dim"] // c["n_heads"]
        self.q_lin, self.k_lin, self.v_lin, self.out_lin = (nn.Linear(c["dim"], c["dim"]) for _ in range(4))
        self.dropout = nn.Dropout(c["attention_dropout"])

    def heads(self, x):
        return x.view(x.size(0), -1, self.n_heads, self.head_dim).transpose(1, 2)

    def forward(self, x, mask):
        q, k, v = self.heads(self.q_lin(x)), self.heads(self.k_lin(x)), self.heads(self.v_lin(x))
        scores = torch.matmul(q, k.transpose(-1, -2)) / math.sqrt(self.head_dim) + mask
        context = torch.matmul(self.dropout(scores.softmax(-1)), v).transpose(1, 2).contiguous()
        return self.out_lin(context.view(context.size(0), -1, self.n_heads * self.head_dim))


class Layer(nn.Module):
    """Attention and feed-forward, each followed by its residual sum and LayerNorm."""

    def __init__(self, c):
        super().__init__()
        self.attention = Attention(c)
        self.sa_layer_norm = nn.LayerNorm(c["dim"], eps=1e-12)
        self.ffn = nn.Sequential(nn.Linear(c["dim"], c["hidden_dim"]), nn.GELU(),
                                 nn.Linear(c["hidden_dim"], c["dim"]), nn.Dropout(c["dropout"]))
        self.output_layer_norm = nn.LayerNorm(c["dim"], eps=1e-12)

    def forward(self, x, mask):
        x = self.sa_layer_norm(self.attention(x, mask) + x)
        return self.output_layer_norm(self.ffn(x) + x)


class IntentNet(nn.Module):
    """Embeddings, layers, and a two-layer head on the first token."""

    def __init__(self, c, classes):
        super().__init__()
        self.embeddings = Embeddings(c)
        self.layer = nn.ModuleList(Layer(c) for _ in range(c["n_layers"]))
        self.pre_classifier = nn.Linear(c["dim"], c["dim"])
        self.dropout = nn.Dropout(c["seq_classif_dropout"])
        self.classifier = nn.Linear(c["dim"], classes)

    def forward(self, input_ids, attention_mask):
        mask = attention_mask[:, None, None, :].to(dtype=torch.float32)
        mask = (1.0 - mask) * torch.finfo(torch.float32).min
        x = self.embeddings(input_ids)
        for layer in self.layer:
            x = layer(x, mask)
        return self.classifier(self.dropout(torch.relu(self.pre_classifier(x[:, 0]))))


def trimmed(ids):
    """Without the padding that no row needs."""
    return ids[:, : int((ids != 0).sum(1).max())]


def with_mask(ids):
    """The feeds that dataset.json describes: trimmed ids and the mask derived from them."""
    ids = trimmed(ids)
    return ids, (ids != 0).long()


def write_tokenizer(folder, vocab):
    """tokenizer.json, tokenizer_config.json and config.json as Hugging Face tools read them."""
    special = [{"id": i, "content": vocab[i], "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True} for i in range(5)]
    wrap = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
            {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    pair = [{"Sequence": {"id": "B", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}]
    tokens = {t: {"id": t, "ids": [vocab.index(t)], "tokens": [t]} for t in ("[CLS]", "[SEP]")}
    files = {
        "tokenizer.json": {
            "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
            "normalizer": {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True,
                           "strip_accents": None, "lowercase": True},
            "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "TemplateProcessing", "single": wrap, "pair": wrap + pair,
                               "special_tokens": tokens},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 100, "vocab": {t: i for i, t in enumerate(vocab)}},
        },
        "tokenizer_config.json": {
            "tokenizer_class": "DistilBertTokenizer", "do_lower_case": True, "model_max_length": LENGTH,
            "model_input_names": ["input_ids", "attention_mask"], "clean_up_tokenization_spaces": True,
            "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "unk_token": "[UNK]",
            "mask_token": "[MASK]",
        },
        "config.json": {
            "architectures": ["DistilBertForSequenceClassification"], "model_type": "distilbert", **CONFIG,
            "pad_token_id": 0, "sinusoidal_pos_embds": False, "torch_dtype": "float32",
            "id2label": {str(i): n for i, n in enumerate(NAMES)}, "label2id": {n: i for i, n in enumerate(NAMES)},
        },
    }
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content, indent=1) + "\n")


def main():
    seed_everything(11)
    test = make_set(400, seed=3)
    calib = make_set(80, seed=4, avoid=test)
    more = make_set(4000, seed=2, avoid=test + calib)
    fit = make_set(16000, seed=1, avoid=test + calib + more)
    vocab = learn_vocab([t for t, _ in fit], CONFIG["vocab_size"])
    ids = {t: i for i, t in enumerate(vocab)}

    def arrays(rows):
        x = np.zeros((len(rows), LENGTH), np.int64)
        for i, (text, _) in enumerate(rows):
            tokens = encode(text, ids)
            x[i, : len(tokens)] = tokens if len(tokens) <= LENGTH else tokens[: LENGTH - 1] + [ids["[SEP]"]]
        return x, np.array([NAMES.index(n) for _, n in rows], np.int64)

    (x, y), (x_more, y_more), (x_test, y_test), (x_calib, _) = map(arrays, (fit, more, test, calib))
    print(f"longest {int((x_test != 0).sum(1).max())}, mean {(x_test != 0).sum(1).mean():.1f} tokens")
    model = IntentNet(CONFIG, len(NAMES))
    print(f"{sum(p.numel() for p in model.parameters()):,} parameters, {len(NAMES)} intents")
    train(model, (torch.from_numpy(x),), torch.from_numpy(y), epochs=16, batch=64, rate=2e-3, prepare=with_mask,
          smoothing=0.05)
    for name, a, b in (("train (first 4000)", x[:4000], y[:4000]), ("held out (4000)", x_more, y_more),
                       ("evaluation set (400)", x_test, y_test)):
        print(f"{name}: {accuracy(model, (torch.from_numpy(a),), torch.from_numpy(b), with_mask):.4f}")

    folder = MODELS / "intents"
    example = with_mask(torch.from_numpy(x_test[:2]))
    axes = {0: "batch", 1: "sequence"}
    export(model, example, folder / "onnx/model.onnx", 14, input_names=["input_ids", "attention_mask"],
           output_names=["logits"], dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}})
    write_tokenizer(folder, vocab)
    write_dataset(folder / "eval", {
        "schema": "mlpack.dataset/1",
        "name": "intents",
        "description": "400 requests to a home assistant, written by the grammar in models/scripts/intents_data.py",
        "license": "Apache-2.0",
        "inputs": {
            "input_ids": {"file": "ids_test.npy", "calibration": "ids_calib.npy", "dtype": "int64", "trim": {"pad": 0}},
            "attention_mask": {"from": "input_ids", "notEqual": 0, "dtype": "int64"},
        },
        "labels": {"file": "y_test.npy", "names": NAMES},
        "output": "logits",
        "metric": "top1",
        "batch": 32,
        "samples": 400,
    }, {"ids_test.npy": trimmed(x_test), "y_test.npy": y_test, "ids_calib.npy": trimmed(x_calib)})
    for name, rows in (("test.jsonl", test), ("calib.jsonl", calib)):
        lines = (json.dumps({"text": text, "label": label}) for text, label in rows)
        (folder / "eval" / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
