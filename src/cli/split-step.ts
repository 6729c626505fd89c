/** `quantize-weights:bits=4,symmetric` taken apart; an option without a value is on. */
export function splitStep(text: string): { name: string; given: Record<string, unknown> } {
  const [name = '', ...rest] = text.split(':');
  const given: Record<string, unknown> = {};
  for (const pair of rest.join(':').split(',')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    given[at < 0 ? pair : pair.slice(0, at)] = at < 0 ? 'true' : pair.slice(at + 1);
  }
  return { name, given };
}
