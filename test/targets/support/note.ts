/** Says on stderr why tests are skipped. */
export function note(text: string): void {
  process.stderr.write(`${text}\n`);
}
