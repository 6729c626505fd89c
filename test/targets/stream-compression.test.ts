/** Batches as producers compress them: kafkajs by itself reads none of Snappy, LZ4 and Zstandard, and ended at the first. */
import { describe, expect, it } from 'vitest';
import { literalPath } from '../../src/target/literal.ts';

const { unlz4, unsnappy, unzstd } = (await import(literalPath('stream', 'stream/brokers/compression.mjs'))) as Record<
  'unlz4' | 'unsnappy' | 'unzstd',
  (bytes: Buffer) => Buffer
>;
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');

/** "abcd" eight times, then "!": made by hand after the formats' descriptions. */
const want = `${'abcd'.repeat(8)}!`;
/** Length 33; four letters; a copy of 28 from 4 before (two bytes of offset); one letter. */
const snappy = hex('21 0c 61626364 6e 0400 00 21');
/** Four letters; 24 (15 and 5 and 4) more from 4 before; five letters at the end, as the format wants them. */
const block = hex('4f 61626364 0400 05 50 6162636421');
const frame = (body: Buffer, raw = false): Buffer => {
  const size = Buffer.alloc(4);
  size.writeUInt32LE(body.length + (raw ? 2 ** 31 : 0));
  return Buffer.concat([hex('04224d18 40 40 c0'), size, body, hex('00000000')]);
};

describe('compressed batches', () => {
  it('come out as they went in', () => {
    expect(unsnappy(snappy).toString()).toBe(want);
    const framed = Buffer.concat([hex('82534e41505059 00 00000001 00000001 0000000b'), snappy]);
    expect(unsnappy(framed).toString()).toBe(want);
    expect(unsnappy(Buffer.concat([framed, hex('0000000b'), snappy])).toString()).toBe(want + want);
    expect(unlz4(frame(block)).toString()).toBe(want);
    expect(unlz4(frame(Buffer.from(want), true)).toString()).toBe(want);
    // A literal whose length takes a byte of its own, and one of 300 letters, which takes two.
    expect(unsnappy(Buffer.concat([hex('64 f0 63'), Buffer.alloc(100, 'x')])).toString()).toBe('x'.repeat(100));
    expect(unlz4(frame(Buffer.concat([hex('f0 ff 1e'), Buffer.alloc(300, 'y')]))).toString()).toBe('y'.repeat(300));
  });

  it('are refused in a sentence where they are damaged, without reading or writing elsewhere', () => {
    for (let length = 1; length < snappy.length; length++)
      expect(() => unsnappy(snappy.subarray(0, length)), `snappy, ${length}`).toThrow('is no sound Snappy');
    const whole = frame(block);
    for (let length = 0; length < whole.length; length++)
      expect(() => unlz4(whole.subarray(0, length)), `lz4, ${length}`).toThrow('is no sound LZ4');
    expect(() => unsnappy(hex('08 0c 61626364 0e 0900'))).toThrow('copies from before its beginning');
    expect(() => unlz4(frame(hex('1f 61 0200 00 10 62')))).toThrow('copies from before its beginning');
    // A copy that says of itself that it goes on for a gigabyte.
    const huge = Buffer.concat([hex('1f 61 0100'), Buffer.alloc(2 ** 22, 0xff), hex('00 10 62')]);
    expect(() => unlz4(frame(huge))).toThrow('more than 268435456 bytes come out of it');
    const error = (() => {
      try {
        return unzstd(hex('00112233'));
      } catch (caught) {
        return caught;
      }
    })();
    expect(error).toMatchObject({ message: expect.stringMatching(/Zstandard/), retriable: false });
  });
});
