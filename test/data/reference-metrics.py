"""Makes metrics.reference.json: figures of scikit-learn, SciPy and scikit-image on random inputs.
Run by hand with scikit-learn, scipy and numpy installed; nothing in the tests needs Python."""
import json, sys
import numpy as np
from scipy import stats
from sklearn import metrics as m

rng = np.random.default_rng(7)
out = {}
n = 60

def r(x): return np.round(np.asarray(x, dtype=np.float32), 4).tolist()

# many classes
labels = rng.integers(0, 5, n); logits = rng.normal(size=(n, 5)); logits[np.arange(n), labels] += 0.8
logits = np.round(logits, 4).astype(np.float32)
pred = logits.argmax(1)
p = np.exp(logits.astype(np.float64)); p /= p.sum(1, keepdims=True)
out['multi'] = {'labels': labels.tolist(), 'logits': r(logits), 'expected': {
  'accuracy': m.accuracy_score(labels, pred), 'top5': m.top_k_accuracy_score(labels, p, k=5, labels=range(5)),
  **{f'{f.__name__.split("_")[0]}-{a}': float(f(labels, pred, average=a, zero_division=0))
     for f in (m.precision_score, m.recall_score, m.f1_score) for a in ('macro', 'micro', 'weighted')},
  'mcc': m.matthews_corrcoef(labels, pred), 'roc-auc': m.roc_auc_score(labels, p, multi_class='ovr'),
  'f1-classes': m.f1_score(labels, pred, average=None).tolist()}}
# two classes, ties among the scores
labels = rng.integers(0, 2, n); prob = np.clip(np.round(rng.normal(0.4 + 0.2 * labels, 0.25), 1), 0, 1).astype(np.float32)
pred = (prob >= 0.5).astype(int)
out['binary'] = {'labels': labels.tolist(), 'scores': r(prob), 'expected': {
  'accuracy': m.accuracy_score(labels, pred), 'precision': m.precision_score(labels, pred), 'recall': m.recall_score(labels, pred),
  'f1': m.f1_score(labels, pred), 'mcc': m.matthews_corrcoef(labels, pred), 'roc-auc': m.roc_auc_score(labels, prob)}}
# numbers, with ties
t = np.round(rng.uniform(0, 5, n), 0).astype(np.float32); y = np.round(t + rng.normal(0, 1, n), 1).astype(np.float32)
out['numbers'] = {'targets': r(t), 'outputs': r(y), 'expected': {
  'mae': m.mean_absolute_error(t.astype(np.float64), y.astype(np.float64)), 'rmse': m.mean_squared_error(t.astype(np.float64), y.astype(np.float64)) ** 0.5,
  'pearson': stats.pearsonr(t.astype(np.float64), y.astype(np.float64))[0], 'spearman': stats.spearmanr(t, y)[0]}}
# weights as repeated samples
w = rng.multinomial(n, [1 / n] * n); rep = np.repeat(np.arange(n), w)
L = np.array(out['multi']['labels']); P = np.array(out['multi']['logits'], dtype=np.float32).argmax(1)
bl = np.array(out['binary']['labels']); bs = np.array(out['binary']['scores'])
out['weights'] = {'weights': w.tolist(), 'expected': {
  'f1': m.f1_score(L[rep], P[rep], average='macro', zero_division=0), 'mcc': m.matthews_corrcoef(L[rep], P[rep]),
  'roc-auc': m.roc_auc_score(bl[rep], bs[rep]), 'spearman': stats.spearmanr(t[rep], y[rep])[0], 'pearson': stats.pearsonr(t[rep].astype(np.float64), y[rep].astype(np.float64))[0]}}
# segmentation: jaccard, 255 ignored
seg = rng.integers(0, 4, (3, 8, 8)); guess = np.where(rng.random((3, 8, 8)) < 0.6, seg, rng.integers(0, 4, (3, 8, 8))); ign = rng.random((3, 8, 8)) < 0.1
tgt = np.where(ign, 255, seg)
out['segments'] = {'targets': tgt.tolist(), 'outputs': guess.tolist(), 'expected': {
  'miou': m.jaccard_score(tgt[~ign], guess[~ign], average='macro'), 'classes': m.jaccard_score(tgt[~ign], guess[~ign], average=None).tolist()}}
# pictures: ssim with a Gaussian window, valid places only (Wang and others), written out by scipy
from scipy.ndimage import correlate1d
a = np.round(rng.random((16, 18)), 3); b = np.clip(np.round(a + rng.normal(0, 0.1, a.shape), 3), 0, 1)
g = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5 ** 2)); g /= g.sum()
f = lambda z: correlate1d(correlate1d(z, g, axis=0), g, axis=1)[5:-5, 5:-5]
A, B = np.float32(a).astype(float), np.float32(b).astype(float)
ua, ub = f(A), f(B); va, vb, vab = f(A * A) - ua * ua, f(B * B) - ub * ub, f(A * B) - ua * ub
s = ((2 * ua * ub + 1e-4) * (2 * vab + 9e-4)) / ((ua ** 2 + ub ** 2 + 1e-4) * (va + vb + 9e-4))
out['pictures'] = {'outputs': b.tolist(), 'targets': a.tolist(), 'expected': {'ssim': float(s.mean()), 'psnr': float(-10 * np.log10(((A - B) ** 2).mean()))}}
json.dump(out, open(sys.argv[1], 'w'))
