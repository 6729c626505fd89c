import { literalText } from '../../src/target/literal.ts';
import { print } from './json.ts';

/** What hosts take of a file at most, in bytes, as their documentation says; and whether they let a folder set headers. */
export const hosts = {
  any: { limit: 25 * 2 ** 20, headers: true },
  cloudflare: { limit: 25 * 2 ** 20, headers: true },
  github: { limit: 100 * 2 ** 20, headers: false },
  netlify: { limit: Number.POSITIVE_INFINITY, headers: true },
  vercel: { limit: 100 * 2 ** 20, headers: true },
  nginx: { limit: Number.POSITIVE_INFINITY, headers: true },
} as const;

interface Rule {
  readonly path: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** The rules of `_headers`: a path, then its headers indented. */
export function parseHeaders(text: string): Rule[] {
  const rules: { path: string; headers: [string, string][] }[] = [];
  for (const line of text.split('\n')) {
    if (line.startsWith('/')) rules.push({ path: line.trim(), headers: [] });
    else if (line.startsWith('  ')) {
      const at = line.indexOf(':');
      rules.at(-1)?.headers.push([line.slice(0, at).trim(), line.slice(at + 1).trim()]);
    }
  }
  return rules;
}

/** The same headers in the forms of other hosts: vercel.json, and a block for nginx. */
export function hostFiles(): { path: string; bytes: string }[] {
  const text = literalText('browser', 'headers.txt');
  const rules = parseHeaders(text);
  const vercel = {
    headers: rules.map(({ path, headers }) => ({
      source: path.replaceAll('*', '(.*)'),
      headers: headers.map(([key, value]) => ({ key, value })),
    })),
  };
  return [
    { path: '_headers', bytes: text },
    { path: 'vercel.json', bytes: print(vercel) },
    { path: 'nginx.conf', bytes: nginx(rules) },
  ];
}

/** A block for nginx. */
function nginx(rules: readonly Rule[]): string {
  const everywhere = rules.find(({ path }) => path === '/*')?.headers ?? [];
  const lines = everywhere.map(([name, value]) => `add_header ${name} "${value}" always;\n`).join('');
  return `# Inside a "server" block whose "root" is this folder: include /path/of/this/nginx.conf;
index index.html;
${lines}types {
  text/html html;
  text/css css;
  text/javascript js mjs;
  application/json json;
  application/wasm wasm;
  application/octet-stream onnx bin data;
}
gzip on;
gzip_types text/css text/javascript application/json application/wasm application/octet-stream;
`;
}
