/** Turns what media.js read into feeds of the model. Each kind's code is loaded when it is used. */
const kinds = {
  image: () => import('./prepare/image.js'),
  text: () => import('./prepare/text.js'),
  audio: () => import('./prepare/audio.js'),
};

/** @returns { feeds, tokens? } */
export async function prepare(base, { task }, media) {
  const { prepare: make } = await kinds[task.kind]();
  return make(task, media, base);
}

/** The text in token ids, without special tokens; undefined where the model takes no text. */
export async function textOf(base, { task }, feeds) {
  if (task?.kind !== 'text') return undefined;
  const [name] = Object.entries(task.feeds).find(([, { field }]) => field === 'ids');
  const { decode } = await kinds.text();
  return decode(feeds[name].data, base);
}
