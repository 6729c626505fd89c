/**
 * All models of this server. The bundle's own model is always there, and no folder takes the place of its version; MODELS_DIR/<model>/<version>/
 * holds further ones, each folder a bundle of its own. A new folder is served once it has loaded and proved itself; until then, and where it fails,
 * requests without a version go on to the one before. A file MODELS_DIR/<model>/default-version names another one.
 */

import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { readManifest, readPlain } from './bundle.mjs';
import { RequestError } from './errors.mjs';
import { describeModel } from './model.mjs';
import { Served } from './served.mjs';

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;
const versionPattern = /^[1-9]\d{0,15}$/;

/** Folders, and links to folders. */
async function folders(dir, pattern) {
  try {
    const found = [];
    for (const entry of await readdir(dir, { withFileTypes: true })) {
      if (!pattern.test(entry.name)) continue;
      const linked = entry.isSymbolicLink() ? await stat(join(dir, entry.name)).catch(() => undefined) : undefined;
      if ((linked ?? entry).isDirectory()) found.push(entry.name);
    }
    return found;
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return [];
    throw error;
  }
}

/** Changes whenever the manifest or a file of the model does, so that a copy that was not whole yet is tried again. */
async function stampOf(dir) {
  const look = (path) => stat(join(dir, path)).catch(({ code }) => ({ mtimeMs: 0, size: code }));
  const manifest = await look('mlpack.json');
  if (manifest.size === 'ENOENT') return undefined;
  // `readManifest` says why one cannot be read.
  const text = await readPlain(join(dir, 'mlpack.json'), 'utf8').catch(() => '');
  const stats = await Promise.all(pathsIn(text).map(look));
  return [manifest, ...stats].map(({ mtimeMs, size }) => `${mtimeMs}-${size}`).join();
}

/** Paths of the model's files in the text of a manifest, as far as it is one; `readManifest` says what is wrong with it. */
function pathsIn(text) {
  try {
    return JSON.parse(text).model.files.map(({ path }) => String(path));
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return [];
    throw error;
  }
}

