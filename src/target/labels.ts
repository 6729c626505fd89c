/** A label a line, as Triton, TensorFlow Lite and Core ML read them: one with a line break in it would shift all that follow. */
export function labelLines(labels: readonly string[]): string {
  return labels.map((label) => `${label.replace(/\s*[\r\n]+\s*/g, ' ')}\n`).join('');
}
