/**
 * Classes with their scores, best first, of the first row of the first output that looks like scores of classes; undefined where none does: scores of
 * each token or place are many answers, not one. Classes without names are called by their number.
 */
export function answerOf({ labels, hasClasses }, outputs) {
  if (!labels && !hasClasses) return undefined;
  for (const { data, dims, type } of Object.values(outputs)) {
    const count = labels?.length ?? dims.at(-1);
    if (!type.startsWith('float') || dims.length < 2 || dims.at(-1) !== count || count < 2) continue;
    if (dims.slice(1, -1).some((dim) => dim !== 1)) continue;
    const values = Array.from(data.slice(0, count), type === 'float16' && data instanceof Uint16Array ? fromHalf : Number);
    const scores = toShares(values);
    return scores
      .map((score, index) => ({ label: labels?.[index] ?? `class ${index}`, index, score }))
      .sort((a, b) => b.score - a.score);
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
