import { float, floats, int, ints, string, strings } from '../attr.ts';
import type { Tensor } from '../tensor.ts';
import { describe, type Lexer } from './lexer.ts';
import { atType, parseNumber, parseTensorData, parseType } from './literals.ts';
import type { AttrSyntax, GraphSyntax, InitializerSyntax, NodeSyntax, Notes, ValueSyntax } from './syntax.ts';

/** `name (inputs) => (outputs) <initializers> { nodes }` */
export function parseGraphSyntax(lexer: Lexer): GraphSyntax {
  const name = lexer.name('the name of a graph');
  return { name, ...parseGraphBody(lexer) };
}

/** What follows the name of a graph or function. */
export function parseGraphBody(lexer: Lexer): Omit<GraphSyntax, 'name'> {
  const inputs = parseValues(lexer);
  lexer.expect('=>');
  const outputs = parseValues(lexer);
  const notes = parseNotes(lexer);
  const initializers = parseInitializers(lexer);
  lexer.expect('{');
  const nodes: NodeSyntax[] = [];
  while (!lexer.take('}')) nodes.push(parseNode(lexer));
  return { inputs, outputs, initializers, nodes, ...notes };
}

function parseValues(lexer: Lexer): ValueSyntax[] {
  const values: ValueSyntax[] = [];
  lexer.expect('(');
  while (!lexer.is(')')) {
    values.push(parseValue(lexer));
    if (!lexer.take(',')) break;
  }
  lexer.expect(')');
  return values;
}

function parseValue(lexer: Lexer): ValueSyntax {
  const { at } = lexer.token;
  const type = atType(lexer) ? parseType(lexer) : undefined;
  const name = lexer.name('the name of a value');
  return { name, at, ...(type && { type }), ...parseNotes(lexer) };
}

function parseNotes(lexer: Lexer): Notes {
  const doc = lexer.is('doc') && lexer.peek().kind === 'string' ? (lexer.next(), lexer.string('a text')) : undefined;
  const meta = lexer.is('meta') && lexer.peek().text === '{' ? (lexer.next(), parsePairs(lexer, '{', '}')) : undefined;
  return { ...(doc !== undefined && { doc }), ...(meta && { meta }) };
}

/** `["key" : "value", …]` */
export function parsePairs(lexer: Lexer, open: string, close: string): Map<string, string> {
  const pairs = new Map<string, string>();
  lexer.expect(open);
  while (!lexer.is(close)) {
    const key = lexer.string('a key');
    lexer.expect(':');
    pairs.set(key, lexer.string('a value'));
    if (!lexer.take(',')) break;
  }
  lexer.expect(close);
  return pairs;
}

function parseInitializers(lexer: Lexer): InitializerSyntax[] {
  const initializers: InitializerSyntax[] = [];
  if (!lexer.take('<')) return initializers;
  while (!lexer.is('>')) {
    const { at } = lexer.token;
    const type = parseType(lexer);
    const name = lexer.name('the name of a value');
    const notes = parseNotes(lexer);
    if (lexer.take('=')) initializers.push({ name, at, tensor: parseTensorData(lexer, type), ...notes });
    else initializers.push({ name, at, type, ...notes });
    if (!lexer.take(',')) break;
  }
  lexer.expect('>');
  return initializers;
}

function parseNode(lexer: Lexer): NodeSyntax {
  let name = '';
  if (lexer.take('[')) {
    name = lexer.name('the name of a node');
    lexer.expect(']');
  }
  const outputs = atOp(lexer) ? [] : parseList(lexer, '=', () => parseValue(lexer));
  if (outputs.length > 0 || lexer.is('=')) lexer.expect('=');
  const op = parseOp(lexer);
  const attrs = parseAttrs(lexer);
  lexer.expect('(');
  const inputs = parseList(lexer, ')', () => ({ at: lexer.token.at, name: lexer.name('the name of a value') }));
  lexer.expect(')');
  for (const [key, attr] of parseAttrs(lexer)) attrs.set(key, attr);
  return { name, ...op, inputs, outputs, attrs, ...parseNotes(lexer) };
}

/** True where a node without outputs begins with its op. */
function atOp(lexer: Lexer): boolean {
  const { text, kind } = lexer.peek();
  return (
    (lexer.token.kind === 'name' || lexer.token.kind === 'string') &&
    kind === 'mark' &&
    ['(', '<', ':', '.'].includes(text) &&
    !atType(lexer)
  );
}

/** Comma-separated; an empty place or `""` is a hole. `Conv (x, w, )` has two inputs and a hole. */
function parseList(lexer: Lexer, end: string, item: () => ValueSyntax): (ValueSyntax | undefined)[] {
  const items: (ValueSyntax | undefined)[] = [];
  if (lexer.is(end)) return items;
  for (;;) {
    const value = lexer.is(',') || lexer.is(end) ? undefined : item();
    items.push(value?.name === '' ? undefined : value);
    if (!lexer.take(',')) return items;
  }
}

