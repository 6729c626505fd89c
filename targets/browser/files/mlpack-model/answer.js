/** Classes with their scores, best first, or undefined where no output looks like classes with labels. */
export function answerOf({ labels }, outputs) {
  if (!labels) return undefined;
  for (const { data, dims, type } of Object.values(outputs)) {
    if (!type.startsWith('float') || dims.at(-1) !== labels.length || data.length < labels.length) continue;
    const values = Array.from(data.slice(0, labels.length), type === 'float16' && data instanceof Uint16Array ? fromHalf : Number);
    const scores = toShares(values);
    return labels.map((label, index) => ({ label, index, score: scores[index] })).sort((a, b) => b.score - a.score);
  }
  return undefined;
}

/** Probabilities stay as they are; anything else is taken for logits. */
function toShares(values) {
  const total = values.reduce((sum, value) => sum + value, 0);
  if (values.every((value) => value >= 0 && value <= 1) && Math.abs(total - 1) < 0.02) return values;
  const max = Math.max(...values);
  const powers = values.map((value) => Math.exp(value - max));
  const sum = powers.reduce((all, value) => all + value, 0);
  return powers.map((value) => value / sum);
}

/** A half from its bits. */
export function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return mantissa === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
