/** What SageMaker, Vertex AI and registries get, used as they would use it. */
import { execFileSync, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { freePort } from '../../src/target/process.ts';
import type { Artifact } from '../../src/target/target.ts';
import { oci } from '../../targets/oci/index.ts';
import { paramSize } from '../../targets/oci/modelpack.ts';
import { sagemaker } from '../../targets/sagemaker/index.ts';
import { deployScript } from '../../targets/sagemaker/requests.ts';
import { vertex } from '../../targets/vertex/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules() ?? '';
const dir = await tempDir();
const instance = { image: [Array.from({ length: 12 }, () => Array.from({ length: 12 }, () => 1))] };
let artifact: Artifact;

beforeAll(async () => {
  artifact = { ...(await makeArtifact(dir, classifier, classifierFeeds)), weightBytes: { float32: 4900, int64: 8 } };
});

const json = async (path: string): Promise<Record<string, unknown>> =>
  JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;

/** Starts the server with these arguments and variables, waits for `ready`, and gives `use` its address. */
async function serving(
  place: string,
  args: string[],
  env: Record<string, string>,
  ready: string,
  use: (url: string) => Promise<void>,
): Promise<void> {
  const child = spawn(process.execPath, ['server.mjs', ...args], {
    cwd: place,
    env: { ...process.env, LOG_LEVEL: 'fatal', ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  const url = `http://127.0.0.1:${env.PORT ?? env.AIP_HTTP_PORT}`;
  try {
    for (let tried = 0; tried < 400 && child.exitCode === null; tried++) {
      const response = await fetch(`${url}${ready}`).catch(() => undefined);
      await response?.arrayBuffer();
      if (response?.ok) return await use(url);
      await sleep(50);
    }
    throw new Error(`the server is not ready: exit code ${child.exitCode}`);
  } finally {
    child.kill('SIGTERM');
    await exit;
  }
}

describe('SageMaker', () => {
  it.skipIf(modules === '')('serves what model.tar.gz unpacks to, and nothing else', async () => {
    const bundle = join(dir, 'sagemaker');
    await buildBundle(sagemaker, artifact, { bucket: 'models' }, bundle);
    const unpacked = join(dir, 'opt-ml-model');
    await mkdir(unpacked);
    execFileSync('tar', ['-xzf', join(bundle, 'model.tar.gz'), '-C', unpacked]);
    expect(await readdir(unpacked)).toEqual(['model.onnx']);
    // The image: the bundle without its model, as the Dockerfile copies it.
    const dockerfile = await readFile(join(bundle, 'Dockerfile'), 'utf8');
    expect(dockerfile).toMatch(/^USER 0:0$/m);
    expect(dockerfile).toMatch(/MODEL_DIR=\/opt\/ml\/model/);
    expect(dockerfile).not.toMatch(/^COPY model /m);
    const image = join(dir, 'image');
    await cp(bundle, image, { recursive: true });
    await rm(join(image, 'model'), { recursive: true });
    await symlink(modules, join(image, 'node_modules'));
    const port = String(await freePort());
    await serving(image, ['serve'], { PORT: port, MODEL_DIR: unpacked }, '/ping', async (url) => {
      const response = await fetch(`${url}/invocations`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ instances: [instance] }),
      });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ predictions: [expect.anything()] });
    });
    const other = join(dir, 'other');
    await mkdir(other);
    await expect(serving(image, [], { PORT: port, MODEL_DIR: other }, '/ping', async () => {})).rejects.toThrow(
      'exit code 2',
    );
  });

  it('says where things go, under names that change with the model', async () => {
    const place = join(dir, 'sagemaker/deploy');
    const version = artifact.files[0]?.sha256.slice(0, 8);
    expect(await json(join(place, 'create-model.json'))).toMatchObject({
      ModelName: `tiny-${version}`,
      PrimaryContainer: {
        Image: `tiny-server:${version}`,
        ModelDataUrl: `s3://models/tiny/${version}/model.tar.gz`,
        Environment: { MODEL_DIR: '/opt/ml/model' },
      },
    });
    expect(await json(join(place, 'create-endpoint.json'))).toEqual({
      EndpointName: 'tiny',
      EndpointConfigName: `tiny-${version}`,
    });
    execFileSync('sh', ['-n', join(place, 'deploy.sh')]);
    // Run twice, with stand-ins that remember what was created: the second time nothing is created again.
    const tools = join(dir, 'tools');
    await mkdir(tools);
    const remember = `#!/bin/sh
echo "$1 $2" >> '${tools}/calls'
case "$2" in
  describe-repositories | describe-model | describe-endpoint-config | describe-endpoint) test -e '${tools}'/"$(echo "$2" | sed 's/describe/create/; s/ies$/y/')" ;;
  create-*) test ! -e '${tools}'/"$2" && touch '${tools}'/"$2" ;;
  get-login-password) echo secret ;;
esac
`;
    await writeFile(join(tools, 'aws'), remember, { mode: 0o755 });
    await writeFile(
      join(tools, 'docker'),
      `#!/bin/sh\n[ "$1" != login ] || { cat > /dev/null; exit; }\necho "$*" >> '${tools}/docker-calls'\n`,
      { mode: 0o755 },
    );
    const env = {
      ...process.env,
      PATH: `${tools}:${process.env.PATH}`,
      ACCOUNT: '1',
      REGION: 'r',
      ROLE: 'arn:aws:iam::1:role/r',
    };
    const calls = async (): Promise<string[]> => {
      await rm(join(tools, 'calls'), { force: true });
      execFileSync('sh', [join(place, 'deploy.sh')], { env, stdio: ['ignore', 'ignore', 'inherit'] });
      return (await readFile(join(tools, 'calls'), 'utf8')).split('\n').filter((line) => /create|update/.test(line));
    };
    const made = ['model', 'endpoint-config', 'endpoint'].map((what) => `sagemaker create-${what}`);
    expect(await calls()).toEqual(['ecr create-repository', ...made]);
    expect(await calls()).toEqual(['sagemaker update-endpoint']);
    // SageMaker takes no OCI manifest, and a machine like this one has x86 processors.
    const build = `buildx build --platform linux/amd64 --provenance=false --output type=image,name=1.dkr.ecr.r.amazonaws.com/tiny-server:${version},push=true,oci-mediatypes=false .`;
    expect((await readFile(join(tools, 'docker-calls'), 'utf8')).split('\n')).toEqual([build, build, '']);
    const places = { image: '', bucket: 'b', role: 'r' };
    for (const [instance, platform] of [
      ['ml.c7g.large', 'arm64'],
      ['ml.m6gd.xlarge', 'arm64'],
      ['ml.g5.xlarge', 'amd64'],
      ['ml.c7i.large', 'amd64'],
    ] as const)
      expect(deployScript('tiny', { ...places, instance }), instance).toContain(`--platform linux/${platform} `);
    const options = {
      image: '',
      baseImage: 'node:22',
      bucket: 'b',
      role: 'arn:aws:iam::1:role/r',
      instance: 'ml.c6i.large',
    };
    expect(sagemaker.supports(artifact, { ...options, bucket: 'a b"' }).because.join()).toContain('no name of AWS');
  });
});

