/**
 * What ONNX Runtime 1.x accepts: its highest opset of ai.onnx and IR version. Up to 1.11 from its own table (docs/Versioning.md); 1.30 by
 * trying (ir/ceilings.ts). Those from 1.12 to 1.24 were written down from memory of the ONNX release that each carries, the lower one where
 * unsure, and not tried. Versions between count as the one below.
 */
import { runtimeCeilings } from '../../src/ir/ceilings.ts';

interface Ceiling {
  readonly opset: number;
  readonly irVersion: number;
}

const ceilings: readonly (readonly [minor: number, opset: number, irVersion: number])[] = [
  [30, runtimeCeilings.opsets.get('') ?? 26, runtimeCeilings.irVersion],
  [23, 23, 11],
  [21, 22, 10],
  [18, 21, 10],
  [17, 20, 9],
  [15, 19, 9],
  [14, 18, 8],
  [12, 17, 8],
  [11, 16, 8],
  [9, 15, 7],
  [8, 14, 7],
  [6, 13, 7],
];

/** @returns undefined for versions before 1.6, whose opset 12 is older than anything written down here. */
export function ceilingOf(minor: number): Ceiling | undefined {
  const found = ceilings.find(([from]) => minor >= from);
  return found && { opset: found[1], irVersion: found[2] };
}

/** The first ONNX Runtime with an operator of com.microsoft that fusion and quantization write (its release notes and ContribOperators.md). */
export const contribSince: Readonly<Record<string, number>> = {
  QuickGelu: 12,
  MultiHeadAttention: 14,
  SkipSimplifiedLayerNormalization: 14,
  MatMulNBits: 17,
  MatMulBnb4: 17,
  RotaryEmbedding: 17,
  GroupQueryAttention: 17,
  GatherBlockQuantized: 20,
};
