import type { Node } from '../../../src/ir/graph.ts';

/**
 * Why a node whose operator takes float16 stays in float32 all the same: forms that ONNX Runtime 1.30 fails at on the CPU,
 * found by trying. Undefined for all others.
 */
export function kernelProblem(node: Node): string | undefined {
  if (node.domain !== '') return undefined;
  const reduction = node.string('reduction') ?? 'none';
  if ((node.op === 'ScatterElements' || node.op === 'ScatterND') && reduction !== 'none') {
    return `the CPU provider of ONNX Runtime has no float16 kernel for ${node.op} with reduction "${reduction}"`;
  }
  // Its fusion of the transposition into the product takes the casts it put around the product for part of it, and crashes.
  if (
    node.op === 'Transpose' &&
    movesBatch(node.ints('perm')) &&
    node.output().uses.some((use) => use.node.is('MatMul'))
  ) {
    return 'ONNX Runtime crashes when it fuses a float16 Transpose that moves the first axis with the MatMul behind it';
  }
  return undefined;
}

/** The first axis becomes one of the last two, the others keep their order: what FusedMatMul calls transBatch. */
function movesBatch(perm: readonly number[] | undefined): boolean {
  if (!perm || perm.length < 3) return false;
  const last = perm.slice(-2);
  return perm.slice(0, -2).every((axis, at) => axis === at + 1) && last.includes(0) && last.includes(perm.length - 1);
}
