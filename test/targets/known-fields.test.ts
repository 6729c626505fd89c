/** No field in a manifest that nobody reads: clusters and CRD validators drop what they do not know, in silence. */
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { buildBundle } from '../../src/target/bundle.ts';
import { batch } from '../../targets/batch/index.ts';
import { kserve } from '../../targets/kserve/index.ts';
import { server } from '../../targets/server/index.ts';
import { stream } from '../../targets/stream/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { type Named, unknownFields } from './support/known-fields.ts';
import { tempDir } from './support/temp.ts';

/** Every Kubernetes object in the files of a bundle. */
async function objectsOf(bundle: string): Promise<Named[]> {
  const found: Named[] = [];
  for (const entry of await readdir(bundle, { recursive: true, withFileTypes: true })) {
    if (!/\.ya?ml$/.test(entry.name)) continue;
    const path = join(entry.parentPath, entry.name);
    for (const document of parseAllDocuments(await readFile(path, 'utf8'))) {
      const { apiVersion, kind } = (document.toJS() ?? {}) as { apiVersion?: string; kind?: string };
      if (apiVersion === undefined) continue;
      found.push([relative(bundle, path), `${apiVersion}/${kind}` as Named[1], document.toJS()]);
    }
  }
  return found;
}

/** kustomize adds the selector of a Deployment and the labels of its pods, which the schema asks for. */
function selected([name, kind, value]: Named): Named {
  if (kind !== 'apps/v1/Deployment') return [name, kind, value];
  const { spec, ...rest } = value as { spec: { selector?: object } };
  return [name, kind, { ...rest, spec: { selector: {}, ...spec } }];
}

describe('manifests', () => {
  it('hold no field that their kind does not have', { timeout: 60_000 }, async () => {
    const dir = await tempDir();
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    await buildBundle(server, artifact, {}, join(dir, 'server'));
    await buildBundle(kserve, artifact, { maxBatch: 2 }, join(dir, 'kserve'));
    await buildBundle(batch, artifact, {}, join(dir, 'batch'));
    await buildBundle(
      stream,
      artifact,
      { broker: 'kafkas://k', login: 'scram-sha-512', in: 'rows' },
      join(dir, 'stream'),
    );
    const objects = await Promise.all(['server', 'kserve', 'batch', 'stream'].map((id) => objectsOf(join(dir, id))));
    const dashboard = await readFile(join(dir, 'server/deploy/monitoring/grafana-dashboard.json'), 'utf8');
    const all: Named[] = [...objects.flat().map(selected), ['dashboard', 'grafana/dashboard', JSON.parse(dashboard)]];
    expect(new Set(all.map(([, kind]) => kind)).size).toBeGreaterThanOrEqual(19);

    // The same with one field wrong, deep inside: what this test is for.
    const wrong = (name: string, from: string, to: string): Named => {
      const [, kind, value] = all.find(([one]) => one === name) ?? ['', 'v1/Service', {}];
      const text = JSON.stringify(value);
      expect(text).toContain(`"${from}":`);
      return [`wrong ${name}`, kind, JSON.parse(text.replace(`"${from}":`, `"${to}":`))];
    };
    const mistakes = [
      wrong('inferenceservice.yaml', 'storageUri', 'storageURI'),
      wrong('deploy/kubernetes/base/deployment.yaml', 'failureThreshold', 'failureTreshold'),
      wrong('deploy/kubernetes/canary/rollout.yaml', 'startingStep', 'startStep'),
      wrong('deploy/kubernetes/scaledobject.yaml', 'triggers', 'trigger'),
      wrong('deploy/kubernetes/monitoring/prometheusrule.yaml', 'annotations', 'annotation'),
      wrong('dashboard', 'gridPos', 'gridPosition'),
    ];
    const said = await unknownFields([...all, ...mistakes]);
    const names = said.map((line) => line.slice(0, line.indexOf(':')));
    expect(said.filter((line) => !line.startsWith('wrong '))).toEqual([]);
    expect(new Set(names)).toEqual(new Set(mistakes.map(([name]) => name)));
  });
});
