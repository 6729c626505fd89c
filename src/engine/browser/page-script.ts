/**
 * What the page runs: sessions of onnxruntime-web by number, tensors over the wire (wire.ts), and the clock around
 * inferences in a row. Plain JavaScript of the browser, sent as text.
 */
export const pageScript = `
globalThis.mlpack = (() => {
  const sessions = new Map();
  const feedsOf = new Map();
  let ort;
  // Clocks of pages tell steps of 5 to 100 µs apart: of a model of 7 µs one inference took 5 or 10, and another was "half as slow again". What is
  // shorter than so many steps is timed several times in a row, each taking its share.
  const leastTicks = 100;
  const groups = new Map();
  const tick = Math.min(...Array.from({ length: 20 }, () => {
    const start = performance.now();
    for (;;) { const step = performance.now() - start; if (step > 0) return step; }
  }));
  const align = (offset) => Math.ceil(offset / 8) * 8;
  const arrays = {
    float32: Float32Array, float64: Float64Array, float16: globalThis.Float16Array ?? Uint16Array, bool: Uint8Array,
    int8: Int8Array, uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
    int64: BigInt64Array, uint64: BigUint64Array,
  };
  const said = (error) => String(error?.message ?? error);
  const unpack = (buffer) => {
    const length = new DataView(buffer).getUint32(0, true);
    const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    const start = align(4 + length);
    return Object.fromEntries(header.tensors.map(({ name, dtype, shape, offset, bytes, strings }) => {
      const Kind = arrays[dtype];
      const data = strings ?? new Kind(buffer, start + offset, bytes / Kind.BYTES_PER_ELEMENT);
      return [name, new ort.Tensor(dtype, data, shape)];
    }));
  };
  const pack = async (results) => {
    let end = 0;
    const parts = [];
    const tensors = [];
    for (const [name, tensor] of Object.entries(results)) {
      const data = await tensor.getData();
      const text = tensor.type === 'string';
      const bytes = text ? new Uint8Array(0) : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      const offset = align(end);
      end = offset + bytes.byteLength;
      parts.push({ offset, bytes });
      tensors.push({ name, dtype: tensor.type, shape: [...tensor.dims], offset, bytes: bytes.byteLength, ...(text && { strings: data }) });
      tensor.dispose();
    }
    const header = new TextEncoder().encode(JSON.stringify({ tensors }));
    const start = align(4 + header.byteLength);
    const packed = new Uint8Array(start + end);
    new DataView(packed.buffer).setUint32(0, header.byteLength, true);
    packed.set(header, 4);
    for (const { offset, bytes } of parts) packed.set(bytes, start + offset);
    return packed;
  };
  const download = async (url) => {
    const response = await fetch(url);
    if (!response.ok) throw new Error(url + ': ' + response.status);
    return response.arrayBuffer();
  };
  const infos = (metadata) => metadata.map((one) => one.isTensor
    ? { name: one.name, dtype: one.type, shape: one.shape.map((dim) => dim === '' || dim === -1 || dim === 0xffffffff ? null : dim) }
    : { name: one.name, dtype: 'non-tensor', shape: null });
  return {
    async start(entry, threads) {
      ort = await import(entry);
      ort.env.wasm.wasmPaths = '/';
      ort.env.wasm.numThreads = threads;
      ort.env.logLevel = 'verbose';
      let adapter = null;
      try {
        const found = await navigator.gpu?.requestAdapter();
        const { vendor, architecture, description } = found?.info ?? {};
        if (found) adapter = [vendor, architecture, description].filter(Boolean).join(' ') || 'an adapter without a name';
      } catch (error) {
        adapter = null;
      }
      return { adapter, isolated: self.crossOriginIsolated };
    },
    async open(id, url, externalData, options) {
      const data = [];
      for (const { path, url: from } of externalData) data.push({ path, data: new Uint8Array(await download(from)) });
      const bytes = new Uint8Array(await download(url));
      const start = performance.now();
      try {
        const session = await ort.InferenceSession.create(bytes, { ...options, externalData: data });
        const createMs = performance.now() - start;
        sessions.set(id, session);
        return { createMs, inputs: infos(session.inputMetadata), outputs: infos(session.outputMetadata) };
      } catch (error) {
        return { why: said(error) };
      }
    },
    async feed(feedsId, url) {
      feedsOf.set(feedsId, unpack(await download(url)));
    },
    drop(feedsId) {
      feedsOf.delete(feedsId);
    },
    async run(id, feedsId, outputs, url) {
      let results;
      try {
        results = await sessions.get(id).run(feedsOf.get(feedsId), outputs);
      } catch (error) {
        return { why: said(error) };
      }
      await fetch(url, { method: 'POST', body: await pack(results) });
      return {};
    },
    async time(id, feedsId, outputs, count, settleMs) {
      const session = sessions.get(id);
      const feeds = feedsOf.get(feedsId);
      const times = [];
      const free = (results) => { for (const name in results) results[name].dispose(); };
      try {
        for (const until = performance.now() + settleMs; performance.now() < until;) free(await session.run(feeds, outputs));
        let group = groups.get(id) ?? 1;
        while (times.length < count) {
          const length = Math.min(group, count - times.length);
          const results = [];
          const start = performance.now();
          for (let at = 0; at < length; at++) results.push(await session.run(feeds, outputs));
          const took = performance.now() - start;
          for (let at = 0; at < length; at++) times.push(took / length);
          results.forEach(free);
          if (length === group && took < leastTicks * tick) group *= 2;
        }
        groups.set(id, group);
      } catch (error) {
        return { why: said(error) };
      }
      return { times };
    },
    async release(id) {
      const session = sessions.get(id);
      sessions.delete(id);
      groups.delete(id);
      await session?.release();
    },
  };
})();
`;
