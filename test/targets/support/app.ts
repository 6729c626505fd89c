import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

const main = `import { load, ModelError } from 'mlpack-model-tiny';
import 'mlpack-model-tiny/element';

const element = document.createElement('mlpack-model');
element.setAttribute('base', '/mlpack-model/');
const shown = new Promise((resolve, reject) => {
  element.addEventListener('ready', resolve);
  element.addEventListener('failed', ({ detail }) => reject(detail));
});
document.body.append(element);
window.done = (async () => {
  const model = await load({ base: '/mlpack-model/', provider: 'wasm' });
  const { scores } = await model.run({ image: { data: new Float32Array(144).fill(0.5), dims: [1, 1, 12, 12] } });
  const { answer } = await model.predict(new ImageData(20, 20));
  await shown;
  return { scores: [...scores.data], label: answer[0].label, isError: new ModelError('input', '') instanceof Error };
})().catch((error) => ({ error: \`\${error.name} \${error.code}: \${error.message}\` }));
`;

/** A small app as the README of a bundle says to make one: the folder under public/, its code as a package. */
export async function writeApp(place: string, bundle: string): Promise<void> {
  await mkdir(join(place, 'src'), { recursive: true });
  await cp(join(bundle, 'mlpack-model'), join(place, 'public/mlpack-model'), { recursive: true });
  await cp(join(bundle, 'mlpack-model'), join(place, 'node_modules/mlpack-model-tiny'), { recursive: true });
  await writeFile(join(place, 'src/main.js'), main);
  await writeFile(join(place, 'package.json'), JSON.stringify({ name: 'app', private: true, type: 'module' }));
  await writeFile(
    join(place, 'index.html'),
    '<!doctype html><link rel="icon" href="data:,"><script type="module" src="/src/main.js"></script>',
  );
}
