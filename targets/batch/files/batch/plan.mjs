/** Which columns of a piece go where. By the piece alone, so that it comes out the same whatever was done before it, and by whom. */

import { planInputs } from './mapping.mjs';
import { problem } from './problem.mjs';

/**
 * @param info of the model @param options { columns, keep } @param piece { first, columns } @param {object[]} table its rows
 * @returns what planInputs plans; marks rows of later pieces that cannot be planned
 * @throws where not even the first piece has the columns
 */
export function planPiece(info, { columns: given, keep }, { first, columns }, table) {
  const rows = table.filter((row) => row[problem] === undefined);
  if (rows.length === 0) return [];
  const lacking = keep.find((name) => !(columns ?? [...new Set(rows.flatMap(Object.keys))]).includes(name));
  if (lacking !== undefined && (columns !== undefined || first === 0))
    throw new Error(`there is no column "${lacking}" to keep; it has ${(columns ?? Object.keys(rows[0])).join(', ')}`);
  const planned = (names) =>
    planInputs(
      info,
      given,
      names.filter((one) => !keep.includes(one)),
    );
  if (columns !== undefined) return planned(columns);
  // Objects of JSON may lack what is null: the first one that has all says it.
  let failure;
  for (const row of rows) {
    try {
      return planned(Object.keys(row));
    } catch (error) {
      failure ??= error;
    }
  }
  if (first === 0) throw failure;
  for (const row of rows) row[problem] = failure.message;
  return [];
}

/** Which input `--columns` names that the model does not have, in words: the columns would be chosen by themselves, as without the flag. */
export function columnsProblem({ inputs }, columns) {
  const known = inputs.map(({ name }) => name);
  const strange = Object.keys(columns).find((name) => !known.includes(name));
  return strange === undefined
    ? undefined
    : `--columns ${strange}=…: the model has no input "${strange}"; it has ${known.join(', ')}`;
}

/** Why columns of these names cannot be kept beside the outputs, in words. */
export function keptProblem({ outputs }, keep) {
  const taken = keep.find(
    (name) => name === 'row' || outputs.some((output) => output.name === name.replace(/\.\d+$/, '')),
  );
  if (taken === undefined) return undefined;
  const whose = taken === 'row' ? 'the number of the row in its file' : 'an output of the model';
  return `--keep ${taken}: the output has a column of that name already, ${whose}; name it otherwise in the table`;
}
