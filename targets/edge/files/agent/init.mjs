/** Sets a device up: the first version, whom to trust, where to look. */

import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { hashFile } from './download.mjs';
import { removeTree, syncFolder, writeDurable } from './durable.mjs';
import { healthProblem } from './health.mjs';
import { filesOfSlot, fillSlot, slotProblem } from './slots.mjs';
import { firstState, loadState, saveState, slotFolder } from './state.mjs';
import { readKeys } from './trust.mjs';

/**
 * @param {{ bundle, url, channel, key?, root?: string, device? }} given `key`: file with the public keys; `tufRoot`: root.json of a TUF repository instead
 */
export async function init(root, { bundle, url, channel, key, tufRoot, device }) {
  if (await loadState(root)) throw new Error(`${root} is set up already; agent.mjs status shows it`);
  if ((key === undefined) === (tufRoot === undefined))
    throw new Error('give --key (public keys in PEM form) or --tuf-root (root.json)');
  const manifest = await hashFile(join(bundle, 'mlpack.json'));
  const files = await filesOfSlot(bundle, manifest);
  const problem = files === undefined ? 'its manifest names paths outside' : await slotProblem(bundle, files);
  if (problem !== undefined) throw new Error(`${bundle} is not whole: ${problem}`);
  const { model, release } = JSON.parse(await readFile(join(bundle, 'mlpack.json'), 'utf8'));
  await mkdir(root, { recursive: true });
  const runtime = join(bundle, 'node_modules');
  if (existsSync(runtime)) {
    const place = join(root, 'runtime');
    const temp = join(root, 'runtime.tmp');
    await removeTree(temp);
    await cp(runtime, join(temp, 'node_modules'), { recursive: true, dereference: true });
    await removeTree(place);
    await rename(temp, place);
  }
  if (key !== undefined) {
    const pem = await readFile(key, 'utf8');
    readKeys(pem);
    await writeDurable(join(root, 'trust.pem'), pem);
  } else {
    await mkdir(join(root, 'tuf'), { recursive: true });
    await writeDurable(join(root, 'tuf/first-root.json'), await readFile(tufRoot, 'utf8'));
  }
  const config = { url: url.replace(/\/+$/, ''), channel, model: model.name, trust: key === undefined ? 'tuf' : 'key' };
  await writeDurable(join(root, 'config.json'), `${JSON.stringify(config)}\n`);
  const slot = slotFolder(root, 'a');
  // Everything comes from the bundle: with the address of nowhere nothing can be downloaded.
  await fillSlot({ root, slot, from: bundle, url: 'none:', files, record: '{}\n', options: { tries: 1 } });
  const sick = await healthProblem(slot);
  if (sick !== undefined) throw new Error(`the bundle does not work on this device: ${sick}`);
  await saveState(root, firstState('a', release.version, manifest, device));
  await syncFolder(root);
  return { version: release.version, model: model.name };
}
