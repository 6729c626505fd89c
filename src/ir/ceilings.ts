/**
 * What ONNX Runtime 1.30 accepts (found by trying): a model beyond these loads here and not there.
 */
export const runtimeCeilings = {
  runtime: 'ONNX Runtime 1.30',
  irVersion: 13,
  /** Highest opset of each official domain; '' is ai.onnx. */
  opsets: new Map([
    ['', 26],
    ['ai.onnx.ml', 5],
    ['ai.onnx.training', 1],
    ['ai.onnx.preview', 1],
    ['ai.onnx.preview.training', 1],
    ['com.microsoft', 1],
  ]) as ReadonlyMap<string, number>,
} as const;

export interface Ceiling {
  readonly opset: number;
  readonly irVersion: number;
}

/**
 * What ONNX Runtime 1.x accepts: its highest opset of ai.onnx and IR version. From 1.10 on found by loading models of one Relu with the
 * npm packages onnxruntime-node 1.10.0, 1.11.0, 1.12.1, 1.13.1, 1.14.0, 1.15.1, 1.16.0, 1.16.3, 1.17.3, 1.18.0, 1.19.2, 1.20.1, 1.21.1,
 * 1.22.0, 1.23.2, 1.24.3, 1.25.1, 1.26.0, 1.27.0, 1.29.0 and 1.30.0 (2026-11-27). Before, from its docs/Versioning.md: those packages do
 * not load in today's Node. A version that is not among them counts as the one below.
 */
const ceilings: readonly (readonly [minor: number, opset: number, irVersion: number])[] = [
  [25, runtimeCeilings.opsets.get('') ?? 26, runtimeCeilings.irVersion],
  [24, 25, 13],
  [23, 23, 11],
  [21, 22, 10],
  [18, 21, 10],
  [17, 20, 9],
  [15, 19, 9],
  [14, 18, 8],
  [12, 17, 8],
  [11, 16, 8],
  [10, 15, 8],
  [9, 15, 7],
  [8, 14, 7],
  [6, 13, 7],
];

/** What ONNX Runtime 1.`minor` accepts. @returns undefined for versions before 1.6, whose opset 12 is older than anything written down here. */
export function ceilingOf(minor: number): Ceiling | undefined {
  const found = ceilings.find(([from]) => minor >= from);
  return found && { opset: found[1], irVersion: found[2] };
}

/** Minor version of ONNX Runtime: 16 of `1.16` or `1.16.3`; undefined where the text is none. */
export function minorOf(text: string): number | undefined {
  const minor = /^1\.(\d+)(\.\d+)?$/.exec(text)?.[1];
  return minor === undefined ? undefined : Number(minor);
}
