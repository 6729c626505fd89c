import { spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { channelPlace } from '../../../src/target/channel/folder.ts';
import { publish } from '../../../src/target/channel/publish.ts';
import { literalPath } from '../../../src/target/literal.ts';
import { classifier, classifierFeeds, makeArtifact } from './artifact.ts';
import { startHostile } from './hostile-server.ts';
import { type Behaviour, lightBundle } from './light-bundle.ts';

const injector = fileURLToPath(new URL('inject-faults.mjs', import.meta.url));
const agentProgram = literalPath('edge', 'agent/agent.mjs');

interface State {
  readonly active: {
    readonly slot: string;
    readonly version: string;
    readonly manifest: string;
    readonly status: string;
  };
  readonly fallback: { readonly slot: string; readonly manifest: string } | null;
}
interface Boot {
  chooseSlot(root: string): Promise<{ state: State; slot: string }>;
  confirm(root: string): Promise<boolean>;
}
interface Slots {
  isWhole(slot: string, manifest: string): Promise<boolean>;
}

/** What goes wrong in one look at the channel. Power is cut three times as often as the rest: it is what most can go wrong by. */
const kinds = [
  'kill',
  'torn',
  'power',
  'power',
  'power',
  'full',
  'io',
  'moment',
  'network',
  'replay',
  'forgery',
  'expired',
  'sick',
  'crashes',
  'rot',
] as const;

export interface FaultReport {
  readonly trials: number;
  readonly byKind: Readonly<Record<string, number>>;
  /** Versions that the device took on in the end. */
  readonly updates: number;
  /** Processes that died by a fault, as they should. */
  readonly killed: number;
}

/** Mulberry32. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function run(
  args: readonly string[],
  { cwd, env = {}, killAfter }: { cwd?: string; env?: object; killAfter?: number } = {},
) {
  const child = spawn(process.execPath, [...args], {
    cwd,
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  const timer = killAfter === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfter);
  return new Promise<{ code: number | null; signal: string | null; text: string }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, text });
    });
  });
}

/**
 * One device through `trials` looks at its channel, each with one fault by the seed; after each it must start a version that works and that was not given up,
 * and whenever faults are off it must reach the newest one.
 * @throws Error with the trial that it fails in
 */
export async function runFaults(
  dir: string,
  trials: number,
  seed: number,
  say: (text: string) => void = () => {},
): Promise<FaultReport> {
  const random = randomOf(seed);
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)] as T;
  /** Kinds that are still to come before each has come again. */
  let deck: (typeof kinds)[number][] = [];
  const boot = (await import(literalPath('edge', 'agent/boot.mjs'))) as Boot;
  const { isWhole } = (await import(literalPath('edge', 'agent/slots.mjs'))) as Slots;
  const artifact = await makeArtifact(dir, classifier, classifierFeeds);
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const forger = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey;
  const [folder, root] = [join(dir, 'public'), join(dir, 'device')];
  await mkdir(folder, { recursive: true });
  const keys = join(dir, 'keys.pem');
  await writeFile(keys, pair.publicKey.export({ type: 'spki', format: 'pem' }));
  const behaviours = new Map<string, Behaviour>();
  let newest = '';
  let number = 0;

  async function offer(
    behaviour: Behaviour,
    key: KeyObject = pair.privateKey,
    days = 30,
    at = Date.now(),
  ): Promise<void> {
    const version = `1.0.${number++}`;
    const place = await lightBundle(artifact, join(dir, `v${version}`), version, behaviour);
    await publish(place, 100, { folder, channel: 'stable', key, days, at });
    behaviours.set(version, behaviour);
    if (behaviour === 'works' && key === pair.privateKey && days > 0) newest = version;
  }

  await offer('works');
  const server = await startHostile(folder);
  const setUp = await run([
    agentProgram,
    'init',
    '--root',
    root,
    '--bundle',
    join(dir, 'v1.0.0'),
    '--url',
    server.url,
    '--key',
    keys,
  ]);
  if (setUp.code !== 0) throw new Error(setUp.text);
  await mkdir(join(root, 'runtime/node_modules/onnxruntime-node'), { recursive: true });
  await writeFile(join(root, 'runtime/node_modules/onnxruntime-node/package.json'), '{"version":"1.30.0"}');
  const byKind: Record<string, number> = {};
  let killed = 0;
  let updates = 0;
  let running = '1.0.0';

  /** As after a power-up: what the device starts now works. */
  async function checkStart(what: string): Promise<void> {
    for (let starts = 0; starts < 6; starts++) {
      const { state, slot } = await boot.chooseSlot(root);
      const { version, status } = state.active;
      const { code, text } = await run(['run.mjs', 'selftest'], { cwd: slot });
      const behaviour = behaviours.get(version);
      if (code !== 0 || behaviour === undefined || behaviour === 'sick')
        throw new Error(
          `${what}: the device starts ${version} (${behaviour}), whose self-test ends with ${code}: ${text}`,
        );
      if (behaviour === 'works') {
        if (version !== running) updates++;
        running = version;
        if (status === 'trial' && random() < 0.8) await boot.confirm(root);
        return;
      }
    }
    throw new Error(`${what}: the device does not come back from a version that crashes`);
  }

  /** Flips a byte where there is a second copy of what it means: of the state, of downloads, or of a slot while the other one is whole. */
  async function rot(): Promise<void> {
    const { state } = await boot.chooseSlot(root);
    const places = [join(root, 'state')];
    const { active, fallback } = state;
    const spare = active.slot === 'a' ? 'b' : 'a';
    const second = fallback !== null && (await isWhole(join(root, 'slots', fallback.slot), fallback.manifest));
    const slots = [second ? pick([active.slot, spare]) : spare];
    for (const slot of slots) {
      const below = join(root, 'slots', slot);
      for (const path of await readdir(below, { recursive: true }).catch(() => []))
        if (!path.startsWith('node_modules') && (await stat(join(below, path))).isFile())
          places.push(join(below, path));
    }
    const place = pick(places);
    const bytes = await readFile(place).catch(() => Buffer.alloc(0));
    if (bytes.length === 0) return;
    const byte = Math.floor(random() * bytes.length);
    bytes[byte] = (bytes[byte] ?? 0) ^ (1 << Math.floor(random() * 8));
    await writeFile(place, bytes);
  }

  // A whole update, to know how many changes of the file system it takes.
  await offer('works');
  const whole = await run(['--import', injector, agentProgram, 'update', '--root', root], {
    env: { FAULT_STEPS: '1' },
  });
  const steps = Number(/^steps (\d+)$/m.exec(whole.text)?.[1]);
  if (!(steps > 20)) throw new Error(`the first update fails: ${whole.text}`);
  await checkStart('the first update');
  /** Anywhere, or among the last ones, where the switch is made; now and then beyond them. */
  const someStep = (): number =>
    random() < 0.5 ? 1 + Math.floor(random() * steps) : steps - 14 + Math.floor(random() * 18);

  try {
    for (let trial = 0; trial < trials; trial++) {
      if (deck.length === 0) deck = [...kinds];
      const [kind] = deck.splice(Math.floor(random() * deck.length), 1) as [(typeof kinds)[number]];
      byKind[kind] = (byKind[kind] ?? 0) + 1;
      const what = `seed ${seed}, trial ${trial}, ${kind}`;
      const place = channelPlace(folder, 'stable');
      if (running === newest) await offer('works');
      const good = await readFile(place);
      server.faults = [];
      const env: { FAULT?: string } = {};
      let killAfter: number | undefined;
      if (['kill', 'torn', 'power', 'full', 'io'].includes(kind))
        env.FAULT = `${kind}:${someStep()}:${Math.floor(random() * 2 ** 31)}`;
      if (kind === 'moment') killAfter = 40 + Math.floor(random() * 400);
      if (kind === 'network') {
        const path = random() < 0.7 ? /^\/blobs\// : /^\/channels\//;
        const where = Math.floor(random() * 3000);
        const times = pick([1, 2, 100]);
        server.faults = [
          pick([
            { path, times, cutAfter: where },
            { path, times, flip: where % 500 },
            { path, times, status: 500 },
            { path, times, html: '<p>log in</p>' },
          ]),
        ];
      }
      if (kind === 'replay') await writeFile(place, await readFile(join(folder, 'channels/stable/000001.json')));
      if (kind === 'sick' || kind === 'crashes') await offer(kind);
      if (kind === 'rot') await rot();
      const aside = join(dir, 'aside', String(trial));
      if (kind === 'forgery' || kind === 'expired') {
        // On a folder of its own, so that the channel's history stays that of its owner.
        const version = `9.9.${trial}`;
        const evil = await lightBundle(artifact, join(aside, 'bundle'), version, 'works');
        const settings = { folder: join(aside, 'public'), channel: 'stable', days: 1, at: Date.now() };
        const expired = kind === 'expired';
        await publish(evil, 100, {
          ...settings,
          key: expired ? pair.privateKey : forger,
          at: expired ? Date.now() - 3 * 86_400_000 : settings.at,
        });
        await writeFile(place, await readFile(channelPlace(settings.folder, 'stable')));
      }
      const found = await run([...(env.FAULT ? ['--import', injector] : []), agentProgram, 'update', '--root', root], {
        env,
        ...(killAfter && { killAfter }),
      });
      if (found.signal === 'SIGKILL') killed++;
      if (!['0', '1', 'null'].includes(String(found.code)))
        throw new Error(`${what}: the agent ends with ${found.code}: ${found.text}`);
      server.faults = [];
      if (['replay', 'forgery', 'expired'].includes(kind)) await writeFile(place, good);
      await checkStart(what);
      if (trial % 10 === 9 || trial === trials - 1) {
        // Without faults it must get to the newest version that works, whatever happened before.
        if (behaviours.get([...behaviours.keys()].at(-1) ?? '') !== 'works') await offer('works');
        for (let looks = 0; looks < 4 && running !== newest; looks++) {
          await boot.confirm(root);
          await run([agentProgram, 'update', '--root', root]);
          await checkStart(`${what}, then without faults`);
        }
        if (running !== newest) throw new Error(`${what}: the device stays at ${running} and does not reach ${newest}`);
      }
      if (trial % 50 === 49) say(`${trial + 1} of ${trials}: ${updates} updates, ${killed} killed`);
    }
  } finally {
    await server.close();
  }
  return { trials, byKind, updates, killed };
}