describe('Vertex AI', () => {
  it.skipIf(modules === '')('answers on the routes that its requests name', async () => {
    const bundle = join(dir, 'vertex');
    await buildBundle(vertex, artifact, {}, bundle);
    await symlink(modules, join(bundle, 'node_modules'));
    const { model } = (await json(join(bundle, 'deploy/upload.json'))) as {
      model: { containerSpec: { healthRoute: string; predictRoute: string } };
    };
    const { healthRoute, predictRoute } = model.containerSpec;
    const env = {
      AIP_HTTP_PORT: String(await freePort()),
      AIP_HEALTH_ROUTE: healthRoute,
      AIP_PREDICT_ROUTE: predictRoute,
    };
    await serving(bundle, [], env, healthRoute, async (url) => {
      const body = JSON.stringify({ instances: [instance, instance] });
      const response = await fetch(`${url}${predictRoute}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body,
      });
      expect([response.status, ((await response.json()) as { predictions: unknown[] }).predictions.length]).toEqual([
        200, 2,
      ]);
    });
    execFileSync('sh', ['-n', join(bundle, 'deploy/deploy.sh')]);
    // Its machines are x86, whatever the one is that builds.
    expect(await readFile(join(bundle, 'deploy/deploy.sh'), 'utf8')).toMatch(/^docker build --platform linux\/amd64 /m);
    expect(await readFile(join(bundle, 'README.md'), 'utf8')).toContain(`AIP_PREDICT_ROUTE=${predictRoute}`);
  });
});

interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Record<string, string>;
  readonly platform?: { readonly architecture: string };
}
interface OciManifest {
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: Descriptor[];
}

describe('OCI layout', () => {
  const layout = join(dir, 'oci/oci');
  const blob = async <T>(digest: string): Promise<T> =>
    JSON.parse(await readFile(join(layout, 'blobs', digest.replace(':', '/')), 'utf8')) as T;

  beforeAll(async () => {
    const two = join(dir, 'weights');
    await cp(artifact.files[0]?.source ?? '', two);
    const extra = {
      name: 'model.onnx.data',
      source: two,
      bytes: artifact.files[0]?.bytes ?? 0,
      sha256: artifact.files[0]?.sha256 ?? '',
    };
    await buildBundle(oci, { ...artifact, files: [...artifact.files, extra] }, { maxBatch: 4 }, join(dir, 'oci'));
  });

  it('has blobs that are what their names say, and nothing that nobody points to', async () => {
    const names = await readdir(join(layout, 'blobs/sha256'));
    for (const name of names) {
      const bytes = await readFile(join(layout, 'blobs/sha256', name));
      expect(createHash('sha256').update(bytes).digest('hex')).toBe(name);
    }
    const seen = new Set<string>();
    const walk = async ({ mediaType, digest, size }: Descriptor): Promise<void> => {
      expect((await readFile(join(layout, 'blobs', digest.replace(':', '/')))).length).toBe(size);
      seen.add(digest.slice(7));
      if (mediaType.endsWith('index.v1+json')) {
        for (const one of (await blob<{ manifests: Descriptor[] }>(digest)).manifests) await walk(one);
      } else if (mediaType.endsWith('manifest.v1+json')) {
        const { config, layers } = await blob<OciManifest>(digest);
        for (const one of [config, ...layers]) await walk(one);
      }
    };
    const { manifests } = (await json(join(layout, 'index.json'))) as { manifests: Descriptor[] };
    for (const one of manifests) await walk(one);
    expect([...seen].sort()).toEqual(names.sort());
    expect(manifests.map(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'])).toEqual([
      'image',
      'modelpack',
    ]);
  });

  it('describes a ModelPack as the specification does', async () => {
    const { manifests } = (await json(join(layout, 'index.json'))) as { manifests: Descriptor[] };
    const manifest = await blob<OciManifest>(manifests[1]?.digest ?? '');
    expect(manifest.artifactType).toBe('application/vnd.cncf.model.manifest.v1+json');
    expect(manifest.config.mediaType).toBe('application/vnd.cncf.model.config.v1+json');
    const places = manifest.layers.map(({ mediaType, annotations }) => [
      annotations?.['org.cncf.model.filepath'],
      mediaType,
    ]);
    const type = (kind: string): string => `application/vnd.cncf.model.${kind}.v1.tar`;
    expect(places).toEqual([
      // The sister models of the ensemble sort before the model's own folder: "-" comes before "/".
      ['models/tiny-pictures/1/ensemble.txt', type('doc')],
      ['models/tiny-pictures/config.pbtxt', type('weight.config')],
      ['models/tiny-pictures/labels.txt', type('doc')],
      ['models/tiny-prepare/1/model.onnx', type('weight')],
      ['models/tiny-prepare/config.pbtxt', type('weight.config')],
      // External data: the "file" is a folder of that name, as Triton has it.
      ['models/tiny/1/model.onnx/model.onnx', type('weight')],
      ['models/tiny/1/model.onnx/model.onnx.data', type('weight')],
      ['models/tiny/config.pbtxt', type('weight.config')],
      ['models/tiny/labels.txt', type('doc')],
      ['models/tiny/warmup/input-0', type('dataset')],
    ]);
    expect(await blob(manifest.config.digest)).toEqual({
      descriptor: { name: 'tiny', version: '1.0.0', title: 'tiny (base)', licenses: ['Apache-2.0'] },
      config: { format: 'onnx', precision: 'float32,int64' },
      modelfs: { type: 'layers', diffIds: manifest.layers.map(({ digest }) => digest) },
    });
  });

  it('is taken by skopeo, for both platforms, and unpacks to the repository', async ({ skip }) => {
    if (!has('skopeo')) {
      note('no skopeo on this machine: the OCI layout is not read by it');
      return skip();
    }
    for (const architecture of ['amd64', 'arm64']) {
      const args = ['--override-os', 'linux', '--override-arch', architecture, 'inspect', `oci:${layout}:image`];
      const seen = JSON.parse(execFileSync('skopeo', args, { encoding: 'utf8' })) as Record<string, unknown>;
      expect(seen).toMatchObject({ Architecture: architecture, Labels: { 'org.opencontainers.image.title': 'tiny' } });
    }
    const root = join(dir, 'root');
    await mkdir(root);
    for (const name of ['image', 'modelpack']) {
      const copy = join(dir, `copied-${name}`);
      const args = ['--insecure-policy', '--override-os', 'linux', '--override-arch', 'amd64'];
      execFileSync('skopeo', [...args, 'copy', '-q', `oci:${layout}:${name}`, `dir:${copy}`]);
      const { layers } = (await json(join(copy, 'manifest.json'))) as unknown as OciManifest;
      for (const { digest } of layers) execFileSync('tar', ['-xf', join(copy, digest.slice(7)), '-C', root]);
      const model = await readFile(join(root, 'models/tiny/1/model.onnx/model.onnx'));
      expect(model.equals(await readFile(artifact.files[0]?.source ?? ''))).toBe(true);
      expect(await readFile(join(root, 'models/tiny/config.pbtxt'), 'utf8')).toContain('max_batch_size: 4');
    }
  });

  it.each([
    [999, '999'],
    [1_234_567, '1.23M'],
    [6_700_000_000, '6.7B'],
    [27_000, '27K'],
  ])('writes %i parameters as %s', (count, text) => {
    expect(paramSize(count)).toBe(text);
  });
});