/** What the file default-version says; undefined without one. */
async function askedVersion(dir) {
  try {
    return (await readPlain(join(dir, 'default-version'), 'utf8')).trim();
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

export class Models {
  /** name → { versions: Map<version, Served>, chosen, pinned, known: Map<version, stamp>, failed: Map<version, why>, byFile, missed, problem } */
  #models = new Map();
  #services;
  #own;
  #scanning;
  #following;
  #timer;
  #closed = false;
  /** Settings that name what is not here. */
  #absent = new Set();

  /** @param services as Served has them */
  constructor(services) {
    this.#services = services;
  }

  /** Loads the bundle's own model from `dir`, then what is in MODELS_DIR. Throws where the bundle's own cannot be loaded. */
  async open(dir) {
    const own = await Served.open(dir, undefined, { ...this.#services, onlyOne: true });
    this.#own = own.info;
    this.#model(own.info.name).versions.set(own.info.version, own);
    own.begin();
    this.#choose(own.info.name);
    await this.scan();
    const { reloadSeconds } = this.#services.config;
    if (reloadSeconds > 0) this.#timer = setInterval(() => void this.scan(), reloadSeconds * 1000).unref();
  }

  #model(name) {
    let model = this.#models.get(name);
    if (model === undefined) {
      model = { versions: new Map(), known: new Map(), failed: new Map(), chosen: undefined, pinned: undefined };
      this.#models.set(name, model);
    }
    return model;
  }

  /**
   * Looks for new, changed and removed versions. Calls during a look share the one that follows it: what they are about may lie where this
   * one has been already.
   */
  scan() {
    if (this.#closed) return Promise.resolve();
    if (this.#scanning !== undefined) {
      this.#following ??= this.#scanning.then(() => {
        this.#following = undefined;
        return this.scan();
      });
      return this.#following;
    }
    this.#scanning = this.#scanOnce()
      .catch((error) => this.#services.log.error({ err: error }, 'models could not be looked through'))
      .finally(() => (this.#scanning = undefined));
    return this.#scanning;
  }

  async #scanOnce() {
    const { modelsDir, shadow, fallback } = this.#services.config;
    if (modelsDir !== '') await this.#scanFolder(modelsDir);
    const serves = (version) => [...this.#models.values()].some(({ versions }) => versions.has(version));
    for (const [setting, version] of Object.entries({ SHADOW_VERSION: shadow, FALLBACK_VERSION: fallback }))
      if (versionPattern.test(version)) this.#tellAbsent(setting, version, !serves(version));
  }

  async #scanFolder(root) {
    const there = await stat(root).then(
      (found) => found.isDirectory(),
      () => false,
    );
    this.#tellAbsent('MODELS_DIR', root, !there);
    const names = await folders(root, namePattern);
    for (const name of names) {
      const problem = await this.#scanModel(name, join(root, name)).then(
        () => undefined,
        (error) => error,
      );
      this.#tellProblem(name, problem);
    }
    for (const [name, model] of this.#models) {
      if (names.includes(name)) continue;
      for (const version of [...model.known.keys()]) await this.#unload(name, version);
    }
  }

  async #scanModel(name, dir) {
    const model = this.#model(name);
    const asked = await askedVersion(dir);
    const pinned = asked !== undefined && versionPattern.test(asked) ? asked : undefined;
    const found = (await folders(dir, versionPattern)).sort((a, b) => Number(b) - Number(a));
    // As many as are kept side by side, counting those that can be served, besides the one that is pinned.
    const wanted = [];
    for (const version of found) {
      const good = wanted.filter((one) => model.versions.has(one)).length;
      if (good >= this.#services.config.keepVersions && version !== pinned) continue;
      wanted.push(version);
      await this.#load(name, version, join(dir, version));
    }
    model.pinned = pinned ?? model.pinned;
    if (pinned === undefined && model.byFile) model.pinned = undefined;
    model.byFile = pinned !== undefined;
    this.#choose(name);
    this.#tellMissed(name, asked);
    for (const version of [...model.known.keys()]) {
      if (!wanted.includes(version)) await this.#unload(name, version);
    }
  }

  async #load(name, version, dir) {
    const model = this.#model(name);
    const stamp = await stampOf(dir);
    if (stamp === undefined || model.known.get(version) === stamp || this.#closed) return;
    model.known.set(version, stamp);
    model.failed.delete(version);
    try {
      if (await this.#isOwn(name, version, dir)) return;
      const served = await Served.open(dir, version, this.#services);
      if (served.info.name !== name) {
        await served.close();
        throw new Error(`the bundle holds the model "${served.info.name}", and lies in the folder of "${name}"`);
      }
      const before = model.versions.get(version);
      model.versions.set(version, served);
      before?.retire();
      served.begin();
      // A newer version takes over from one that an operator chose by request.
      if (!model.byFile && model.pinned !== undefined && Number(version) > Number(model.pinned))
        model.pinned = undefined;
      this.#choose(name);
      void before?.close();
    } catch (error) {
      model.failed.set(version, error.message);
      this.#services.metrics.loadFailed(name, version);
      this.#services.log.error({ err: error, model: name, version }, 'a version could not be loaded; the others go on');
    }
  }

  /** Whether the folder holds the version that this server's bundle is. @throws Error where it is another one under its number */
  async #isOwn(name, version, dir) {
    if (name !== this.#own.name || version !== this.#own.version) return false;
    if (describeModel(await readManifest(dir), version).digest === this.#own.digest) return true;
    throw new Error(
      `version "${version}" of "${name}" is the one in this server's own bundle, and the folder holds another model; give the folder another number`,
    );
  }

  async #unload(name, version) {
    const model = this.#model(name);
    model.known.delete(version);
    model.failed.delete(version);
    const served = model.versions.get(version);
    if (served === undefined || served.info === this.#own) return;
    model.versions.delete(version);
    this.#choose(name);
    if (model.versions.size === 0) this.#models.delete(name);
    this.#services.log.info({ model: name, version }, 'a version is no longer served');
    served.retire();
    void served.close();
  }

  /** The version for requests that name none: the pinned one, else the highest. */
  #choose(name) {
    const model = this.#model(name);
    const versions = this.#sorted(model);
    const before = model.chosen;
    model.chosen = versions.includes(model.pinned) ? model.pinned : versions[0];
    if (model.chosen === before) return;
    this.#services.log.info({ model: name, version: model.chosen, before }, 'requests without a version go to');
    this.#services.metrics.chosen(name, model.chosen, before);
  }

  /** Once until it is another one: what is wrong with the folder of a model is no reason to leave out the others. */
  #tellProblem(name, error) {
    const model = this.#model(name);
    if (error !== undefined && error.message !== model.problem)
      this.#services.log.error({ err: error, model: name }, 'a model could not be looked through; the others go on');
    model.problem = error?.message;
  }

  /** Once until it is there: a setting that was mistyped would do nothing, and say nothing. */
  #tellAbsent(setting, value, absent) {
    if (!absent) this.#absent.delete(setting);
    else if (!this.#absent.has(setting)) {
      this.#absent.add(setting);
      this.#services.log.warn({ [setting]: value }, `${setting} names nothing that is here; it is looked for again`);
    }
  }

  /** Once for each: a rollback that was mistyped would do nothing, and say nothing. */
  #tellMissed(name, asked) {
    const model = this.#model(name);
    const missed = asked === undefined || model.versions.has(asked) ? undefined : asked;
    if (missed === model.missed) return;
    model.missed = missed;
    if (missed === undefined) return;
    const about = { model: name, asked: missed.slice(0, 100), version: model.chosen };
    this.#services.log.warn(
      about,
      'the file default-version names no version that is served here; requests go on to another',
    );
  }

  #sorted(model) {
    return [...model.versions.keys()].sort((a, b) => Number(b) - Number(a));
  }

  /** @throws RequestError 404 */
  find(name, version) {
    const model = this.#models.get(name);
    if (model === undefined || model.versions.size === 0) {
      const names = [...this.#models.keys()].map((one) => `"${one}"`).join(', ');
      throw new RequestError(`there is no model "${name.slice(0, 100)}"; this server has ${names}`, 404);
    }
    const served = model.versions.get(version ?? model.chosen);
    if (served !== undefined) return served;
    const has = this.#sorted(model)
      .map((one) => `"${one}"`)
      .join(', ');
    throw new RequestError(`model "${name}" has no version "${version.slice(0, 100)}"; it has ${has}`, 404);
  }

  /** The same where it is no error that there is none. */
  known(name, version) {
    const model = this.#models.get(name);
    return model?.versions.get(version ?? model.chosen);
  }

  /** The model of requests that name none (SageMaker, Vertex AI): the bundle's own. */
  get first() {
    const [name] = this.#models.keys();
    return name;
  }

  /** The highest other version below `served`, which takes over while its circuit breaker is open; undefined: none. */
  fallbackFor(served) {
    const { name, version } = served.info;
    const model = this.#models.get(name);
    const { fallback } = this.#services.config;
    if (model === undefined || fallback === 'none') return undefined;
    if (fallback !== 'previous') return fallback === version ? undefined : model.versions.get(fallback);
    const below = this.#sorted(model).find((one) => Number(one) < Number(version));
    return below === undefined ? undefined : model.versions.get(below);
  }

  /** A version by name, or undefined: nobody asked for it, so its absence is no error. */
  other(name, version) {
    return this.#models.get(name)?.versions.get(version);
  }

  versionsOf(name) {
    const model = this.#models.get(name);
    return model === undefined ? [] : this.#sorted(model).reverse();
  }

  /** Makes `version`, or the one below the present one, the default. @throws RequestError where there is none. */
  rollback(name, version) {
    const present = this.find(name);
    const model = this.#models.get(name);
    const target = version ?? this.#sorted(model).find((one) => Number(one) < Number(present.info.version));
    if (target === undefined)
      throw new RequestError(`model "${name}" has no version before "${present.info.version}"`, 409);
    this.find(name, target);
    if (model.byFile) throw new RequestError(`the file default-version of model "${name}" decides`, 409);
    model.pinned = target;
    this.#choose(name);
    return target;
  }

  /** Rows of Triton's repository index. */
  index() {
    return [...this.#models].flatMap(([name, { versions, failed }]) => [
      ...[...versions.keys()].map((version) => ({ name, version, state: 'READY', reason: '' })),
      ...[...failed].map(([version, reason]) => ({ name, version, state: 'UNAVAILABLE', reason })),
    ]);
  }

  /** Requests that may be on their way: as many as the queues of all models hold. */
  get places() {
    // Asked for each request: no lists are made.
    let sum = 0;
    for (const { versions } of this.#models.values()) for (const { queueLimit } of versions.values()) sum += queueLimit;
    return Math.max(1, sum);
  }

  all() {
    return [...this.#models.values()].flatMap(({ versions }) => [...versions.values()]);
  }

  async close() {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#scanning;
    await Promise.all(this.all().map((served) => served.close()));
  }
}
