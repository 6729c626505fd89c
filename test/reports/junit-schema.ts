/**
 * What the two common schemas of JUnit XML ask, both at once: Jenkins' xunit plugin (junit-10.xsd) and Windy Road (JUnit.xsd, the Ant
 * task). Attributes and children by element; where the two differ, the stricter one counts.
 */
interface ElementRule {
  readonly required: readonly string[];
  readonly optional?: readonly string[];
  /** In this order, each as often as its mark says: once, `?` at most once, `*` any number. */
  readonly children?: readonly string[];
  /** At most one of these. */
  readonly choice?: readonly string[];
}

const rules: Readonly<Record<string, ElementRule>> = {
  testsuites: {
    required: [],
    optional: ['name', 'time', 'tests', 'failures', 'errors'],
    children: ['testsuite*'],
  },
  testsuite: {
    required: ['name', 'tests', 'failures', 'errors', 'time', 'timestamp', 'hostname', 'package', 'id'],
    optional: ['skipped'],
    children: ['properties', 'testcase*', 'system-out', 'system-err'],
  },
  properties: { required: [], children: ['property*'] },
  property: { required: ['name', 'value'] },
  testcase: { required: ['name', 'classname', 'time'], choice: ['skipped', 'error', 'failure'] },
  failure: { required: ['type'], optional: ['message'] },
  skipped: { required: [], optional: ['message', 'type'] },
  'system-out': { required: [] },
  'system-err': { required: [] },
};

const patterns: Readonly<Record<string, RegExp>> = {
  time: /^\d+(\.\d+)?$/,
  timestamp: /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/,
  tests: /^\d+$/,
  failures: /^\d+$/,
  errors: /^\d+$/,
  skipped: /^\d+$/,
  id: /^\d+$/,
  // xs:token: no line breaks, no space at the ends, no two in a row.
  name: /^(\S+( \S+)*)?$/,
  classname: /^(\S+( \S+)*)?$/,
};

interface Open {
  readonly name: string;
  readonly children: string[];
}

/** Sentences about what is not well-formed or not valid; empty when all is. */
export function junitProblems(xml: string): string[] {
  const problems: string[] = [];
  const stack: Open[] = [];
  const body = xml.replace(/^<\?xml version="1\.0" encoding="UTF-8"\?>\n/, '');
  if (body === xml) problems.push('no XML declaration');
  if (/[\u0000-\u0008\u000B\u000C\u000E-\u001F\uFFFE\uFFFF]/.test(xml)) problems.push('a character that XML has not');
  for (const [, text, close, name = '', attributes = '', empty] of body.matchAll(
    /([^<]+)|<(\/?)([\w-]+)((?:\s+[\w-]+="[^"<]*")*)\s*(\/?)>|<[^>]*>?/g,
  )) {
    if (text !== undefined) {
      if (/&(?!(amp|lt|gt|quot|#39);)/.test(text)) problems.push(`a bare & in ${text}`);
      continue;
    }
    if (!Object.hasOwn(rules, name)) problems.push(`no element ${name}`);
    if (close) {
      const ended = stack.pop();
      if (ended?.name !== name) problems.push(`</${name}> ends ${ended?.name}`);
      else problems.push(...childProblems(ended));
      continue;
    }
    problems.push(...attributeProblems(name, attributes));
    stack.at(-1)?.children.push(name);
    const opened = { name, children: [] };
    if (empty) problems.push(...childProblems(opened));
    else stack.push(opened);
  }
  return stack.length > 0 ? [...problems, `${stack.length} elements are open`] : problems;
}

function attributeProblems(element: string, text: string): string[] {
  const rule = rules[element];
  if (!rule) return [];
  const found = new Map([...text.matchAll(/([\w-]+)="([^"]*)"/g)].map(([, name = '', value = '']) => [name, value]));
  const known = [...rule.required, ...(rule.optional ?? [])];
  return [
    ...rule.required.filter((name) => !found.has(name)).map((name) => `${element} needs ${name}`),
    ...[...found.keys()].filter((name) => !known.includes(name)).map((name) => `${element} may not have ${name}`),
    ...[...found]
      .filter(([name, value]) => element !== 'property' && patterns[name]?.test(value) === false)
      .map(([name, value]) => `${name} of ${element} is ${JSON.stringify(value)}`),
  ];
}

function childProblems({ name, children }: Open): string[] {
  const { children: order = [], choice } = rules[name] ?? { required: [] };
  if (choice) {
    const odd = children.filter((child) => !choice.includes(child));
    return [
      ...odd.map((child) => `${name} may not hold ${child}`),
      ...(children.length > 1 ? [`${name} holds more than one result`] : []),
    ];
  }
  const problems: string[] = [];
  let at = 0;
  for (const mark of order) {
    const child = mark.replace('*', '');
    const start = at;
    while (children[at] === child && (mark.endsWith('*') || at === start)) at++;
    if (!mark.endsWith('*') && at === start) problems.push(`${name} needs ${child}`);
  }
  return at < children.length ? [...problems, `${name} may not hold ${children[at]} there`] : problems;
}
