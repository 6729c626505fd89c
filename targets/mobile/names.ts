/** Names that code in Kotlin, Swift and TypeScript may use, made of a model's name. */
export interface CodeNames {
  /** `dev.mlpack.mobilenet_v1` */
  readonly kotlinPackage: string;
  /** `MobilenetV1Model` */
  readonly swiftModule: string;
  /** `mobilenet-v1-model` */
  readonly npmPackage: string;
}

/** @param name a bundle's model name: ASCII letters, digits, `.`, `_`, `-` */
export function codeNames(name: string): CodeNames {
  const words = name.split(/[^A-Za-z0-9]+/).filter((word) => word !== '');
  const camel = words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join('');
  return {
    // A part of a package may not begin with a digit, nor be a keyword.
    kotlinPackage: `dev.mlpack.m_${words.join('_').toLowerCase()}`,
    swiftModule: /^[0-9]/.test(camel) ? `Model${camel}` : `${camel}Model`,
    npmPackage: `${words.join('-').toLowerCase()}-model`,
  };
}

/** A string literal of Kotlin: also `$` would be read there. */
export function kotlinString(text: string): string {
  return escaped(text, (code) => `\\u${code.toString(16).padStart(4, '0')}`).replaceAll('$', '\\$');
}

/** A string literal of Swift. */
export function swiftString(text: string): string {
  return escaped(text, (code) => `\\u{${code.toString(16)}}`);
}

/** Quotes, backslashes and everything outside printable ASCII are escaped, by UTF-16 unit (Kotlin) or code point (Swift). */
function escaped(text: string, unicode: (code: number) => string): string {
  const wide = unicode(0x1f600).includes('{');
  const units = wide ? Array.from(text) : text.split('');
  const body = units.map((unit) => {
    const code = (wide ? unit.codePointAt(0) : unit.charCodeAt(0)) ?? 0;
    if (unit === '"' || unit === '\\') return `\\${unit}`;
    return code < 0x20 || code > 0x7e ? unicode(code) : unit;
  });
  return `"${body.join('')}"`;
}

/** A float literal that all three languages read (Kotlin adds its own suffix). */
export function floatLiteral(value: number): string {
  const text = String(Math.fround(value));
  return /[.e]/.test(text) ? text : `${text}.0`;
}
