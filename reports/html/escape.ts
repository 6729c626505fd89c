/** Finished HTML. Everything else that goes into a template is text and gets escaped. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

export type Part = Html | string | number | false | null | undefined | readonly Part[];

/** Escapes what is interpolated: names in models are anyone's to choose. */
export function html(strings: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return new Html(strings.reduce((text, literal, index) => text + render(parts[index - 1]) + literal));
}

/** HTML that this program wrote itself: style sheet, script. Never for anything out of a report. */
export const trusted = (text: string): Html => new Html(text);

function render(part: Part): string {
  if (part === false || part === null || part === undefined) return '';
  if (part instanceof Html) return part.text;
  if (typeof part === 'object') return part.map(render).join('');
  return escapeText(String(part));
}

const entities: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** Safe in elements and quoted attributes. Control characters, text direction overrides and lone surrogates become �. */
export function escapeText(text: string): string {
  return visible(text).replace(/[&<>"']/g, (character) => entities[character] ?? '');
}

function visible(text: string): string {
  return text.replace(/[\p{Cc}\p{Cs}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069\uFFFE\uFFFF]/gu, (character) =>
    character === '\n' || character === '\t' ? character : '\uFFFD',
  );
}
