"""Exports small models with random weights, as PyTorch's two exporters write them: the zoo of `npm run bench:fusion`.

    python test/bench/fusion-zoo.py OUT [name…]

Needs torch, transformers, onnx and onnxscript. Each model comes as <name>.ts.onnx (TorchScript exporter, opset 17) and
<name>.dy.onnx (dynamo exporter, opset 18; .dy23 with opset 23 where that differs); those that failed are listed at the end.
"""
import os, sys, traceback, warnings, logging
sys.modules['torchvision'] = None  # a broken or missing torchvision must not stop transformers
warnings.filterwarnings('ignore')
logging.disable(logging.WARNING)
import torch
from torch import nn
import transformers as tf
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

torch.manual_seed(0)
torch.set_num_threads(1)
torch.backends.mha.set_fastpath_enabled(False)  # one native operator that the TorchScript exporter does not know
H, L, A, V = 128, 2, 4, 500
ids = lambda b=2, s=8: torch.randint(3, V, (b, s))
mask = lambda b=2, s=8: torch.ones(b, s, dtype=torch.int64)
BS = {0: 'batch', 1: 'seq'}
B0 = {0: 'batch'}


class Wrap(nn.Module):
    """Keyword inputs by name, the named output."""
    def __init__(self, model, names, out, **fixed):
        super().__init__()
        self.model, self.names, self.out, self.fixed = model, names, out, fixed
    def forward(self, *args):
        result = self.model(**dict(zip(self.names, args)), **self.fixed)
        return result[self.out]


