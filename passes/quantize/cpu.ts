/** Kinds of processors whose integer kernels differ in what they can add up without loss. */
export const cpuProfiles = ['auto', 'vnni', 'avx512', 'avx2', 'arm-dot', 'arm', 'wasm'] as const;
export type CpuProfile = (typeof cpuProfiles)[number];

/**
 * True where u8·s8 products of full range are added in 16 bits and saturate (AVX2, AVX-512 without VNNI): such
 * machines need weights whose pairs stay below that, as 7 bits always do (`Reduce`). An unknown machine is taken for one of them.
 */
export function saturates(cpu: CpuProfile): boolean {
  return cpu === 'auto' || cpu === 'avx2' || cpu === 'avx512';
}

/**
 * Which weights take 7 bits or a little more, for processors that add u8·s8 products in 16 bits. all: 7 bits throughout · threatened: only as
 * far as pairs of products could saturate · none: 8 bits.
 */
export type Reduce = 'all' | 'threatened' | 'none';

/** @param asked the option `reduceRange` */
export function reduceFor(asked: 'auto' | 'yes' | 'no', threatened: boolean): Reduce {
  if (asked === 'yes') return 'all';
  return asked === 'auto' && threatened ? 'threatened' : 'none';
}

/**
 * The profile of a machine, for `auto`.
 * @param arch as `process.arch` has it
 * @param flags processor flags as /proc/cpuinfo or sysctl name them, in any case
 */
export function cpuProfile(arch: string, flags: readonly string[]): Exclude<CpuProfile, 'auto' | 'wasm'> {
  const has = (pattern: RegExp): boolean => flags.some((flag) => pattern.test(flag));
  if (arch === 'arm64') return has(/^(asimddp|dotprod|.*FEAT_DotProd)$/i) ? 'arm-dot' : 'arm';
  if (has(/^avx_?(512_?)?vnni$/i)) return 'vnni';
  return has(/^avx512/i) ? 'avx512' : 'avx2';
}
