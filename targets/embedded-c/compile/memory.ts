import type { Block, Ref, Step } from './types.ts';

/** Where the blocks of the arena lie. */
export interface MemoryPlan {
  readonly offsets: ReadonlyMap<Block, number>;
  readonly bytes: number;
  /** Least that any plan needs for these steps: the most bytes that are alive at once, scratch included. */
  readonly lowerBound: number;
}

interface Life {
  readonly block: Block;
  readonly size: number;
  from: number;
  to: number;
}

/** Vector loads want no more; weights are aligned the same way. */
const alignment = 16;

function round(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment;
}

/**
 * Static plan: which blocks take whose place, and an offset for each. Outputs of elementwise steps take over the block of an
 * input that dies there. The rest is first fit over several orders (by size, by life, by both, and shuffles of a fixed
 * generator); the smallest arena wins. Over the shared models this reaches the lower bound (docs/edge.md).
 */
export function planMemory(steps: readonly Step[]): MemoryPlan {
  const merged = mergeInPlace(steps);
  const lives = livesOf(steps, merged);
  const lowerBound = mostAlive(lives, steps.length);
  let best: { offsets: Map<Block, number>; bytes: number } | undefined;
  for (const order of orders(lives)) {
    const found = firstFit(order);
    if (!best || found.bytes < best.bytes) best = found;
    if (best.bytes === lowerBound) break;
  }
  const placed = best?.offsets ?? new Map<Block, number>();
  const offsets = new Map<Block, number>();
  for (const step of steps)
    for (const block of blocksOf(step))
      if (block.kind === 'arena') offsets.set(block, placed.get(rootOf(merged, block)) ?? 0);
  return { offsets, bytes: best?.bytes ?? 0, lowerBound };
}

function* blocksOf({ reads, writes, scratch }: Step): Generator<Block> {
  for (const ref of [...reads, ...writes]) yield ref.block;
  if (scratch) yield scratch;
}

function rootOf(merged: ReadonlyMap<Block, Block>, block: Block): Block {
  let root = block;
  for (let next = merged.get(root); next; next = merged.get(root)) root = next;
  return root;
}

/** Block → the block whose memory it takes over. */
function mergeInPlace(steps: readonly Step[]): Map<Block, Block> {
  const last = new Map<Block, number>();
  for (const [at, step] of steps.entries()) for (const block of blocksOf(step)) last.set(block, at);
  const merged = new Map<Block, Block>();
  for (const [at, { inPlace = [], writes }] of steps.entries()) {
    const out = writes[0]?.block;
    if (out?.kind !== 'arena' || merged.has(out)) continue;
    const donor = inPlace.find(
      ({ block }: Ref) =>
        block.kind === 'arena' && block !== out && last.get(block) === at && round(block.bytes) >= round(out.bytes),
    );
    if (donor) merged.set(out, donor.block);
  }
  return merged;
}

function livesOf(steps: readonly Step[], merged: ReadonlyMap<Block, Block>): Life[] {
  const lives = new Map<Block, Life>();
  for (const [at, step] of steps.entries()) {
    for (const block of blocksOf(step)) {
      if (block.kind !== 'arena') continue;
      const root = rootOf(merged, block);
      const life = lives.get(root);
      if (life) life.to = at;
      else lives.set(root, { block: root, size: round(root.bytes), from: at, to: at });
    }
  }
  return [...lives.values()];
}

function mostAlive(lives: readonly Life[], steps: number): number {
  let most = 0;
  for (let at = 0; at < steps; at++) {
    let alive = 0;
    for (const { size, from, to } of lives) if (from <= at && at <= to) alive += size;
    most = Math.max(most, alive);
  }
  return most;
}

function* orders(lives: readonly Life[]): Generator<Life[]> {
  const length = ({ from, to }: Life): number => to - from;
  yield [...lives].sort((a, b) => b.size - a.size || a.from - b.from);
  yield [...lives].sort((a, b) => length(b) - length(a) || b.size - a.size);
  yield [...lives].sort((a, b) => b.size * (length(b) + 1) - a.size * (length(a) + 1) || a.from - b.from);
  yield [...lives].sort((a, b) => a.from - b.from || b.size - a.size);
  let seed = 1;
  const random = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  };
  for (let round = 0; round < 200; round++) {
    const keys = new Map(lives.map((life) => [life, life.size * (0.5 + random())]));
    yield [...lives].sort((a, b) => (keys.get(b) ?? 0) - (keys.get(a) ?? 0) || a.from - b.from);
  }
}

function firstFit(order: readonly Life[]): { offsets: Map<Block, number>; bytes: number } {
  const placed: { life: Life; offset: number }[] = [];
  const offsets = new Map<Block, number>();
  let bytes = 0;
  for (const life of order) {
    let offset = 0;
    // `placed` is sorted by offset, so the first gap that is wide enough is the lowest place.
    for (const { life: other, offset: at } of placed) {
      if (other.to < life.from || life.to < other.from) continue;
      if (at - offset >= life.size) break;
      offset = Math.max(offset, at + other.size);
    }
    const index = placed.findIndex((one) => one.offset > offset);
    placed.splice(index < 0 ? placed.length : index, 0, { life, offset });
    offsets.set(life.block, offset);
    bytes = Math.max(bytes, offset + life.size);
  }
  return { offsets, bytes };
}
