import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import Parser from 'web-tree-sitter';

const require = createRequire(import.meta.url);
const languages = new Map<string, Parser.Language>();

/** Where a real parser (tree-sitter) finds the first error in a source text, or undefined. */
export async function syntaxError(
  language: 'kotlin' | 'swift' | 'typescript',
  text: string,
): Promise<string | undefined> {
  await Parser.init();
  const known = languages.get(language);
  const grammar =
    known ??
    (await Parser.Language.load(readFileSync(require.resolve(`tree-sitter-wasms/out/tree-sitter-${language}.wasm`))));
  languages.set(language, grammar);
  const parser = new Parser();
  parser.setLanguage(grammar);
  const tree = parser.parse(text);
  const error = firstError(tree.rootNode);
  const at = error && `line ${error.startPosition.row + 1}: ${text.split('\n')[error.startPosition.row]}`;
  tree.delete();
  parser.delete();
  return at;
}

function firstError(node: Parser.SyntaxNode): Parser.SyntaxNode | undefined {
  if (node.type === 'ERROR' || node.isMissing) return node;
  if (!node.hasError) return undefined;
  for (const child of node.children) {
    const found = firstError(child);
    if (found) return found;
  }
  return node;
}
