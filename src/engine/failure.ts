/**
 * ONNX Runtime's error texts, made readable: source paths, C++ signatures and assertion texts go, the sentence, the
 * operator and the node stay.
 */
export function runtimeSentence(error: unknown): string {
  // WebAssembly code throws its C++ exceptions as bare addresses.
  if (typeof error === 'number') return 'it failed without a message, as it does when memory runs out.';
  const raw = error instanceof Error ? error.message : String(error);
  let text = raw.replaceAll(/\s+/g, ' ').trim();
  text = text.replace(/^.*?\bERROR_CODE: \d+, ERROR_MESSAGE: /, '');

  const invalidNode = /In Node, \("([^"]*)", ([^,]+), "([^"]*)"[^)]*\) : .*?, Error (.+)$/.exec(text);
  if (invalidNode)
    return sentence(`node "${invalidNode[1]}" (${operator(invalidNode[2], invalidNode[3])}): ${invalidNode[4]}`);

  const missing =
    /Could not find an implementation for (\w+)\((\d+)\) node with name '([^']*)'/.exec(text) ??
    /Failed to find kernel for (\w+)\((\d+)\) \(node:'([^']*)'/.exec(text);
  if (missing) return withoutKernel(missing[1] ?? '', Number(missing[2]), missing[3] ?? '');

  const unmoved =
    /External data path validation failed for initializer: (.+?)\. Error: .*does not exist: "([^"]+)"/.exec(text);
  if (unmoved)
    return `initializer "${unmoved[1]}" keeps its data in another file, and ${unmoved[2]} does not exist; put the data file beside the model.`;

  // Inside If and Loop the messages nest: the innermost node is the one that failed.
  const running = /^.*returned while running (\S+) node\. Name:'([^']*)' Status Message: (.+)$/.exec(text);
  if (running) return sentence(`node "${running[2]}" (${running[1]}): ${withoutSource(running[3] ?? '')}`);

  // The Node binding's own words for what it has no arrays for, by ONNX's number of the type.
  const foreign = /^Unsupported data type: (\d+)$/.exec(text);
  if (foreign)
    return `an input or output is ${foreignTypes[Number(foreign[1])] ?? `of ONNX type ${foreign[1]}`}, which no runtime in Node exchanges; mlpack to-fp32 makes a model of it that takes and gives float32.`;

  const newer = /guarantees\*? support .*?\bOpset (\d+) is under development/.exec(text);
  if (newer)
    return `the model is of opset ${newer[1]}, which this version does not know yet${upTo(text)}; export it with an older one.`;

  text = text
    .replace(/^OrtSessionOptionsAppendExecutionProvider\w*: /, '')
    .replace(/^Error: /, '')
    .replace(/^Load model from .*? failed: ?/, '')
    .replace(/^This is an invalid model\. (Error: )?/, '');
  return sentence(withoutSource(text));
}

/** Operators that the runtime computes in later forms than those of opset 1 to 6. (The text does not tell the domain, and others count from 1, too.) */
const renewed = new Set(
  `Abs Add And AveragePool BatchNormalization Cast Ceil Clip Concat Div Dropout Elu Equal Exp Floor GRU Gemm Greater HardSigmoid InstanceNormalization LSTM
  LeakyRelu Less Log Max Mean Min Mul Neg Or PRelu Pow RNN Reciprocal Relu Reshape Selu Sigmoid Softsign Split Sqrt Sub Sum Tanh Tile Upsample Xor`.split(
    /\s+/,
  ),
);

function withoutKernel(op: string, version: number, name: string): string {
  const node = name ? `node "${name}" (${op})` : op;
  return version < 7 && renewed.has(op)
    ? `${node} is in the form of opset ${version}, and ONNX Runtime begins at opset 7; export the model with opset 13 or later, or convert it (onnx.version_converter).`
    : `there is no kernel for ${node}, version ${version}, in the types it is used with.`;
}

const foreignTypes: Readonly<Record<number, string>> = { 14: 'complex64', 15: 'complex128', 16: 'bfloat16' };

function operator(op = '', domain = ''): string {
  return domain ? `${domain}.${op}` : op;
}

/**
 * Cuts `/onnxruntime_src/…/file.h:91 ReturnType ns::Function(Args…) condition was false.` off the front. What follows
 * a failed condition is the message; without one, the message follows the signature's closing bracket.
 */
function withoutSource(text: string): string {
  const source = /(?:\/onnxruntime_src\/|\/[\w./-]*onnxruntime\/|[A-Z]:\\)\S+?:\d+ /.exec(text);
  if (!source) return text;
  const before = text.slice(0, source.index).trim();
  const after = text.slice(source.index + source[0].length);
  const failed = /\bwas false\. /.exec(after);
  if (failed) return join(before, after.slice(failed.index + failed[0].length) || after);
  return join(before, after.slice(signatureEnd(after)));
}

/** End of `… name(args) [const] [::<lambda()>]`: the first bracket at depth 0, with what belongs to it. */
function signatureEnd(text: string): number {
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] === '(') depth++;
    if (text[at] !== ')') continue;
    depth--;
    if (depth > 0) continue;
    const tail = /^\)(?: const)?(?: \[with [^\]]*\])?(?:::<lambda\([^)]*\)>(?: (?:const|mutable))?)? ?/.exec(
      text.slice(at),
    );
    return at + (tail?.[0].length ?? 1);
  }
  return 0;
}

function join(before: string, after: string): string {
  return before ? `${before} ${after}` : after;
}

function sentence(text: string): string {
  const trimmed = text.trim().replace(/^\[ONNXRuntimeError\] : \d+ : \w+ : /, '');
  return /[.!?]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

const upTo = (text: string): string => {
  const known = /till opset (\d+)/.exec(text);
  return known ? ` (it knows those up to ${known[1]})` : '';
};
