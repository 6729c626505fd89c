import type { Node, Value } from '../../../src/ir/graph.ts';
import { int64Vector } from '../../../src/ir/tensor.ts';
import { tensorType } from '../../../src/ir/types.ts';
import type { Edit } from '../../../src/rewrite/edit.ts';
import { addConstant } from '../../../src/rewrite/edit.ts';
import { miss } from '../../../src/rewrite/match.ts';
import type { Rule } from '../../../src/rewrite/rule.ts';
import { useMicrosoft } from '../contrib.ts';
import { embeddingRule } from '../dynamic/embedding.ts';
import { type Linear, placeFor } from '../linear.ts';
import { looksUp, readTable, type Table } from '../table.ts';
import type { LayerBook } from './book.ts';
import { smallestBlock } from './format.ts';
import { BlockStore, type StoredWeights } from './store.ts';

/** Whether the rows that a Gather looks up can be stored as codes in whole bytes, as GatherBlockQuantized reads them. */
export function canGather(node: Node, minElements: number): boolean {
  const table = readTable(node, minElements);
  return !('why' in table) && table.width % smallestBlock === 0;
}

/**
 * A table in 8 bits that no layer multiplies with is looked up by rows (Gather, Cast, Mul by the row's scale): GatherBlockQuantized works element by element. One thread, 32 and 256 rows of
 * 128: 45 and 257 µs, by rows 8 and 19 (in float 5 and 9); of 768: 241 and 1913, 11 and 54 (7 and 29).
 *
 * Gather of rows from a constant float table → com.microsoft.GatherBlockQuantized: data uint8 [rows, width·bits/8], scales
 * [rows, ceil(width/block)], zero points uint8 [rows, ceil(blocks·bits/8)]. A table that layers multiply with too is stored
 * once, in the layers' form, which differs by a Reshape that ONNX Runtime does at load.
 */
export function gatherRule(book: LayerBook, tables: LayerBook, layers: BlockStore, minElements: number): Rule {
  const own = new BlockStore(tables);
  const byRows = embeddingRule(minElements);
  const flat = new Map<Value, Value>();
  return {
    id: 'embedding',
    summary:
      'Embedding tables are looked up in blocks of codes (GatherBlockQuantized), or in 8 bits with one scale per row',
    ops: ['Gather'],
    apply(match, edit) {
      const { root } = match;
      const table = readTable(root, minElements);
      if ('why' in table) return table;
      const kept = book.keptWhy(root);
      if (kept !== undefined) return miss(root, kept);
      const { value, width } = table;
      const isAlone = !value.isGraphOutput && value.consumers.every((node) => looksUp(node, value));
      if (isAlone && table.tensor.dtype === 'float32' && tables.optionsFor({ node: root }).bits === 8)
        return byRows.apply(match, edit);
      if (width % smallestBlock !== 0)
        return miss(
          root,
          `the rows of its table "${value.name}" have ${width} elements, which blocks of ${smallestBlock} do not fill`,
        );
      const stored = weightsOf(root, table, book, own, layers);
      if (typeof stored === 'string') return miss(root, stored);
      useMicrosoft(root);
      const data = flat.get(stored.codes) ?? rowsOf(edit, stored, table, root);
      flat.set(stored.codes, data);
      const gather = edit.insert('GatherBlockQuantized', {
        domain: 'com.microsoft',
        name: root.name,
        inputs: [data, table.indices, stored.scales, stored.zeroPoints],
        attrs: { bits: stored.bits, block_size: stored.block, gather_axis: 0, quantize_axis: 1 },
        types: [tensorType(table.tensor.dtype, root.output().shape)],
      });
      edit.replace(root, gather);
      return { detail: stored.detail };
    },
  };
}

/** The codes of the table: those of the layers that multiply with it, else its own. */
function weightsOf(
  root: Node,
  { value, tensor, rows, width }: Table,
  book: LayerBook,
  own: BlockStore,
  layers: BlockStore,
): StoredWeights | string {
  if (value.isGraphOutput)
    return `its table "${value.name}" is a graph output too, so the float table would stay beside the codes`;
  const shared = layers.known(value);
  if (shared) return shared;
  const readers = value.consumers.filter((node) => !looksUp(node, value));
  const products = readers.flatMap((node) => (node.is('Transpose') ? node.output().consumers : [node]));
  const linears = products.map((node) => book.candidate(node));
  const why = linears.findIndex((linear) => typeof linear === 'string');
  if (why >= 0)
    return `its table "${value.name}" is also read by ${products[why]}, which stays in float: ${String(linears[why])}`;
  const [first] = linears as Linear[];
  if (first) return layers.get(first);
  return own.get({
    node: root,
    a: value,
    transA: false,
    weight: value,
    tensor,
    batch: [],
    k: width,
    n: rows,
    rows: 'n',
    alpha: 1,
    c: undefined,
    beta: 1,
  });
}

/** uint8 [rows, blocks, bytes] → [rows, width·bits/8] */
function rowsOf(edit: Edit, { codes, bits }: StoredWeights, { value, rows, width }: Table, root: Node): Value {
  const bytes = (width * bits) / 8;
  const anchor = placeFor(value, root);
  const shape = addConstant(anchor, `${codes.name}_shape`, int64Vector([rows, bytes]));
  const node = edit.insert('Reshape', { inputs: [codes, shape], types: [tensorType('uint8', [rows, bytes])] }, anchor);
  return node.output();
}
