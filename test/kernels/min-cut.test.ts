import fc from 'fast-check';
import { expect, it } from 'vitest';
import { FlowNetwork } from '../../src/kernels/min-cut.ts';

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly capacity: number;
}

/** Cost of a split: the capacity of all edges from the source's side to the sink's. */
const costOf = (edges: readonly Edge[], side: (node: number) => boolean): number =>
  edges.reduce((sum, { from, to, capacity }) => sum + (side(from) && !side(to) ? capacity : 0), 0);

it('finds a split as cheap as the best of all', () => {
  const edge = fc.record({
    from: fc.integer({ min: 0, max: 6 }),
    to: fc.integer({ min: 0, max: 6 }),
    capacity: fc.double({ min: 0, max: 9, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(edge, { maxLength: 20 }), (edges) => {
      const network = new FlowNetwork();
      for (let node = 2; node < 7; node++) expect(network.node()).toBe(node);
      for (const { from, to, capacity } of edges) network.edge(from, to, capacity);
      const sides = network.cut();
      expect([sides[0], sides[1]]).toEqual([true, false]);
      let best = Number.POSITIVE_INFINITY;
      for (let mask = 0; mask < 32; mask++)
        best = Math.min(
          best,
          costOf(edges, (node) => node === 0 || (node > 1 && ((mask >> (node - 2)) & 1) === 1)),
        );
      expect(costOf(edges, (node) => sides[node] === true)).toBeCloseTo(best, 6);
      expect(network.cost(sides)).toBeCloseTo(best, 6);
    }),
  );
});

it('goes through a chain of many thousand nodes', () => {
  const network = new FlowNetwork();
  let last = 0;
  for (let i = 0; i < 20000; i++) {
    const node = network.node();
    network.edge(last, node, i === 12345 ? 1 : 2);
    last = node;
  }
  network.edge(last, 1, 3);
  expect(network.cut().filter(Boolean)).toHaveLength(12346);
});
