import type { Artifact, BundleFile, GoldenTensor } from '../../src/target/target.ts';

/** Element types as a platform's runtime names them; a model with another one gets no golden test there. */
export type TypeNames = Readonly<Partial<Record<string, string | number>>>;

/** Of these cases, by number, those that a platform can replay: without strings and types that its runtime has no name for. */
export function replayable({ golden }: Artifact, types: TypeNames, cases: readonly number[]): number[] {
  return cases.filter((n) => {
    const one = golden[n];
    return one && [...one.inputs, ...one.outputs].every(({ dtype }) => types[dtype] !== undefined);
  });
}

/**
 * Golden cases for a test on the device: `golden.json`, where each output has its tolerance, and the elements as files.
 * @param folder bundle path that the test finds them under
 * @param cases that the platform can replay
 */
export function goldenJson(
  artifact: Artifact,
  folder: string,
  types: TypeNames,
  cases: readonly number[],
): BundleFile[] {
  const files: BundleFile[] = [];
  const rows = cases.flatMap((n) => {
    const one = artifact.golden[n];
    if (!one) return [];
    const put = (tensors: readonly GoldenTensor[], role: string) =>
      tensors.map(({ name, dtype, shape, bytes, tolerance = one.tolerance }, i) => {
        const file = `case${n}-${role}${i}.bin`;
        files.push({ path: `${folder}/${file}`, bytes });
        return { name, type: types[dtype], shape, file, ...(role === 'out' && tolerance) };
      });
    return [{ inputs: put(one.inputs, 'in'), outputs: put(one.outputs, 'out') }];
  });
  return [...files, { path: `${folder}/golden.json`, bytes: `${JSON.stringify(rows, null, 1)}\n` }];
}
