/** Semantic Versioning 2.0, section 11. */

const pattern = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/;

export function isVersion(text) {
  return typeof text === 'string' && text.length <= 256 && pattern.test(text);
}

/** Negative where `a` comes before `b`. Both must be versions. */
export function compareVersions(a, b) {
  const [left, right] = [pattern.exec(a), pattern.exec(b)];
  for (const part of [1, 2, 3]) {
    if (left[part] !== right[part]) return Number(left[part]) - Number(right[part]);
  }
  return comparePrerelease(left[4], right[4]);
}

function comparePrerelease(a, b) {
  if (a === b) return 0;
  if (a === undefined || b === undefined) return a === undefined ? 1 : -1;
  const [left, right] = [a.split('.'), b.split('.')];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const [x, y] = [left[i], right[i]];
    if (x === undefined || y === undefined) return x === undefined ? -1 : 1;
    if (x === y) continue;
    const [numeric, other] = [/^\d+$/.test(x), /^\d+$/.test(y)];
    if (numeric && other) return Number(x) - Number(y);
    if (numeric !== other) return numeric ? -1 : 1;
    return x < y ? -1 : 1;
  }
  return 0;
}
