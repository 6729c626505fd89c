/** Words that several rooms need in the same form. */

/** Edit distance (optimal string alignment: two letters swapped count once), for suggestions. */
function distance(a: string, b: string): number {
  let before: number[] = [];
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? Infinity) + 1 : Infinity;
      next.push(Math.min(substitute, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1, swapped));
    }
    before = row;
    row = next;
  }
  return row[b.length] ?? 0;
}

/** ` (did you mean "fuse"?)` when a known name is close, else the list of names when it is short, else nothing. */
export function nearest(name: string, known: readonly string[]): string {
  return suggestion(name, known) || (known.length > 0 && known.length <= 12 ? ` (known: ${known.join(', ')})` : '');
}

/** ` (did you mean "fuse"?)` when a known name is close, else nothing: for sentences that list the names themselves. */
export function suggestion(name: string, known: readonly string[]): string {
  let best: string | undefined;
  // Two changes to three letters make any other word, as one does to a single letter.
  let bestDistance = (name.length <= 1 ? 0 : name.length <= 3 ? 1 : Math.max(2, Math.floor(name.length / 3))) + 1;
  for (const candidate of known) {
    const d = distance(name.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    }
  }
  return best === undefined ? '' : ` (did you mean "${best}"?)`;
}

/** 1234567 → `1.23 MB`; decimal units, as file managers and hubs show them. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}

/** 1234567 → `1,234,567`. */
export function formatCount(count: number): string {
  // The locale's own way loads ICU: 16 ms, where whole passes take 200.
  return Number.isSafeInteger(count)
    ? String(count).replaceAll(/\B(?=(?:\d{3})+$)/g, ',')
    : count.toLocaleString('en-US');
}

/** Smaller ones written out would be a row of zeros. */
const leastWrittenOut = 1e-9;

/** So many significant digits, without an exponent: 618 to two digits → `620`, not `6.2e+2`; 1.19e-7 → `0.000000119`. */
export function significant(value: number, digits: number): string {
  if (value === 0) return '0';
  const text = value.toPrecision(digits);
  if (text.includes('e+')) return String(Number(text));
  if (!text.includes('e-') || Math.abs(value) < leastWrittenOut) return text;
  return Number(text).toFixed(digits - 1 - Math.floor(Math.log10(Math.abs(Number(text)))));
}

/** A metric: four decimals, and three digits where decimals would hide a small one (an error of 0.0000213 is not 0.0000). */
export function formatMetricValue(value: number | null): string {
  if (value === null || !Number.isFinite(value)) return 'no number';
  const size = Math.abs(value);
  return size >= leastWrittenOut && size < 1e-3 ? significant(value, 3) : value.toFixed(4);
}

/** Milliseconds with three significant digits and a unit that fits. */
export function formatMs(ms: number): string {
  // Bounds lie where three digits round up to the next unit: 999.6 would print as 1.00e+3.
  if (ms >= 999.5) return `${(ms / 1000).toFixed(2)} s`;
  if (ms >= 0.9995) return `${ms.toPrecision(3)} ms`;
  return `${(ms * 1000).toPrecision(3)} µs`;
}
