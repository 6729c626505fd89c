/**
 * Why no mix of formats is searched for where one of these variants misses the floor (`rescuesOf` names those that lead to one): what to take in its
 * place, as a clause of the variant's own.
 */
export const unmixed: Readonly<Record<string, string>> = {
  uint8:
    'no mix is searched for it: it rounds as int8 does and differs in the kernel alone, so what int8 leads to (mixed) is its mix',
  'int4-dq':
    'no mix is searched for it: its codes are those of int4, so what int4 leads to (mixed) is its mix, with MatMulNBits in place of DequantizeLinear',
  pruned:
    'no mix is searched for it: its own search was held to this floor on half of the samples, and the others do not agree (more samples would)',
  'pruned-int8':
    'no mix is searched for it, since pruning has spent what was allowed; a variant of your own can spend less on it: ["prune-search:maxDrop=0.005", "mixed-precision"] in a config',
};
