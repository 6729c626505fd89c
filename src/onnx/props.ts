import { type Message, merge } from './message.ts';

type Props = readonly Message<'StringStringEntryProto'>[] | undefined;

/** Key-value pairs; of a key that stands twice the last one counts. Undefined when there are none. */
export function decodeProps(entries: Props): Map<string, string> | undefined {
  if (!entries?.length) return undefined;
  return new Map(entries.map((entry) => [entry.key ?? '', entry.value ?? '']));
}

/** The pairs as entries; entries that still say the same are kept, and the whole list where nothing differs. */
export function encodeProps(before: Props, props: ReadonlyMap<string, string> | undefined): Props {
  const pairs = [...(props ?? [])];
  const old = decodeProps(before) ?? new Map<string, string>();
  if (pairs.length === old.size && pairs.every(([key, value]) => old.get(key) === value)) return before;
  return pairs.map(([key, value]) => {
    const entry = before?.findLast((candidate) => (candidate.key ?? '') === key);
    return merge('StringStringEntryProto', entry, { key, value });
  });
}