/** `Conv`, `com.microsoft.FusedConv`, `"odd domain"."odd op"`, each with `:overload`. */
function parseOp(lexer: Lexer): { op: string; domain: string; overload: string } {
  let domain = '';
  let op: string;
  if (lexer.token.kind === 'string') {
    op = lexer.string('an op');
    if (lexer.take('.')) {
      domain = op;
      op = lexer.string('an op');
    }
  } else {
    const qualified = lexer.name('an op');
    const dot = qualified.lastIndexOf('.');
    domain = dot < 0 ? '' : qualified.slice(0, dot);
    op = qualified.slice(dot + 1);
  }
  const overload = lexer.take(':') ? lexer.name('an overload') : '';
  return { op, domain: domain === 'ai.onnx' ? '' : domain, overload };
}

function parseAttrs(lexer: Lexer): Map<string, AttrSyntax> {
  const attrs = new Map<string, AttrSyntax>();
  if (!lexer.take('<')) return attrs;
  while (!lexer.is('>')) {
    const { at } = lexer.token;
    const name = lexer.name('the name of an attribute');
    if (attrs.has(name)) lexer.fail(`attribute "${name}" stands twice`, at);
    attrs.set(name, parseAttr(lexer));
    if (!lexer.take(',')) break;
  }
  lexer.expect('>');
  return attrs;
}

/** What follows the name: `: type`, then `= data`. */
export function parseAttr(lexer: Lexer): AttrSyntax {
  const type = lexer.take(':') ? lexer.name('the type of an attribute') : undefined;
  if (type === 'opaque') lexer.fail('attributes this version does not understand have no text form');
  lexer.expect('=');
  if (!lexer.take('[')) return single(lexer, type);
  const items: AttrSyntax[] = [];
  while (!lexer.is(']')) {
    items.push(single(lexer, type === undefined ? undefined : type.replace(/s$/, '')));
    if (!lexer.take(',')) break;
  }
  lexer.expect(']');
  return joined(lexer, items, type);
}

function single(lexer: Lexer, type: string | undefined): AttrSyntax {
  const attr = untyped(lexer);
  if (type === undefined || attr.type === 'ref') return attr;
  if (type === 'float' && attr.type === 'int') return float(Number(attr.value));
  if ((attr.type === 'graph-syntax' ? 'graph' : attr.type) !== type) lexer.fail(`this is no attribute of type ${type}`);
  return attr;
}

function untyped(lexer: Lexer): AttrSyntax {
  const { token } = lexer;
  if (lexer.take('@')) return { type: 'ref', value: lexer.name('the name of an attribute') };
  if (atType(lexer)) return { type: 'tensor', value: parseTensorData(lexer, parseType(lexer)) };
  if ((token.kind === 'name' || token.kind === 'string') && lexer.peek().text === '(') {
    return { type: 'graph-syntax', graphs: [lexer.nested(() => parseGraphSyntax(lexer))], list: false };
  }
  if (token.kind === 'string') return string(lexer.string('a string'));
  if (token.kind === 'int') return int(lexer.integer('an integer'));
  if (token.kind === 'float' || token.text === 'nan' || token.text === 'inf')
    return float(Math.fround(Number(parseNumber(lexer))));
  return lexer.fail(`expected the value of an attribute instead of ${describe(token)}`);
}

function joined(lexer: Lexer, items: readonly AttrSyntax[], given: string | undefined): AttrSyntax {
  const kinds = new Set(items.map((item) => (item.type === 'graph-syntax' ? 'graph' : item.type)));
  if (kinds.size === 2 && kinds.has('int') && kinds.has('float')) kinds.delete('int');
  const [kind] = kinds;
  const type = given ?? (kind === undefined ? undefined : `${kind}s`);
  if (kinds.size > 1) lexer.fail('the elements of this list are of different types');
  switch (type) {
    case 'ints':
      return ints(items.map((item) => (item.type === 'int' ? item.value : 0n)));
    case 'floats':
      return floats(items.map((item) => (item.type === 'int' || item.type === 'float' ? Number(item.value) : 0)));
    case 'strings':
      return strings(items.map((item) => (item.type === 'string' ? item.value : '')));
    case 'tensors':
      return { type: 'tensors', value: items.map((item) => (item as { readonly value: Tensor }).value) };
    case 'graphs':
      return {
        type: 'graph-syntax',
        list: true,
        graphs: items.flatMap((item) => (item.type === 'graph-syntax' ? item.graphs : [])),
      };
    default:
      return lexer.fail(
        items.length === 0
          ? 'an empty list needs its type, such as `axes: ints = []`'
          : `this is no list of type ${type ?? 'that an attribute has'}`,
      );
  }
}
