import { type Manifest, wholePath } from './manifest.ts';

export const provenanceName = 'provenance.json';

/**
 * An in-toto statement with SLSA provenance v1: which tool made the model files of the bundle, by which recipe, from what.
 * Without a time or a machine, so that the same work gives the same bytes. `mlpack sign` signs it with everything else.
 * @param digests SHA-256 of the model files, whole, by bundle path
 */
export function printProvenance(manifest: Omit<Manifest, 'files'>, digests: ReadonlyMap<string, string>): string {
  const { evidence, model, tool } = manifest;
  const subject = model.files.map((file) => ({
    name: wholePath(file),
    digest: { sha256: digests.get(wholePath(file)) ?? model.sha256 },
  }));
  const dependencies = evidence
    ? [
        { name: evidence.base.name, digest: { sha256: evidence.base.sha256 } },
        ...(evidence.data?.sha256 ? [{ name: evidence.data.name, digest: { sha256: evidence.data.sha256 } }] : []),
      ]
    : [{ name: model.name, digest: { sha256: model.sha256 } }];
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject,
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'urn:mlpack:bundle:1',
        externalParameters: {
          target: manifest.target,
          options: manifest.options,
          variant: manifest.variant,
          version: manifest.release.version,
          recipe: evidence?.recipe ?? [],
          ...(evidence && { seed: evidence.seed }),
        },
        resolvedDependencies: dependencies,
      },
      runDetails: { builder: { id: `urn:mlpack:tool:${tool.name}`, version: { [tool.name]: tool.version } } },
    },
  };
  return `${JSON.stringify(statement, null, 2)}\n`;
}
