/** An argument as a shell takes it: quoted where it holds more than what never needs it. Letters of all alphabets do not. */
export function shellWord(argument: string): string {
  return /^[\p{L}\p{N}_@%+=:,./-]+$/u.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`;
}
