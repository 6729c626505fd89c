import { constantOf } from '../../src/ir/constant.ts';
import type { Model, Value } from '../../src/ir/graph.ts';
import { type Tensor, typedArray } from '../../src/ir/tensor.ts';
import type { Trace } from '../../src/rewrite/driver.ts';
import { releaseConstant } from '../../src/rewrite/release-constant.ts';

/**
 * Exporters that fold constants store a tied output layer as the embedding table transposed: two copies of the largest
 * weight. Where W [K, N] equals tableᵀ bit by bit, the MatMul reads the table through a Transpose again, so that one copy is
 * quantized and stored.
 * @returns whether anything changed
 */
export function retieTables(model: Model, tables: ReadonlySet<Value>, trace: Trace): boolean {
  let changed = false;
  for (const node of [...model.graph.nodes]) {
    const weight = node.is('MatMul') ? node.input(1) : undefined;
    const tensor = constantOf(weight);
    if (!weight?.tensor || !tensor || tensor.shape.length !== 2 || weight.isGraphOutput) continue;
    const table = [...tables].find((candidate) => isTransposed(tensor, constantOf(candidate)));
    if (!table) continue;
    const turned = table.graph.insertBefore(node, 'Transpose', { inputs: [table], attrs: { perm: [1, 0] } });
    node.setInput(1, turned.output());
    releaseConstant(weight);
    trace.applied('retie', node, `its weights are the table "${table.name}" again, transposed`);
    changed = true;
  }
  return changed;
}

function isTransposed(tensor: Tensor, table: Tensor | undefined): boolean {
  const [k, n] = tensor.shape as [number, number];
  if (table?.dtype !== tensor.dtype || table.shape[0] !== n || table.shape[1] !== k) return false;
  const [a, b] = [bitsOf(tensor), bitsOf(table)];
  for (let i = 0; i < k; i++) if (a[i * n] !== b[i]) return false;
  for (let i = 0; i < k; i++) for (let j = 0; j < n; j++) if (a[i * n + j] !== b[j * k + i]) return false;
  return true;
}

function bitsOf(tensor: Tensor): Uint16Array | Float32Array | Uint8Array {
  if (tensor.dtype === 'float32') return typedArray(tensor, 'float32');
  return tensor.dtype === 'float16' ? typedArray(tensor, 'float16') : tensor.bytes();
}
