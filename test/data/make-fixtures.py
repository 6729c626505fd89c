"""Makes test/data/fixtures by the libraries that users have: pyarrow, onnx, numpy, tokenizers, transformers, pycocotools, scipy.
Run by hand; nothing in the tests needs Python."""
import json, os, sys, wave, warnings
import numpy as np
warnings.filterwarnings('ignore')
out = sys.argv[1]
at = lambda *p: os.path.join(out, *p)
rng = np.random.default_rng(3)

# Tables
import pyarrow as pa, pyarrow.parquet as pq
table = pa.table({'age': pa.array([31, 54, None, 22], pa.int32()), 'income': [1.5, 2.25, -3.0, 0.125], 'city': ['Köln', 'Rom', 'Bern', 'Rom'],
                  'old': [False, True, True, False], 'label': pa.array([1, 0, 1, 0], pa.int64())})
for codec in ('snappy', 'zstd', 'gzip'):
    pq.write_table(table, at(f'table-{codec}.parquet'), compression=codec)

# Tensors
x = (np.arange(24, dtype=np.float32).reshape(4, 2, 3) / 8)
np.savez(at('stored.npz'), x=x, y=np.array([3, 1, 2, 0]))
np.savez_compressed(at('deflated.npz'), x=x)
import onnx.numpy_helper
open(at('x.pb'), 'wb').write(onnx.numpy_helper.from_array(x).SerializeToString())

# Tokenizers
from tokenizers import Tokenizer, models, trainers, pre_tokenizers, normalizers, processors, decoders
from transformers import PreTrainedTokenizerFast
corpus = ['the quick brown fox jumps over the lazy dog', 'play some jazz music', "what's the weather in new york", 'set an alarm for seven'] * 3
words = Tokenizer(models.WordPiece(unk_token='[UNK]'))
words.normalizer = normalizers.BertNormalizer(lowercase=True); words.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
words.train_from_iterator(corpus, trainers.WordPieceTrainer(vocab_size=120, special_tokens=['[PAD]', '[UNK]', '[CLS]', '[SEP]']))
words.post_processor = processors.TemplateProcessing(single='[CLS] $A [SEP]', pair='[CLS] $A [SEP] $B:1 [SEP]:1', special_tokens=[('[CLS]', 2), ('[SEP]', 3)])
words.decoder = decoders.WordPiece()
bytes_ = Tokenizer(models.BPE()); bytes_.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False); bytes_.decoder = decoders.ByteLevel()
bytes_.train_from_iterator(corpus, trainers.BpeTrainer(vocab_size=300, special_tokens=['<|end|>'], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
texts = ['The quick dog', 'play weather', 'jazz, for seven foxes in Zürich!', "what's new", '']
pairs = ['over the dog', 'an alarm', 'set an alarm for seven', 'the music plays the music', 'x']
expected = {'texts': texts, 'pairs': pairs}
for name, tok, special, side in (('words', words, dict(pad_token='[PAD]', unk_token='[UNK]', cls_token='[CLS]', sep_token='[SEP]'), 'right'),
                                 ('bytes', bytes_, dict(eos_token='<|end|>', pad_token='<|end|>'), 'left')):
    fast = PreTrainedTokenizerFast(tokenizer_object=tok, model_max_length=12, padding_side=side, **special)
    fast.save_pretrained(at(name))
    for file in os.listdir(at(name)):
        if file not in ('tokenizer.json', 'tokenizer_config.json'): os.remove(at(name, file))
    one = lambda **k: {key: value for key, value in fast(texts, padding=True, return_token_type_ids=True, **k).items()}
    expected[name] = {'single': one(truncation=True), 'pair8': {k: v for k, v in fast(texts, pairs, padding=True, truncation='longest_first', max_length=8, return_token_type_ids=True).items()} if name == 'words' else None}
json.dump(expected, open(at('tokens.json'), 'w'))

# Sound: the same two channels in every coding, and SciPy's resampling of a tone
t = np.arange(800) / 8000; left = 0.5 * np.sin(2 * np.pi * 440 * t); right = 0.25 * np.sin(2 * np.pi * 880 * t)
stereo = np.stack([left, right], 1)
for bits in (8, 16, 24, 32):
    with wave.open(at(f'pcm{bits}.wav'), 'wb') as w:
        w.setnchannels(2); w.setsampwidth(bits // 8); w.setframerate(8000)
        scaled = np.round(stereo * (2 ** (bits - 1) - 1)).astype(np.int64)
        w.writeframes((scaled + 128).astype(np.uint8).tobytes() if bits == 8 else scaled.astype('<i8').reshape(-1, 1).view(np.uint8)[:, :bits // 8].tobytes())
from scipy.io import wavfile
wavfile.write(at('float.wav'), 8000, stereo.astype(np.float32))

# Boxes: COCO's own evaluation
import contextlib, io
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
images, annotations, detections, ann = [], [], [], 1
for image in range(1, 13):
    images.append({'id': image, 'file_name': f'{image:02d}.jpg', 'width': 200, 'height': 100})
    for _ in range(rng.integers(0, 6)):
        cat = int(rng.choice([3, 7, 9])); bx, by = rng.uniform(0, 150), rng.uniform(0, 60); bw, bh = rng.uniform(8, 50), rng.uniform(8, 40)
        box = [round(float(v), 2) for v in (bx, by, bw, bh)]
        annotations.append({'id': ann, 'image_id': image, 'category_id': cat, 'bbox': box, 'area': box[2] * box[3], 'iscrowd': int(rng.random() < 0.1)}); ann += 1
        for _ in range(rng.integers(0, 3)):
            jit = rng.normal(0, 0.12, 4); noisy = [round(float(v), 2) for v in (box[0] + jit[0] * box[2], box[1] + jit[1] * box[3], box[2] * (1 + jit[2]), box[3] * (1 + jit[3]))]
            detections.append({'image_id': image, 'category_id': cat if rng.random() < 0.85 else 7, 'bbox': noisy, 'score': round(float(rng.random()), 3)})
    for _ in range(2):
        detections.append({'image_id': image, 'category_id': 3, 'bbox': [round(float(v), 2) for v in (rng.uniform(0, 150), rng.uniform(0, 60), 20, 20)], 'score': round(float(rng.random() * 0.6), 3)})
coco = {'images': images, 'annotations': annotations, 'categories': [{'id': i, 'name': n} for i, n in ((3, 'car'), (7, 'train'), (9, 'boat'))]}
json.dump(coco, open(at('coco.json'), 'w'))
with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO(at('coco.json')); ev = COCOeval(truth, truth.loadRes(detections), 'bbox'); ev.evaluate(); ev.accumulate(); ev.summarize()
pr = ev.eval['precision'][:, :, :, 0, 2]
json.dump({'detections': detections, 'map': float(ev.stats[0]), 'map50': float(ev.stats[1]), 'map75': float(ev.stats[2]),
           'classes': [float(pr[:, :, k][pr[:, :, k] > -1].mean()) for k in range(3)]}, open(at('coco-detections.json'), 'w'))
