/** A key that the object in this (valid) JSON text has twice, which JSON.parse passes over in silence; inner objects are not looked into. */
export function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (const [token, word, colon] of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[{}[\]]/g)) {
    if (word === undefined) depth += token === '{' || token === '[' ? 1 : -1;
    else if (colon !== undefined && depth === 1) {
      const key = JSON.parse(word) as string;
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}
