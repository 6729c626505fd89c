/** A server that cannot start says why in one line of its log, and ends with 2; one that is told to end while it starts ends with 0. */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as ort from 'onnxruntime-node';
import { beforeAll, describe, expect, it } from 'vitest';
import { buildBundle } from '../../src/target/bundle.ts';
import { freePort } from '../../src/target/process.ts';
import { server } from '../../targets/server/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { installedModules } from './support/modules.ts';
import { has } from './support/programs.ts';
import { startServer } from './support/server.ts';
import { tempDir } from './support/temp.ts';

const modules = installedModules() ?? '';
const dir = await tempDir();
const whole = join(dir, 'whole');

interface End {
  readonly code: number | null;
  readonly lines: string[];
}

async function start(place: string, env: Record<string, string>): Promise<End> {
  const given = { ...process.env, PORT: String(await freePort()), ...env };
  const child = spawn(process.execPath, ['server.mjs'], { cwd: place, env: given, stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const out of [child.stdout, child.stderr]) out.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  const code = new Promise<number | null>((resolve) => child.once('close', resolve));
  const ended = await Promise.race([code, sleep(20_000, -1, { ref: false })]);
  if (ended === -1) child.kill('SIGKILL');
  return { code: ended, lines: text.trim().split('\n') };
}

/** The bundle with something changed. */
function changed(name: string, change: (place: string) => void): string {
  const place = join(dir, name);
  cpSync(whole, place, { recursive: true });
  symlinkSync(modules, join(place, 'node_modules'));
  change(place);
  return place;
}

interface Manifest {
  readonly schema: string;
  readonly model: { name?: string; files: { path: string }[] };
  readonly inputs: { dtype: string; shape: unknown }[];
  readonly golden: { tolerance?: unknown; inputs: { file: string }[] }[];
  notes?: unknown;
}

function edited(name: string, edit: (manifest: Manifest) => void): string {
  return changed(name, (place) => {
    const manifest = JSON.parse(readFileSync(join(place, 'mlpack.json'), 'utf8')) as Manifest;
    edit(manifest);
    writeFileSync(join(place, 'mlpack.json'), JSON.stringify(manifest));
  });
}

/** A pipe that nobody writes to, in the place of a file. */
function pipe(path: string): void {
  rmSync(path);
  execFileSync('mkfifo', [path]);
}

/** The one line about why, as a log has it. */
function lastWord({ code, lines }: End): [number | null, number, string] {
  const all = lines.map((line) => JSON.parse(line) as { level: number; msg: string; err?: unknown });
  const fatal = all.filter(({ level }) => level === 60);
  expect([fatal.length, fatal[0]?.err]).toEqual([1, undefined]);
  return [code, 60, fatal[0]?.msg ?? ''];
}

describe.skipIf(modules === '')('a server that cannot start', () => {
  beforeAll(async () => {
    await buildBundle(server, await makeArtifact(dir, classifier, classifierFeeds), {}, whole);
  });

  it.each<[string, (manifest: Manifest) => void, string]>([
    ['dtype', ({ inputs }) => Object.assign(inputs[0] ?? {}, { dtype: 'float33' }), 'inputs[0].dtype is "float33"'],
    ['shape', ({ inputs }) => Object.assign(inputs[0] ?? {}, { shape: [-1] }), 'inputs[0].shape is [-1]'],
    ['no model', ({ model }) => Object.assign(model, { files: [] }), 'model.files is []'],
    ['no name', ({ model }) => Object.assign(model, { name: undefined }), 'model.name is missing'],
    ['notes', (manifest) => Object.assign(manifest, { notes: null }), 'notes is null'],
    ['tolerance', ({ golden }) => Object.assign(golden[0] ?? {}, { tolerance: 1 }), 'golden[0].tolerance is 1'],
    ['schema', (manifest) => Object.assign(manifest, { schema: 'x' }), 'schema is "x"'],
    [
      'outside',
      ({ model }) => Object.assign(model.files[0] ?? {}, { path: '../x' }),
      'names "../x", which is not inside the bundle',
    ],
  ])('says what is wrong in the manifest: %s', async (name, edit, why) => {
    const end = await start(edited(name, edit), {});
    expect(lastWord(end)).toEqual([2, 60, expect.stringContaining(why)]);
  });

  it.each<[string, (place: string) => void, string]>([
    ['none', (place) => rmSync(join(place, 'mlpack.json')), 'mlpack.json is not there'],
    ['half', (place) => writeFileSync(join(place, 'mlpack.json'), '{"schema":'), 'mlpack.json is not JSON'],
    ['list', (place) => writeFileSync(join(place, 'mlpack.json'), '[]'), 'schema is missing'],
    ['model', (place) => rmSync(join(place, 'model/model.onnx')), 'model.onnx is not there'],
    ['pipe', (place) => pipe(join(place, 'mlpack.json')), 'mlpack.json is no plain file'],
    ['golden pipe', (place) => pipe(join(place, 'golden/0/input-0.bin')), 'input-0.bin is no plain file'],
    ['golden', (place) => rmSync(join(place, 'golden/0/input-0.bin')), 'input-0.bin is not there'],
    ['cut', (place) => writeFileSync(join(place, 'golden/0/input-0.bin'), 'abc'), 'is not the file that mlpack.json'],
  ])('says what is wrong with the files: %s', async (name, change, why) => {
    const end = await start(changed(`files-${name}`, change), {});
    expect(lastWord(end)).toEqual([2, 60, expect.stringContaining(why)]);
  });

  it('says which setting it cannot use', async ({ skip }) => {
    const place = changed('settings', () => {});
    writeFileSync(join(dir, 'empty.pem'), '');
    writeFileSync(join(dir, 'text.pem'), 'no certificate');
    const settings: [Record<string, string>, string][] = [
      [{ PORT: ' ' }, 'PORT must be a whole number'],
      // Of a secret that holds a line end and nothing else: without keys everybody may ask.
      [{ API_KEYS: '\n' }, 'API_KEYS: there is no key in "\\n"'],
      [{ AIP_PREDICT_ROUTE: 'predict' }, 'AIP_PREDICT_ROUTE must be a path that begins with "/"'],
      [{ TLS_CERT_FILE: join(dir, 'empty.pem'), TLS_KEY_FILE: join(dir, 'empty.pem') }, 'are no certificate'],
      [{ TLS_CERT_FILE: join(dir, 'text.pem'), TLS_KEY_FILE: join(dir, 'text.pem') }, 'are no certificate'],
      [{ TLS_CERT_FILE: dir, TLS_KEY_FILE: dir }, 'cannot be read (EISDIR)'],
      [{ REDIS_URL: 'http://:secret@redis' }, 'REDIS_URL must be an address that begins with redis://'],
    ];
    for (const [env, why] of settings) {
      const end = await start(place, env);
      expect(lastWord(end), JSON.stringify(env)).toEqual([2, 60, expect.stringContaining(why)]);
      expect(end.lines.join()).not.toContain('secret');
    }
    if (!has('openssl')) return skip();
    const pair = (name: string): Record<string, string> => {
      const [cert, key] = [join(dir, `${name}.pem`), join(dir, `${name}.key`)];
      const args = ['-x509', '-subj', '/CN=localhost', '-days', '1', '-nodes', '-newkey', 'rsa:2048'];
      execFileSync('openssl', ['req', ...args, '-keyout', key, '-out', cert], { stdio: 'ignore' });
      return { TLS_CERT_FILE: cert, TLS_KEY_FILE: key };
    };
    const [mine, another] = [pair('mine'), pair('another')];
    const mixed = await start(place, { ...mine, TLS_KEY_FILE: another.TLS_KEY_FILE ?? '' });
    expect(lastWord(mixed)).toEqual([2, 60, expect.stringContaining('key values mismatch')]);
  });

  it('says who has its port, and ends with 1', async () => {
    const place = changed('ports', () => {});
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const { port } = other.address() as { port: number };
    for (const name of ['PORT', 'GRPC_PORT']) {
      const [code, level, why] = lastWord(await start(place, { [name]: String(port) }));
      expect([code, level, why]).toEqual([1, 60, expect.stringContaining(`127.0.0.1:${port} (HOST, ${name}): `)]);
    }
    other.close();
    expect(lastWord(await start(place, { HOST: '192.0.2.1' }))).toEqual([
      1,
      60,
      expect.stringContaining('no such address'),
    ]);
  });
});

describe.skipIf(modules === '')('a server that is told to end while it starts', () => {
  /** Says when somebody listens to SIGTERM; before, the system ends it. */
  const telling =
    "data:text/javascript,process.on('newListener',(name)=>name==='SIGTERM'&&process.stderr.write('listens'))";

  it('ends with 0, whatever it is at', async () => {
    const place = changed('told', () => {});
    const env = { ...process.env, PORT: String(await freePort()), LOG_LEVEL: 'warn' };
    for (let ms = 0; ms <= 500; ms += 100) {
      const child = spawn(process.execPath, ['--import', telling, 'server.mjs'], { cwd: place, env, stdio: 'pipe' });
      let text = '';
      for (const out of [child.stdout, child.stderr])
        out.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
      const code = new Promise<number | null>((resolve) => child.once('close', resolve));
      while (text === '') await sleep(1);
      await sleep(ms);
      child.kill('SIGTERM');
      expect([await code, text], `${ms} ms`).toEqual([0, 'listens']);
    }
  }, 60_000);
});

/** Goes round its loop as often as it is told to: each time takes some microseconds. */
const rounds = `<ir_version: 8, opset_import: ["" : 17]>
main (int64[] trips, float[n,8] x) => (float[n,8] y)
<float[8,8] w = random(1, -0.1, 0.1)>
{
  y = Loop (trips, , x) <body = step (int64 i, bool on, float[n,8] before) => (bool go, float[n,8] after) { go = Identity (on)  m = MatMul (before, w)  after = Tanh (m) }>
}`;

describe.skipIf(modules === '')('a server that is told to end while it serves', () => {
  beforeAll(async () => {
    await mkdir(join(dir, 'rounds'));
    const x = new ort.Tensor('float32', new Float32Array(8), [1, 8]);
    const feeds = [{ trips: new ort.Tensor('int64', BigInt64Array.of(2n), []), x }];
    const artifact = { ...(await makeArtifact(join(dir, 'rounds'), rounds, feeds)), name: 'rounds' };
    await buildBundle(server, artifact, {}, join(dir, 'rounds/bundle'));
    symlinkSync(modules, join(dir, 'rounds/bundle/node_modules'));
  });

  /** Tells it to end while it answers a request of so many rounds; 0: none. @returns how it ended, and what it said of requests */
  async function told(drainMs: number, trips: number): Promise<{ end: number | string | null; running: boolean }> {
    const env = { DRAIN_MS: String(drainMs) };
    const artifact = await makeArtifact(dir, classifier, classifierFeeds);
    const running = await startServer(artifact, join(dir, 'rounds/bundle'), modules, { env });
    // What it said last is there when its output is closed.
    const ended = new Promise<number | string | null>((resolve) =>
      running.child.once('close', (code, signal) => resolve(code ?? signal)),
    );
    if (trips > 0) {
      const inputs = [
        { name: 'trips', datatype: 'INT64', shape: [], data: [trips] },
        { name: 'x', datatype: 'FP32', shape: [1, 8], data: Array(8).fill(1) },
      ];
      const url = `${running.url}/v2/models/rounds/infer`;
      void fetch(url, { method: 'POST', body: JSON.stringify({ inputs }) }).catch(() => {});
      await sleep(1000);
    }
    running.child.kill('SIGTERM');
    const end = await Promise.race([ended, sleep(10_000, 'never', { ref: false })]);
    if (end === 'never') running.child.kill('SIGKILL');
    return { end, running: running.log().includes('"running":1') };
  }

  it('ends with 0 where nobody waits for an answer, however short the drain time', async () => {
    for (const drainMs of [0, 100]) expect(await told(drainMs, 0), `${drainMs} ms`).toEqual({ end: 0, running: false });
  }, 60_000);

  it('ends at the end of the drain time, also in the middle of a run', async () => {
    expect(await told(500, 100_000_000)).toEqual({ end: 'SIGTERM', running: true });
  }, 60_000);
});
