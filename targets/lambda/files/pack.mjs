/** `node pack.mjs [x64|arm64]`: function.zip for that architecture, after `npm ci --omit=dev`; says where it stands with Lambda's limits. */

import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import { crc32 } from './lib/crc32.mjs';

const arch = process.argv[2] ?? process.arch;
if (!['x64', 'arm64'].includes(arch)) {
  process.stderr.write(`the architecture is x64 or arm64, not "${arch}"\n`);
  process.exit(2);
}
const unzippedLimit = 262_144_000;
const directLimit = 50 * 1024 * 1024;
const root = import.meta.dirname;
const skipped = new Set([
  'function.zip',
  'golden',
  'request.json',
  'README.md',
  'Dockerfile',
  '.dockerignore',
  'template.yaml',
  'pack.mjs',
  'cold-start.mjs',
  '.package-lock.json',
]);
const binaries = 'node_modules/onnxruntime-node/bin/';

function wanted(path) {
  if (!path.startsWith(binaries)) return true;
  const [, , , , os, cpu] = path.split('/');
  return (os === undefined || os === 'linux') && (cpu === undefined || cpu === arch);
}

/** Paths as the archive has them, with "/" on every system. @param {string} folder '' or a path that ends in one */
function* files(folder) {
  for (const entry of readdirSync(join(root, folder), { withFileTypes: true }).sort((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const path = folder + entry.name;
    if (skipped.has(entry.name) || !wanted(path)) continue;
    if (entry.isDirectory()) yield* files(`${path}/`);
    else if (entry.isFile()) yield path;
  }
}

/** A zip archive of the plain kind: no comment, no time, entries sorted: the same files give the same bytes. */
function zip(paths) {
  const parts = [];
  const directory = [];
  let at = 0;
  for (const path of paths) {
    const data = readFileSync(join(root, path));
    const packed = deflateRawSync(data, { level: 9 });
    const name = Buffer.from(path, 'utf8');
    const head = Buffer.alloc(26);
    head.writeUInt16LE(20, 0);
    head.writeUInt16LE(0x800, 2);
    head.writeUInt16LE(8, 4);
    head.writeUInt16LE(0x21, 8);
    head.writeUInt32LE(crc32(data), 10);
    head.writeUInt32LE(packed.length, 14);
    head.writeUInt32LE(data.length, 18);
    head.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from('PK\x03\x04', 'latin1'), head, name, packed]);
    const entry = Buffer.alloc(14);
    // Regular file, readable by all: Lambda runs as another user.
    entry.writeUInt32LE(0o100644 * 65536, 6);
    entry.writeUInt32LE(at, 10);
    directory.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x03', 'latin1'), head, entry, name]));
    parts.push(local);
    at += local.length;
  }
  const central = Buffer.concat(directory);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(directory.length, 4);
  end.writeUInt16LE(directory.length, 6);
  end.writeUInt32LE(central.length, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...parts, central, Buffer.from('PK\x05\x06', 'latin1'), end]);
}

const paths = [...files('')];
const unzipped = paths.reduce((sum, path) => sum + statSync(join(root, path)).size, 0);
const mib = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
if (unzipped > unzippedLimit) {
  process.stderr.write(
    `unzipped it has ${mib(unzipped)}, and Lambda takes ${mib(unzippedLimit)}: use the container image (Dockerfile, up to 10 GB)\n`,
  );
  process.exit(1);
}
const bytes = zip(paths);
writeFileSync(join(root, 'function.zip'), bytes);
const how =
  bytes.length > directLimit
    ? `more than the ${mib(directLimit)} of a direct upload: upload it to S3 first`
    : 'small enough for a direct upload';
process.stdout.write(
  `function.zip: ${mib(bytes.length)} (${how}); unzipped ${mib(unzipped)} of ${mib(unzippedLimit)}\n`,
);
