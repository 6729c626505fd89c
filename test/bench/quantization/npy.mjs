/** A .npy file of version 1, row by row. @param {string} descr '<f4' */
export function npy(descr, shape, bytes) {
  const tuple = `(${shape.join(', ')}${shape.length === 1 ? ',' : ''})`;
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const header = text.padEnd(Math.ceil((text.length + 11) / 64) * 64 - 11);
  const head = Buffer.alloc(10);
  head.write('\x93NUMPY\x01\x00', 'latin1');
  head.writeUInt16LE(header.length + 1, 8);
  return Buffer.concat([head, Buffer.from(`${header}\n`, 'latin1'), bytes]);
}

/** What `npy` wrote. */
export function readNpy(file) {
  const end = 10 + file.readUInt16LE(8);
  const header = file.toString('latin1', 10, end);
  const descr = /'descr': '([^']+)'/.exec(header)[1];
  const shape = /'shape': \(([^)]*)\)/.exec(header)[1].split(',').map((text) => text.trim()).filter(Boolean).map(Number);
  return { descr, shape, bytes: file.subarray(end) };
}