class WithCache(nn.Module):
    """A decoder: ids, mask, position ids, then past keys and values by layer; logits and presents out."""
    def __init__(self, model, positions=True):
        super().__init__()
        self.model, self.positions = model, positions
    def forward(self, input_ids, attention_mask, position_ids, *past):
        cache = DynamicCache()
        for i in range(0, len(past), 2):
            cache.update(past[i], past[i + 1], i // 2)
        more = {'position_ids': position_ids} if self.positions else {}
        out = self.model(input_ids=input_ids, attention_mask=attention_mask, past_key_values=cache, use_cache=True, **more)
        presents = []
        for layer in out.past_key_values.layers:
            presents += [layer.keys, layer.values]
        return (out.logits, *presents)


def encoder(cls, config, names=('input_ids', 'attention_mask'), out='last_hidden_state', **fixed):
    def make(impl):
        config._attn_implementation = impl
        model = Wrap(cls(config).eval(), names, out, **fixed)
        args = tuple(ids() if n != 'attention_mask' else mask() for n in names)
        if 'token_type_ids' in names:
            args = tuple(torch.zeros_like(a) if n == 'token_type_ids' else a for n, a in zip(names, args))
        return model, args, list(names), [out], {n: BS for n in names}
    return make


def vision(cls, config, out='last_hidden_state', size=32, channels=3):
    def make(impl):
        if impl: config._attn_implementation = impl
        return Wrap(cls(config).eval(), ['pixel_values'], out), (torch.randn(2, channels, size, size),), ['pixel_values'], [out], {'pixel_values': B0}
    return make


def decoder(cls, config, kv_heads, head, positions=True):
    def make(impl):
        config._attn_implementation = impl
        model = WithCache(cls(config).eval(), positions)
        layers = L
        past = [torch.randn(2, kv_heads, 5, head) for _ in range(2 * layers)]
        names = ['input_ids', 'attention_mask', 'position_ids'] + [f'past_{i}_{k}' for i in range(layers) for k in ('key', 'value')]
        outs = ['logits'] + [f'present_{i}_{k}' for i in range(layers) for k in ('key', 'value')]
        axes = {'input_ids': BS, 'attention_mask': {0: 'batch', 1: 'total'}, 'position_ids': BS}
        axes |= {n: {0: 'batch', 2: 'past'} for n in names[3:]}
        pos = torch.arange(5, 8).unsqueeze(0).repeat(2, 1)
        return model, (ids(2, 3), mask(2, 8), pos, *past), names, outs, axes
    return make


def crossing(model, encoder_hidden):
    """A decoder of an encoder-decoder model, without cache: ids and encoder states in."""
    def make(impl):
        full = model(impl)
        names = ['input_ids', 'encoder_hidden_states']
        return Wrap(full, names, 'last_hidden_state', use_cache=False), (ids(2, 6), torch.randn(2, *encoder_hidden)), names, ['last_hidden_state'], {'input_ids': BS, 'encoder_hidden_states': {0: 'batch', 1: 'frames'} if False else B0}
    return make


class Conformer(nn.Module):
    """One conformer block: half feed-forward, attention, gated depthwise convolution, half feed-forward."""
    def __init__(self, d=H):
        super().__init__()
        ff = lambda: nn.Sequential(nn.LayerNorm(d), nn.Linear(d, 4 * d), nn.SiLU(), nn.Linear(4 * d, d))
        self.a, self.b = ff(), ff()
        self.norm, self.attend = nn.LayerNorm(d), nn.MultiheadAttention(d, A, batch_first=True)
        self.cn, self.p1, self.dw, self.bn, self.p2 = nn.LayerNorm(d), nn.Conv1d(d, 2 * d, 1), nn.Conv1d(d, d, 7, padding=3, groups=d), nn.BatchNorm1d(d), nn.Conv1d(d, d, 1)
        self.out = nn.LayerNorm(d)
    def forward(self, x):
        x = x + 0.5 * self.a(x)
        y = self.norm(x)
        x = x + self.attend(y, y, y, need_weights=False)[0]
        y = self.cn(x).transpose(1, 2)
        y = self.p2(nn.functional.silu(self.bn(self.dw(nn.functional.glu(self.p1(y), dim=1)))))
        x = x + y.transpose(1, 2)
        return self.out(x + 0.5 * self.b(x))


class UNetBlock(nn.Module):
    """A residual block of a diffusion U-Net with spatial self attention."""
    def __init__(self, c=64):
        super().__init__()
        self.n1, self.c1, self.n2, self.c2 = nn.GroupNorm(8, c), nn.Conv2d(c, c, 3, padding=1), nn.GroupNorm(8, c), nn.Conv2d(c, c, 3, padding=1)
        self.n3, self.q, self.k, self.v, self.o = nn.GroupNorm(8, c), nn.Linear(c, c), nn.Linear(c, c), nn.Linear(c, c), nn.Linear(c, c)
    def forward(self, x):
        h = self.c2(nn.functional.silu(self.n2(self.c1(nn.functional.silu(self.n1(x))))))
        x = x + h
        b, c, hh, ww = x.shape
        t = self.n3(x).flatten(2).transpose(1, 2)
        split = lambda y: y.view(b, -1, 4, c // 4).transpose(1, 2)
        y = nn.functional.scaled_dot_product_attention(split(self.q(t)), split(self.k(t)), split(self.v(t)))
        return x + self.o(y.transpose(1, 2).reshape(b, -1, c)).transpose(1, 2).view(b, c, hh, ww)


class Activations(nn.Module):
    def __init__(self):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(8 if i else 3, 8, 3, padding=1) for i in range(7))
        self.norm = nn.InstanceNorm2d(8, affine=True)
    def forward(self, x):
        acts = [nn.Mish(), nn.Hardswish(), nn.SiLU(), nn.GELU(), nn.GELU('tanh'), lambda y: y * torch.sigmoid(1.702 * y), nn.Softplus()]
        for conv, act in zip(self.convs, acts):
            x = act(conv(x))
        return self.norm(x)


class Rms(nn.Module):
    """The forms in which people write root mean square norms and layer norms by hand."""
    def __init__(self, d=H):
        super().__init__()
        self.a, self.b, self.c, self.e = (nn.Parameter(torch.rand(d) + 0.5) for _ in range(4))
        self.lin = nn.Linear(d, d)
    def forward(self, x):
        y = self.a * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6))
        y = self.lin(y)
        y = y / torch.sqrt((y * y).mean(-1, keepdim=True) + 1e-5) * self.b
        y = self.lin(y)
        m = y.mean(-1, keepdim=True)
        y = (y - m) / torch.sqrt((y - m).pow(2).mean(-1, keepdim=True) + 1e-5) * self.c + self.e
        m = self.lin(y)
        y = m - m.mean(-1, keepdim=True)
        return y * torch.rsqrt(y.square().mean(-1, keepdim=True) + 1e-12)


