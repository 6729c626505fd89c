import { float } from '../../../src/ir/attr.ts';
import { constantNumbers, constantOf } from '../../../src/ir/constant.ts';
import { equalDims } from '../../../src/ir/dim.ts';
import type { Node, Value } from '../../../src/ir/graph.ts';
import { clusterMatch, usedInside } from '../../../src/rewrite/cluster.ts';
import { type Miss, miss } from '../../../src/rewrite/match.ts';
import type { Rule, Site } from '../../../src/rewrite/rule.ts';
import type { FusionTarget } from '../target.ts';

interface Lookup {
  readonly node: Node;
  readonly table: Value;
  readonly ids: Value;
}

interface Embedding {
  readonly words: Lookup;
  /** Rows 0, 1, 2, … of the table of positions are added to every sample. */
  readonly positions: Value;
  readonly segments: Lookup | undefined;
  readonly nodes: ReadonlySet<Node>;
}

/** LayerNormalization of embeddings of words, positions and segments: what BERT begins with. */
export function embedNorm(target: FusionTarget): Rule {
  return {
    id: 'embed-norm',
    summary: 'LayerNormalization of the sum of embeddings of words, positions and segments is EmbedLayerNormalization',
    ops: ['LayerNormalization'],
    find(node, site) {
      const found = findEmbedding(node, site, target);
      if ('why' in found) return found;
      return clusterMatch(found.nodes, node, { gamma: node.input(1), beta: node.input(2) });
    },
    apply(match, edit) {
      const { root } = match;
      const found = findEmbedding(root, edit, target);
      if ('why' in found) return found;
      const { words, positions, segments } = found;
      // The operator reads 32-bit numbers.
      const narrow = (ids: Value): Value =>
        edit.types.dtypeOf(ids) === 'int32' ? ids : edit.insert('Cast', { inputs: [ids], attrs: { to: 6 } }).output();
      edit.importDomain('com.microsoft');
      const fused = edit.insert('EmbedLayerNormalization', {
        domain: 'com.microsoft',
        inputs: [
          narrow(words.ids),
          segments && narrow(segments.ids),
          words.table,
          positions,
          segments?.table,
          match.value('gamma'),
          match.value('beta'),
        ],
        // The second output, lengths of a mask that is not given, must be there.
        outputs: ['', ''],
        attrs: { epsilon: float(root.float('epsilon', Math.fround(1e-5))) },
      });
      fused.name = root.name;
      edit.replace(root, fused);
      return undefined;
    },
  };
}

/** Terms of a sum, and the Adds between them. */
function terms(value: Value, nodes: Set<Node>): Value[] {
  const node = value.producer;
  if (!node?.is('Add') || nodes.size > 3) return [value];
  nodes.add(node);
  return node.inputs.flatMap((input) => (input ? terms(input, nodes) : []));
}

/** A Gather of rows of a constant matrix by a matrix of indices. */
function lookup(value: Value, { types }: Site): Lookup | undefined {
  const node = value.producer;
  const [table, ids] = node?.inputs ?? [];
  if (!node?.is('Gather') || !table || !ids || node.int('axis', 0) !== 0) return undefined;
  if (constantOf(table)?.shape.length !== 2) return undefined;
  return types.shapeOf(ids)?.length === 2 ? { node, table, ids } : undefined;
}

function findEmbedding(norm: Node, site: Site, target: FusionTarget): Embedding | Miss {
  const quiet = (why: string): Miss => miss(norm, why, false);
  const sum = norm.input(0);
  const nodes = new Set<Node>([norm]);
  if (!sum?.producer?.is('Add')) return quiet('what it normalizes is no sum');
  const parts = terms(sum, nodes);
  const lookups = parts.map((part) => lookup(part, site));
  const [words, second] = lookups.filter((found) => found !== undefined && !isCounted(found.ids, site));
  const counted = lookups.find((found) => found !== undefined && isCounted(found.ids, site));
  const constants = parts.filter((part) => constantOf(part));
  if (!words || parts.length > 3) return quiet('it is no sum of embeddings');
  const offer = target.offers('EmbedLayerNormalization', site.types.dtypeOf(sum));
  if (offer !== true) return quiet(offer);
  if (norm.inputs.length < 3 || !constantOf(norm.input(1)) || !constantOf(norm.input(2)))
    return miss(norm, 'the embeddings have a norm without constant scale and shift');
  const axis = norm.int('axis', -1);
  if (axis !== -1 && axis !== 2) return miss(norm, `it normalizes embeddings over axis ${axis}`);
  if (norm.outputs.slice(1).some((output) => output?.isUsed)) return miss(norm, 'its mean or deviation is used too');
  const expected = 1 + (second ? 1 : 0) + 1;
  const length = site.types.shapeOf(words.ids)?.[1];
  const positions = counted?.table ?? positionsOf(constants[0], length);
  if (!positions || parts.length !== expected)
    return miss(norm, 'embeddings of positions that count from 0 are not among what it normalizes');
  const found = [words, second, counted].filter((entry) => entry !== undefined);
  for (const entry of found) {
    nodes.add(entry.node);
    const dtype = site.types.dtypeOf(entry.ids);
    if (dtype !== 'int32' && dtype !== 'int64')
      return miss(norm, `"${entry.ids.name}" is ${dtype ?? 'of unknown type'}`);
    const own = site.types.shapeOf(entry.ids);
    if (entry !== counted && own && !own.every((dim, at) => equalDims(dim, site.types.shapeOf(words.ids)?.[at])))
      return miss(norm, `"${entry.ids.name}" is not known to have the shape of "${words.ids.name}"`);
  }
  if (counted && !equalDims(site.types.shapeOf(counted.ids)?.[1], length))
    return miss(norm, `"${counted.ids.name}" is not known to have as many positions as "${words.ids.name}"`);
  const free = usedInside(nodes, norm);
  if (free !== true) return miss(norm, `embeddings and their norm, but ${free}`);
  return { words, positions, segments: second, nodes };
}

/** 0, 1, 2, … as a constant [1, length]. */
function isCounted(ids: Value, { types }: Site): boolean {
  const numbers = constantNumbers(ids);
  return types.shapeOf(ids)?.[0] === 1 && numbers?.every((number, at) => number === at) === true;
}

/** Rows of positions that were looked up beforehand: [1, length, size] or [length, size]. */
function positionsOf(value: Value | undefined, length: unknown): Value | undefined {
  const shape = constantOf(value)?.shape;
  return shape?.length === 2 && shape[0] === length ? value : undefined;
}
