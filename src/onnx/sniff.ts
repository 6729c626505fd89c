/**
 * What a file is that is no ONNX model, by its first bytes, for the message only: called when reading it as a model has
 * failed.
 */
const magics: readonly { readonly at: number; readonly bytes: string; readonly what: string }[] = [
  {
    at: 0,
    bytes: 'version https://git-lfs',
    what: 'it is a Git LFS pointer, the real file was not fetched (run "git lfs pull")',
  },
  { at: 4, bytes: 'ORTM', what: 'it is an ONNX Runtime .ort file; give the .onnx file it was made from' },
  { at: 4, bytes: 'TFL3', what: 'it is a TensorFlow Lite model; convert it with tf2onnx first' },
  {
    at: 0,
    bytes: 'PK\x03\x04',
    what: 'it is a zip archive (PyTorch checkpoints are); unpack it, or export the model to ONNX',
  },
  { at: 0, bytes: '\x1f\x8b', what: 'it is compressed with gzip; unpack it first' },
  { at: 0, bytes: '\x28\xb5\x2f\xfd', what: 'it is compressed with zstd; unpack it first' },
  { at: 0, bytes: '\x89HDF\r\n', what: 'it is an HDF5 file (Keras models are); convert it with tf2onnx first' },
  { at: 0, bytes: 'GGUF', what: 'it is a GGUF model; export the original model to ONNX' },
  { at: 8, bytes: '{"', what: 'it looks like a safetensors file, which holds weights and no graph' },
  { at: 0, bytes: '\x80\x02', what: 'it is a Python pickle; export the model to ONNX' },
  { at: 0, bytes: '\x80\x04', what: 'it is a Python pickle; export the model to ONNX' },
  { at: 0, bytes: '\x93NUMPY', what: 'it is a NumPy array' },
  { at: 0, bytes: '\xff\xd8\xff', what: 'it is a JPEG image' },
  { at: 0, bytes: '\x89PNG', what: 'it is a PNG image' },
  { at: 0, bytes: 'GIF8', what: 'it is a GIF image' },
  { at: 0, bytes: 'RIFF', what: 'it is a RIFF file (WAV audio, WebP image)' },
  { at: 0, bytes: '%PDF', what: 'it is a PDF document' },
  { at: 0, bytes: '\x7fELF', what: 'it is a program or library (ELF)' },
];

/** A clause for a sentence, undefined when the bytes look like nothing known. */
export function looksLike(bytes: Uint8Array): string | undefined {
  if (bytes.byteLength === 0) return 'the file is empty';
  const head = Buffer.from(bytes.subarray(0, 512));
  const binary = head.toString('latin1');
  for (const { at, bytes: magic, what } of magics) if (binary.startsWith(magic, at)) return what;
  const text = head.toString('utf8').trimStart();
  if (/^(<!doctype|<html|<\?xml)/i.test(text)) return 'it is an HTML or XML page, perhaps an error page of a download';
  if (/^<\s*ir_version\s*:/.test(text)) return 'it is a model in ONNX text form; the binary form is needed';
  // Controls other than tab, line feed and carriage return stand in no text; a broken last character may be cut.
  const isText = !/[\0-\x08\x0b\x0c\x0e-\x1f]/.test(text) && !text.slice(0, -1).includes('\uFFFD');
  return isText ? 'it is a text file' : undefined;
}
