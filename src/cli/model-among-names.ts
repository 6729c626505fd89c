/**
 * `optimize --target server model.onnx`: a flag that takes several names has taken the model too. No target, variant or
 * provider has a dot or a slash in its name, a model nearly always.
 */
export function modelAmongNames<K extends string, F extends { readonly [key in K]?: readonly string[] }>(
  flags: F,
  named: readonly K[],
): { model: string | undefined; flags: F } {
  for (const flag of named) {
    const names: readonly string[] = flags[flag] ?? [];
    const last = names.at(-1);
    if (names.length > 1 && last !== undefined && /[./\\]/.test(last))
      return { model: last, flags: { ...flags, [flag]: names.slice(0, -1) } };
  }
  return { model: undefined, flags };
}
