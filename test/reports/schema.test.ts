import { readFileSync } from 'node:fs';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { json } from '../../reports/json.ts';
import type { Report } from '../../src/report/report.ts';
import type { JsonSchema, TypeOf } from '../../src/report/schema.ts';
import { reportJsonSchema, reportShape } from '../../src/report/shape.ts';
import { firstProblem } from '../../src/report/validate.ts';
import { keepReport, sampleReport, syntheticReport } from './sample.ts';

/** The compiler's half: what the schema describes and `Report` are each other. */
type Shaped = TypeOf<typeof reportShape>;
const toReport = (value: Shaped): Report => value;
const toShape = (value: Report): Shaped => value;

const shipped: unknown = JSON.parse(readFileSync(new URL('../../reports/report.schema.json', import.meta.url), 'utf8'));
const validate = new Ajv2020({ strict: true, allowUnionTypes: true }).compile(shipped as object);
type Json = Record<string, unknown>;
const asJson = (report: Report): Json => JSON.parse(json.render(report)) as Json;

/** Every place in a document: the object or list that holds it, its key, and the schema of the place. */
interface Place {
  readonly holder: Json;
  readonly key: string;
  readonly schema: JsonSchema | undefined;
  readonly required: boolean;
  readonly path: string;
}

function* places(value: unknown, schema: JsonSchema | undefined, path = ''): Generator<Place> {
  if (typeof value !== 'object' || value === null) return;
  const holder = value as Json;
  for (const key of Object.keys(holder)) {
    const index = Number(key);
    const own = Array.isArray(value)
      ? (schema?.prefixItems?.[index] ?? schema?.items)
      : (schema?.properties?.[key] ?? schema?.additionalProperties);
    const required = !Array.isArray(value) && (schema?.required?.includes(key) ?? false);
    yield { holder, key, schema: own, required, path: `${path}/${key}` };
    yield* places(holder[key], own, `${path}/${key}`);
  }
}

/** All keys of the sample in fewer places. */
const small: Report = {
  ...sampleReport,
  variants: sampleReport.variants
    .filter(({ name }) => name === 'base' || name === 'int8')
    .map((one) => ({
      ...one,
      steps: one.steps.slice(2).map((step) => ({ ...step, skipped: step.skipped.slice(0, 1) })),
    })),
};

describe('report.schema.json', () => {
  it('is what src/report/shape.ts says (its comment tells how to write it)', () => {
    expect(shipped).toEqual(JSON.parse(JSON.stringify(reportJsonSchema)));
  });

  it('is a valid draft 2020-12 schema in which every key is described', () => {
    expect(new Ajv2020().validateSchema(shipped as object)).toBe(true);
    const check = (schema: JsonSchema): void => {
      expect(schema.description, JSON.stringify(schema)).toMatch(/\w/);
      for (const part of Object.values(schema.properties ?? {})) check(part);
      for (const part of [schema.items, schema.additionalProperties, ...(schema.prefixItems ?? [])])
        if (part) check(part);
    };
    check(shipped as JsonSchema);
  });

  it.each([
    ['data', sampleReport],
    ['no data', syntheticReport],
    ['nothing better', keepReport],
  ])('accepts a report: %s', (_, report) => {
    expect(validate(asJson(report)), JSON.stringify(validate.errors)).toBe(true);
    expect(toReport(toShape(report))).toBe(report);
  });

  it('knows every key of the sample, and the sample has every key it knows', () => {
    const seen = new Set<JsonSchema>();
    for (const { schema, path } of places(asJson(sampleReport), reportShape.json)) {
      // What options hold is up to the passes.
      if (/^\/variants\/\d+\/steps\/\d+\/options\//.test(path)) continue;
      expect(schema, path).toBeTypeOf('object');
      if (schema) seen.add(schema);
    }
    const unseen: string[] = [];
    const check = (schema: JsonSchema, path: string): void => {
      for (const [key, part] of Object.entries(schema.properties ?? {})) {
        if (!seen.has(part)) unseen.push(`${path}/${key}`);
        check(part, `${path}/${key}`);
      }
      if (schema.items) check(schema.items, `${path}/items`);
    };
    check(reportShape.json, '');
    expect(unseen).toEqual([]);
  });

  it('refuses the sample without any one required key, and our own check agrees', () => {
    const document = asJson(small);
    let removed = 0;
    for (const { holder, key, required, path } of Array.from(places(document, reportShape.json))) {
      if (!required) continue;
      const value = holder[key];
      delete holder[key];
      expect(validate(document), path).toBe(false);
      expect(firstProblem(reportShape.json, document)?.message, path).toBe('is missing');
      holder[key] = value;
      removed++;
    }
    expect(removed).toBeGreaterThan(120);
    expect(validate(document)).toBe(true);
  });

  it('agrees with our own check on wrong values everywhere', () => {
    const document = asJson(small);
    const wrong = [null, true, -1.5, 0, 3, '', 'x', [], [1, 2], {}, { a: 'b' }];
    let refused = 0;
    for (const { holder, key, path } of Array.from(places(document, reportShape.json))) {
      const value = holder[key];
      for (const bad of wrong) {
        holder[key] = bad;
        const expected = validate(document);
        const problem = firstProblem(reportShape.json, document);
        expect(problem === undefined, `${path} = ${JSON.stringify(bad)}: ${problem?.message}`).toBe(expected);
        if (!expected) refused++;
      }
      holder[key] = value;
    }
    expect(refused).toBeGreaterThan(1000);
  });
});

describe('json', () => {
  it('writes null where there is no finite number, and refuses what breaks the schema', () => {
    const [base, ...rest] = sampleReport.variants;
    const accuracy = { metric: 'rmse', value: Number.NaN, base: 1, drop: Number.NaN, samples: 5 };
    const report = { ...sampleReport, variants: [{ ...base!, accuracy }, ...rest] };
    expect(asJson(report).variants).toMatchObject([
      { accuracy: { value: null, base: 1, drop: null } },
      ...rest.map(() => ({})),
    ]);
    const broken = { ...sampleReport, variants: [{ ...base!, bytes: 1.5 }, ...rest] };
    expect(() => json.render(broken)).toThrow('variants[0].bytes must be a whole number or null, and is 1.5');
  });

  it('gives the same bytes for the same report', () => {
    expect(json.render(structuredClone(sampleReport))).toBe(json.render(sampleReport));
  });
});
