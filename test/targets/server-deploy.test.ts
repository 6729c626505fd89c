/** The deploy files of the server bundle, held against the schemas and programs that will read them. */
import { execFileSync, spawn } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Ajv } from 'ajv';
import { beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { buildBundle } from '../../src/target/bundle.ts';
import { azureName, kubernetesName } from '../../targets/server/deploy.ts';
import { server } from '../../targets/server/index.ts';
import { classifier, classifierFeeds, makeArtifact } from './support/artifact.ts';
import { validateManifests } from './support/manifests.ts';
import { note } from './support/note.ts';
import { has } from './support/programs.ts';
import { tempDir } from './support/temp.ts';

const dir = await tempDir();
const bundle = join(dir, 'bundle');
const deploy = join(bundle, 'deploy');
const text = (path: string): Promise<string> => readFile(join(deploy, path), 'utf8');

beforeAll(async () => {
  const artifact = { ...(await makeArtifact(dir, classifier, classifierFeeds)), name: 'My_Model.v2' };
  await buildBundle(server, artifact, { image: 'registry.example/team/model', modelVersion: 3 }, bundle);
});

describe('deploy files', () => {
  it('leave no place unfilled, and name the model and the image', async () => {
    for (const entry of await readdir(deploy, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      expect(await readFile(join(entry.parentPath, entry.name), 'utf8'), entry.name).not.toMatch(/__[A-Z]+__/);
    }
    expect(await text('azureml/deployment.yml')).toContain('image: registry.example/team/model:3');
    expect(JSON.parse(await text('monitoring/grafana-dashboard.json'))).toMatchObject({ uid: 'mlpack-my-model-v2' });
    expect(await text('monitoring/alerts.yaml')).toContain('model="My_Model.v2"');
    expect(JSON.parse(await text('sagemaker/create-model.json'))).toMatchObject({ ModelName: 'my-model-v2' });
  });

  it('are what Kubernetes, Argo, Istio and the Prometheus operator take', async () => {
    const found: string[] = [];
    for (const folder of [
      'kubernetes/base',
      'kubernetes/monitoring',
      'kubernetes/canary',
      'kubernetes/blue-green',
      'istio',
    ]) {
      for (const name of await readdir(join(deploy, folder))) {
        if (name !== 'kustomization.yaml')
          found.push(...(await validateManifests(await text(`${folder}/${name}`).then(selected))));
      }
    }
    expect(new Set(found.map((kind) => kind.split('/').at(-1)))).toEqual(
      new Set(
        'Deployment HorizontalPodAutoscaler NetworkPolicy PodDisruptionBudget Service ServiceAccount PrometheusRule ServiceMonitor AnalysisTemplate Rollout VirtualService'.split(
          ' ',
        ),
      ),
    );
    await expect(validateManifests('apiVersion: apps/v1\nkind: Deployment\nspec: {replicas: many}')).rejects.toThrow();
  });

  it('are what Azure ML takes, field by field', async () => {
    const route = strict({ port: { type: 'integer' }, path: { type: 'string', pattern: '^/' } });
    const counts = (...names: string[]): object =>
      strict(Object.fromEntries(names.map((name) => [name, { type: 'integer', minimum: 1 }])));
    const probe = counts('initial_delay', 'period', 'timeout', 'success_threshold', 'failure_threshold');
    const word = { type: 'string', minLength: 1 };
    // What its client asks of both before it sends anything (azure-ai-ml, validate_endpoint_or_deployment_name).
    const azureWord = { type: 'string', minLength: 3, maxLength: 32, pattern: '^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$' };
    // By the schemas that Microsoft publishes for its command line (azureml-examples, managedOnlineDeployment; the environment is inline, as
    // AnonymousEnvironmentSchema of azure-ai-ml has it).
    const schema = strict({
      $schema: word,
      name: azureWord,
      endpoint_name: azureWord,
      environment: strict({
        image: word,
        inference_config: strict({ liveness_route: route, readiness_route: route, scoring_route: route }),
      }),
      instance_type: word,
      instance_count: { type: 'integer', minimum: 1 },
      request_settings: counts('request_timeout_ms', 'max_concurrent_requests_per_instance'),
      liveness_probe: probe,
      readiness_probe: probe,
    });
    const validate = new Ajv({ allErrors: true }).compile(schema);
    expect(validate(parse(await text('azureml/deployment.yml'))), JSON.stringify(validate.errors)).toBe(true);
    expect(await readFile(join(bundle, 'README.md'), 'utf8')).toContain('online-endpoint create --name my-model-v2 ');
    const name = new Ajv().compile(azureWord);
    for (const model of ['m', '2', 'ab', 'x'.repeat(90), `${'x'.repeat(31)}-y`])
      expect(name(azureName(model)), model).toBe(true);
  });

  it('come together in kustomize', async ({ skip }) => {
    if (!hasKustomize()) {
      note('no kubectl 1.27 or newer on this machine: the overlays are not built');
      return skip();
    }
    const build = (path: string): string =>
      execFileSync('kubectl', ['kustomize', join(deploy, 'kubernetes', path)], { encoding: 'utf8' });
    for (const path of ['overlays/staging', 'overlays/production', 'canary', 'blue-green']) {
      expect(await validateManifests(build(path)), path).not.toEqual([]);
    }
    const production = build('overlays/production');
    expect(production).toContain('image: registry.example/team/model:3');
    expect(production).toMatch(/kind: PrometheusRule[\s\S]*namespace: production/);
    expect(build('overlays/staging')).toMatch(/minReplicas: 1/);
    expect(build('canary')).toMatch(/kind: HorizontalPodAutoscaler[\s\S]*kind: Rollout\n\s+name: my-model-v2/);
  });

  it('have alerts that promtool takes', ({ skip }) => {
    if (!has('promtool')) {
      note('no promtool on this machine (Debian: prometheus): the alert rules are not checked by it');
      return skip();
    }
    const answer = execFileSync('promtool', ['check', 'rules', join(deploy, 'monitoring/alerts.yaml')], {
      encoding: 'utf8',
    });
    expect(answer).toContain('8 rules found');
  });

  it('have alerts that fire when they should, and only then', async ({ skip }) => {
    if (!has('promtool')) return skip();
    await writeFile(join(dir, 'alerts.test.yaml'), alertTest(join(deploy, 'monitoring/alerts.yaml')));
    const answer = execFileSync('promtool', ['test', 'rules', join(dir, 'alerts.test.yaml')], { encoding: 'utf8' });
    expect(answer).toContain('SUCCESS');
  });

  it('have an nginx that splits by client, each staying with its version', async ({ skip }) => {
    if (!has('nginx')) {
      note('no nginx on this machine: the split of clients is not tried');
      return skip();
    }
    const backends = await Promise.all(
      ['stable', 'canary'].map(async () => {
        const backend = createServer((_request, response) => response.end());
        await new Promise<void>((resolve) => backend.listen(0, '127.0.0.1', resolve));
        return backend;
      }),
    );
    const [stable, canary] = backends.map((one) => (one.address() as { port: number }).port);
    const probe = createServer();
    await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
    const { port } = probe.address() as { port: number };
    await new Promise((resolve) => probe.close(resolve));
    const config = (await text('nginx/nginx.conf'))
      .replace('127.0.0.1:8080', `127.0.0.1:${stable}`)
      .replace('127.0.0.1:8081', `127.0.0.1:${canary}`)
      .replace('127.0.0.1:8000', `127.0.0.1:${port}`);
    await mkdir(join(dir, 'nginx'));
    await writeFile(join(dir, 'nginx/nginx.conf'), config);
    const args = ['-e', 'stderr', '-p', join(dir, 'nginx'), '-c', join(dir, 'nginx/nginx.conf'), '-g', 'daemon off;'];
    const nginx = spawn('nginx', args, { stdio: 'ignore' });
    try {
      const ask = async (key: string): Promise<string | null> => {
        const response = await fetch(`http://127.0.0.1:${port}/v2/health/live`, { headers: { 'x-api-key': key } });
        await response.arrayBuffer();
        return response.headers.get('x-served-by');
      };
      for (let i = 0; i < 1000 && (await ask('x').catch(() => null)) === null; i++) await sleep(20);
      const keys = Array.from({ length: 600 }, (_, n) => `client-${n}`);
      const first: (string | null)[] = [];
      for (const one of keys) first.push(await ask(one));
      const share = first.filter((version) => version === 'canary').length / keys.length;
      expect(share).toBeGreaterThan(0.05);
      expect(share).toBeLessThan(0.16);
      for (const n of [0, 7, 99, 300]) expect(await ask(keys[n] ?? '')).toBe(first[n]);
    } finally {
      nginx.kill();
      for (const one of backends) one.close();
    }
  });

  it.each([
    ['digits', 'digits'],
    ['ResNet_50.v2', 'resnet-50-v2'],
    ['9lives', 'm-9lives'],
    ['True', 'm-true'],
    ['on', 'm-on'],
    ['a'.repeat(80), 'a'.repeat(50)],
  ])('name %s in Kubernetes %s', (model, name) => {
    expect(kubernetesName(model)).toBe(name);
  });
});

/** An object with exactly these properties. */
function strict(properties: object): object {
  return { type: 'object', properties, required: Object.keys(properties), additionalProperties: false };
}

/** Labels and components are understood since kubectl 1.27; Debian 12 has 1.20. */
function hasKustomize(): boolean {
  if (!has('kubectl')) return false;
  const text = execFileSync('kubectl', ['version', '--client', '--output=json'], { encoding: 'utf8' });
  const { clientVersion } = JSON.parse(text) as { clientVersion: { minor: string } };
  return Number.parseInt(clientVersion.minor, 10) >= 27;
}

/** kustomize adds selectors to the base, which the schemas ask for. */
function selected(yaml: string): string {
  const labels = '{app.kubernetes.io/name: my-model-v2}';
  if (/^kind: Deployment$/m.test(yaml)) {
    return yaml
      .replace(/^spec:$/m, `spec:\n  selector:\n    matchLabels: ${labels}`)
      .replace(/^ {2}template:$/m, `  template:\n    metadata:\n      labels: ${labels}`);
  }
  return yaml;
}

function alertTest(rules: string): string {
  const labels = 'model="My_Model.v2", version="3", instance="a"';
  // Kept to go back to: it shows its last window, and answers nothing.
  const idle = 'model="My_Model.v2", version="2", instance="a"';
  return `rule_files: [${rules}]
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - { series: 'mlpack_prediction_shift{${labels}, feature="y.class"}', values: '0.2x60' }
      - { series: 'mlpack_drift_p_value{${labels}, feature="y.class"}', values: '0.001x60' }
      - { series: 'mlpack_drift_psi{${labels}, feature="x"}', values: '0.3x60' }
      - { series: 'mlpack_drift_p_value{${labels}, feature="x"}', values: '0.4x60' }
      - { series: 'mlpack_drift_psi{${idle}, feature="x"}', values: '0.9x60' }
      - { series: 'mlpack_drift_p_value{${idle}, feature="x"}', values: '0.001x60' }
      - { series: 'mlpack_prediction_shift{${idle}, feature="y.class"}', values: '0.4x60' }
      - { series: 'mlpack_drift_p_value{${idle}, feature="y.class"}', values: '0.001x60' }
      - { series: 'mlpack_reference_accuracy{${idle}}', values: '0.95x60' }
      - { series: 'mlpack_accuracy{${idle}}', values: '0.5x60' }
      - { series: 'nv_inference_request_success{${idle}}', values: '900x60' }
      - { series: 'mlpack_reference_accuracy{${labels}}', values: '0.95x60' }
      - { series: 'mlpack_accuracy{${labels}}', values: '0.88x60' }
      - { series: 'nv_inference_request_success{${labels}}', values: '0+100x60' }
      - { series: 'nv_inference_request_failure{${labels}, reason="BACKEND"}', values: '0x40 3+3x20' }
      - { series: 'nv_inference_request_failure{${labels}, reason="REJECTED"}', values: '0+900x60' }
    alert_rule_test:
      - eval_time: 30m
        alertname: ModelPredictionShift
        exp_alerts:
          - exp_labels: { severity: warning, model: My_Model.v2, version: "3", instance: a, feature: y.class }
            exp_annotations:
              summary: 20% of the predictions of My_Model.v2 went to other classes than in the evaluation data
      - eval_time: 30m
        alertname: ModelInputDrift
        exp_alerts: []
      - eval_time: 30m
        alertname: ModelErrors
        exp_alerts: []
      - eval_time: 58m
        alertname: ModelErrors
        exp_alerts:
          - exp_labels: { severity: critical, model: My_Model.v2, version: "3" }
            exp_annotations:
              summary: My_Model.v2 3 fails for more than 1 % of its requests
      - eval_time: 30m
        alertname: ModelAccuracyDrop
        exp_alerts:
          - exp_labels: { severity: critical, model: My_Model.v2, version: "3", instance: a }
            exp_annotations:
              summary: My_Model.v2 3 lost 7% of accuracy against the evaluation data
`;
}
