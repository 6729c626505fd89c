import type { Artifact, BundleFile, GoldenTensor } from '../../src/target/target.ts';

/** Element types as a platform's runtime names them; a model with another one gets no golden test there. */
export type TypeNames = Readonly<Partial<Record<string, string | number>>>;

/**
 * Golden cases for a test on the device: `golden.json` and the elements as files. Cases of strings and of types that the
 * platform's runtime has no name for are left out.
 * @param folder bundle path that the test finds them under
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
    if (!one || ![...one.inputs, ...one.outputs].every(({ dtype }) => types[dtype] !== undefined)) return [];
    const put = (tensors: readonly GoldenTensor[], role: string) =>
      tensors.map(({ name, dtype, shape, bytes }, i) => {
        const file = `case${n}-${role}${i}.bin`;
        files.push({ path: `${folder}/${file}`, bytes });
        return { name, type: types[dtype], shape, file };
      });
    return [{ inputs: put(one.inputs, 'in'), outputs: put(one.outputs, 'out'), ...one.tolerance }];
  });
  return [...files, { path: `${folder}/golden.json`, bytes: `${JSON.stringify(rows, null, 1)}\n` }];
}
