/** Made-up inputs that activations are counted on: more of the same noise moves no range. */
export const syntheticSamples = 8;
