// Static INT8 on the shared convolution models beside ONNX Runtime's quantize_static (per channel, U8S8).
//
//   npm run build && node test/bench/quantize-static.mjs [--python INTERPRETER] [--models a,b] [--json]
//     [--variant name=step+step …] [--reduce-range] [--time MS]
import { parseArgs } from 'node:util';
import '../support/ts-loader.mjs';

const { compareStatic } = await import('./static/compare.mjs');
const { tableOf } = await import('./static/print.mjs');

const models = ['cifar10-resnet20', 'imagenet-mobilenetv1-050', 'mnist-cntk', 'supres', 'fastestdet', 'yunet-face', 'wine-mlp'];

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    models: { type: 'string' },
    variant: { type: 'string', multiple: true },
    methods: { type: 'string' },
    time: { type: 'string' },
    'reduce-range': { type: 'boolean' },
    json: { type: 'boolean' },
  },
});
const variants = values.variant && Object.fromEntries(values.variant.map((text) => [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1).split('+')]));
const all = {};
for (const slug of values.models?.split(',') ?? models) {
  all[slug] = await compareStatic(slug, {
    python: values.python,
    reduceRange: values['reduce-range'],
    ...(variants && { variants }),
    ...(values.methods && { methods: values.methods.split(',') }),
    ...(values.time && { timeMs: Number(values.time) }),
  });
  if (!values.json) console.log(tableOf(slug, all[slug]).join('\n'));
}
if (values.json) console.log(JSON.stringify(all, undefined, 1));