class Excite(nn.Module):
    """Squeeze and excitation."""
    def __init__(self, c):
        super().__init__()
        self.a, self.b = nn.Conv2d(c, c // 4, 1), nn.Conv2d(c // 4, c, 1)
    def forward(self, x):
        return x * nn.functional.hardsigmoid(self.b(nn.functional.relu(self.a(nn.functional.adaptive_avg_pool2d(x, 1)))))


class Inverted(nn.Module):
    """An inverted residual of MobileNetV3: expand, depthwise, excite, project."""
    def __init__(self, c, wide, out, k, stride, act):
        super().__init__()
        conv = lambda a, b, k=1, **more: [nn.Conv2d(a, b, k, bias=False, **more), nn.BatchNorm2d(b)]
        self.steps = nn.Sequential(*conv(c, wide), act(), *conv(wide, wide, k, stride=stride, padding=k // 2, groups=wide), act(), Excite(wide), *conv(wide, out))
        self.residual = stride == 1 and c == out
    def forward(self, x):
        return x + self.steps(x) if self.residual else self.steps(x)


class MobileNetV3(nn.Module):
    def __init__(self):
        super().__init__()
        swish = nn.Hardswish
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(16), swish())
        self.blocks = nn.Sequential(Inverted(16, 32, 16, 3, 1, nn.ReLU), Inverted(16, 48, 24, 3, 2, nn.ReLU), Inverted(24, 96, 24, 5, 1, swish), Inverted(24, 96, 40, 5, 2, swish), Inverted(40, 160, 40, 5, 1, swish))
        self.head = nn.Sequential(nn.Conv2d(40, 160, 1, bias=False), nn.BatchNorm2d(160), swish(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(160, 128), swish(), nn.Linear(128, 10))
    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))


class ConvSilu(nn.Sequential):
    def __init__(self, a, b, k=1, stride=1):
        super().__init__(nn.Conv2d(a, b, k, stride=stride, padding=k // 2, bias=False), nn.BatchNorm2d(b), nn.SiLU())


class C2f(nn.Module):
    """The block of YOLOv8: halves, one of them through bottlenecks, all joined."""
    def __init__(self, a, b, n=1, shortcut=True):
        super().__init__()
        self.half, self.shortcut = b // 2, shortcut
        self.inp, self.out = ConvSilu(a, b), ConvSilu((2 + n) * (b // 2), b)
        self.inner = nn.ModuleList(nn.Sequential(ConvSilu(b // 2, b // 2, 3), ConvSilu(b // 2, b // 2, 3)) for _ in range(n))
    def forward(self, x):
        parts = list(self.inp(x).chunk(2, 1))
        for block in self.inner:
            y = block(parts[-1])
            parts.append(parts[-1] + y if self.shortcut else y)
        return self.out(torch.cat(parts, 1))


class Yolo(nn.Module):
    """Backbone, pyramid of two levels and a decoded head, as YOLOv8 has them."""
    def __init__(self, classes=8, bins=8):
        super().__init__()
        self.classes, self.bins = classes, bins
        self.a = nn.Sequential(ConvSilu(3, 16, 3, 2), ConvSilu(16, 32, 3, 2), C2f(32, 32))
        self.b = nn.Sequential(ConvSilu(32, 64, 3, 2), C2f(64, 64))
        self.pool = nn.ModuleList([ConvSilu(64, 32), nn.MaxPool2d(5, 1, 2), ConvSilu(128, 64)])
        self.up = C2f(96, 32, shortcut=False)
        self.down, self.low = ConvSilu(32, 32, 3, 2), C2f(96, 64, shortcut=False)
        self.heads = nn.ModuleList(nn.Sequential(ConvSilu(c, 32, 3), nn.Conv2d(32, 4 * bins + classes, 1)) for c in (32, 64))
        self.register_buffer('project', torch.arange(bins, dtype=torch.float32).view(1, bins, 1, 1))
    def forward(self, x):
        a = self.a(x)
        y = [self.pool[0](self.b(a))]
        for _ in range(3): y.append(self.pool[1](y[-1]))
        b = self.pool[2](torch.cat(y, 1))
        up = self.up(torch.cat([nn.functional.interpolate(b, scale_factor=2.0), a], 1))
        low = self.low(torch.cat([self.down(up), b], 1))
        flat = torch.cat([head(level).flatten(2) for head, level in zip(self.heads, (up, low))], 2)
        box, score = flat.split((4 * self.bins, self.classes), 1)
        sides = (box.view(box.shape[0], 4, self.bins, -1).transpose(1, 2).softmax(1) * self.project).sum(1)
        near, far = sides.chunk(2, 1)
        return torch.cat([(far - near) / 2, far + near, score.sigmoid()], 1)


class Tagger(nn.Module):
    """Labels for each word by a recurrent network in both directions."""
    def __init__(self, kind):
        super().__init__()
        self.words, self.norm = nn.Embedding(V, H), nn.LayerNorm(H)
        self.rnn, self.out = kind(H, H // 2, num_layers=2, bidirectional=True, batch_first=True), nn.Linear(H, 9)
    def forward(self, ids):
        return self.out(self.rnn(self.norm(self.words(ids)))[0]).log_softmax(-1)


plain = lambda model, args, names, axes: lambda impl: (model().eval(), args(), names, ['out'], axes)
small = dict(hidden_size=H, num_hidden_layers=L, num_attention_heads=A, intermediate_size=4 * H)
clip = dict(small, projection_dim=H)
whisper = tf.WhisperConfig(d_model=H, encoder_layers=L, decoder_layers=L, encoder_attention_heads=A, decoder_attention_heads=A, encoder_ffn_dim=4 * H, decoder_ffn_dim=4 * H, vocab_size=V, num_mel_bins=80, max_source_positions=50, max_target_positions=64, pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, suppress_tokens=None, begin_suppress_tokens=None)
t5 = tf.T5Config(vocab_size=V, d_model=H, d_kv=H // A, d_ff=4 * H, num_layers=L, num_decoder_layers=L, num_heads=A)
bart = tf.BartConfig(vocab_size=V, d_model=H, encoder_layers=L, decoder_layers=L, encoder_attention_heads=A, decoder_attention_heads=A, encoder_ffn_dim=4 * H, decoder_ffn_dim=4 * H, max_position_embeddings=64)
llama = dict(vocab_size=V, hidden_size=H, intermediate_size=3 * H, num_hidden_layers=L, num_attention_heads=A, num_key_value_heads=2, max_position_embeddings=128)
text = dict(small, vocab_size=V, max_position_embeddings=64)

def part(cls, config, attr):
    def make(impl):
        config._attn_implementation = impl
        return getattr(cls(config).eval(), attr)
    return make

zoo = {
    'bert': encoder(tf.BertModel, tf.BertConfig(**text), ('input_ids', 'attention_mask', 'token_type_ids')),
    'distilbert': encoder(tf.DistilBertModel, tf.DistilBertConfig(vocab_size=V, dim=H, n_layers=L, n_heads=A, hidden_dim=4 * H, max_position_embeddings=64)),
    'roberta': encoder(tf.RobertaModel, tf.RobertaConfig(**text)),
    'electra': encoder(tf.ElectraModel, tf.ElectraConfig(embedding_size=64, **text)),
    'albert': encoder(tf.AlbertModel, tf.AlbertConfig(embedding_size=64, **text)),
    'mpnet': encoder(tf.MPNetModel, tf.MPNetConfig(**text)),
    'deberta': encoder(tf.DebertaV2Model, tf.DebertaV2Config(relative_attention=True, pos_att_type=['c2p', 'p2c'], **text)),
    'modernbert': encoder(tf.ModernBertModel, tf.ModernBertConfig(**dict(text, intermediate_size=2 * H), local_attention=8, pad_token_id=0, bos_token_id=1, eos_token_id=2, cls_token_id=1, sep_token_id=2)),
    'gpt2': decoder(tf.GPT2LMHeadModel, tf.GPT2Config(vocab_size=V, n_embd=H, n_layer=L, n_head=A, n_positions=64), A, H // A),
    'opt': decoder(tf.OPTForCausalLM, tf.OPTConfig(vocab_size=V, hidden_size=H, num_hidden_layers=L, num_attention_heads=A, ffn_dim=4 * H, word_embed_proj_dim=H, max_position_embeddings=64), A, H // A),
    'neox': decoder(tf.GPTNeoXForCausalLM, tf.GPTNeoXConfig(**text), A, H // A),
    'gptj': decoder(tf.GPTJForCausalLM, tf.GPTJConfig(vocab_size=V, n_embd=H, n_layer=L, n_head=A, n_positions=64, rotary_dim=16), A, H // A),
    'phi': decoder(tf.PhiForCausalLM, tf.PhiConfig(**text, partial_rotary_factor=0.5), A, H // A),
    'llama': decoder(tf.LlamaForCausalLM, tf.LlamaConfig(**llama), 2, H // A),
    'qwen3': decoder(tf.Qwen3ForCausalLM, tf.Qwen3Config(head_dim=H // A, **llama), 2, H // A),
    'gemma': decoder(tf.GemmaForCausalLM, tf.GemmaConfig(head_dim=H // A, **llama), 2, H // A),
    't5-encoder': encoder(lambda c: tf.T5EncoderModel(c), t5),
    't5-decoder': crossing(part(tf.T5Model, t5, 'decoder'), (7, H)),
    'bart-encoder': lambda impl: (Wrap(part(tf.BartModel, bart, 'encoder')(impl), ['input_ids', 'attention_mask'], 'last_hidden_state'), (ids(), mask()), ['input_ids', 'attention_mask'], ['last_hidden_state'], {'input_ids': BS, 'attention_mask': BS}),
    'bart-decoder': crossing(part(tf.BartModel, bart, 'decoder'), (7, H)),
    'whisper-encoder': lambda impl: (Wrap(part(tf.WhisperModel, whisper, 'encoder')(impl), ['input_features'], 'last_hidden_state'), (torch.randn(2, 80, 100),), ['input_features'], ['last_hidden_state'], {'input_features': B0}),
    'whisper-decoder': crossing(part(tf.WhisperModel, whisper, 'decoder'), (50, H)),
    'clip-text': encoder(tf.CLIPTextModel, tf.CLIPTextConfig(**dict(text, projection_dim=H))),
    'clip-vision': vision(tf.CLIPVisionModel, tf.CLIPVisionConfig(image_size=32, patch_size=8, **clip)),
    'vit': vision(tf.ViTModel, tf.ViTConfig(image_size=32, patch_size=8, **small)),
    'deit': vision(tf.DeiTModel, tf.DeiTConfig(image_size=32, patch_size=8, **small)),
    'dinov2': vision(tf.Dinov2Model, tf.Dinov2Config(image_size=32, patch_size=8, **{k: v for k, v in small.items() if k != 'intermediate_size'})),
    'siglip': vision(tf.SiglipVisionModel, tf.SiglipVisionConfig(image_size=32, patch_size=8, **small)),
    'swin': vision(tf.SwinModel, tf.SwinConfig(image_size=64, patch_size=4, embed_dim=32, depths=[2, 2], num_heads=[2, 4], window_size=4), size=64),
    'convnext': vision(tf.ConvNextModel, tf.ConvNextConfig(hidden_sizes=[32, 64], depths=[2, 2], num_stages=2), size=64),
    'resnet': vision(tf.ResNetModel, tf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[2, 2], layer_type='basic'), size=64),
    'segformer': vision(tf.SegformerModel, tf.SegformerConfig(hidden_sizes=[16, 32, 32, 64], depths=[1, 1, 1, 1], num_attention_heads=[1, 2, 2, 4]), size=64),
    'efficientnet': vision(tf.EfficientNetModel, tf.EfficientNetConfig(width_coefficient=0.25, depth_coefficient=0.3, image_size=64, hidden_dim=320), size=64),
    'mobilenetv2': vision(tf.MobileNetV2Model, tf.MobileNetV2Config(depth_multiplier=0.25, image_size=64), size=64),
    'mobilenetv3': plain(MobileNetV3, lambda: (torch.randn(2, 3, 64, 64),), ['x'], {'x': B0}),
    'yolo': plain(Yolo, lambda: (torch.randn(1, 3, 64, 64),), ['x'], {'x': B0}),
    'lstm-tagger': plain(lambda: Tagger(nn.LSTM), lambda: (ids(2, 12),), ['ids'], {'ids': BS}),
    'gru-tagger': plain(lambda: Tagger(nn.GRU), lambda: (ids(2, 12),), ['ids'], {'ids': BS}),
    'conformer': plain(Conformer, lambda: (torch.randn(2, 16, H),), ['x'], {'x': BS}),
    'unet-block': plain(UNetBlock, lambda: (torch.randn(2, 64, 16, 16),), ['x'], {'x': B0}),
    'activations': plain(Activations, lambda: (torch.randn(2, 3, 16, 16),), ['x'], {'x': B0}),
    'handmade-norms': plain(Rms, lambda: (torch.randn(2, 16, H),), ['x'], {'x': BS}),
}
no_sdpa = {'mobilenetv3', 'yolo', 'lstm-tagger', 'gru-tagger', 'conformer', 'unet-block', 'activations', 'handmade-norms', 'swin', 'convnext', 'resnet', 'segformer', 'efficientnet', 'mobilenetv2', 'mpnet', 'deberta', 'gptj', 't5-encoder', 't5-decoder'}


def export(name, make, out, failed):
    for impl in (['eager'] if name in no_sdpa else ['eager', 'sdpa']):
        for how, opset in (('ts', 17), ('dy', 18), ('dy23', 23)):
            if how == 'dy23' and impl == 'eager' and name not in no_sdpa: continue
            label = f'{name}{"-sdpa" if impl == "sdpa" else ""}.{how}'
            path = os.path.join(out, f'{label}.onnx')
            if os.path.exists(path): continue
            try:
                torch.manual_seed(1)
                model, args, inputs, outputs, axes = make(None if name in ('convnext', 'resnet', 'efficientnet', 'mobilenetv2') else impl)
                model.eval()
                with torch.no_grad():  # norms of ones and biases of zeros would be folded away, and equal ones shared
                    for p in model.parameters(): p.add_(torch.randn_like(p) * 0.02)
                common = dict(verbose=False, input_names=inputs, output_names=outputs, opset_version=opset)
                with torch.no_grad():
                    if how == 'ts':
                        torch.onnx.export(model, args, path, dynamo=False, dynamic_axes=axes, **common)
                    else:
                        dims = {}
                        as_dim = lambda n: dims.setdefault(n, torch.export.Dim.DYNAMIC)
                        shapes = [{i: as_dim(d) for i, d in axes.get(n, {}).items()} for n in inputs]
                        signature = [p.kind.name for p in __import__('inspect').signature(model.forward).parameters.values()]
                        if 'VAR_POSITIONAL' in signature:
                            fixed = signature.index('VAR_POSITIONAL')
                            shapes = (*shapes[:fixed], tuple(shapes[fixed:]))
                        torch.onnx.export(model, args, path, dynamo=True, dynamic_shapes=tuple(shapes), external_data=False, **common)
                print(label, os.path.getsize(path), flush=True)
            except Exception as error:
                failed.append((label, f'{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ""}'[:200]))
                if os.environ.get('TRACE'): traceback.print_exc()
                print(label, 'FAILED', failed[-1][1], flush=True)


if __name__ == '__main__':
    out, names = sys.argv[1], sys.argv[2:]
    os.makedirs(out, exist_ok=True)
    failed = []
    for name, make in zoo.items():
        if names and name not in names: continue
        export(name, make, out, failed)
    print(f'{len(failed)} failed')
