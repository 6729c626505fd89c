import { parse, stringify } from 'yaml';
import { literalText } from '../../src/target/literal.ts';
import type { Artifact, BundleFile } from '../../src/target/target.ts';
import { grafanaDashboard } from './grafana.ts';

export interface DeployOptions {
  readonly modelVersion: number;
  /** Image name without tag; '' is `<model>-server`. */
  readonly image: string;
}

/** Templates under files/deploy; `__NAME__`, `__ENDPOINT__`, `__MODEL__`, `__IMAGE__`, `__VERSION__` and `__MEMORY__` are filled in. */
const templates = [
  'azureml/deployment.yml',
  'istio/kustomization.yaml',
  'istio/virtualservice.yaml',
  'kserve/inferenceservice.yaml',
  'kubernetes/base/deployment.yaml',
  'kubernetes/base/hpa.yaml',
  'kubernetes/base/kustomization.yaml',
  'kubernetes/base/networkpolicy.yaml',
  'kubernetes/base/pdb.yaml',
  'kubernetes/base/service.yaml',
  'kubernetes/base/serviceaccount.yaml',
  'kubernetes/blue-green/kustomization.yaml',
  'kubernetes/blue-green/rollout.yaml',
  'kubernetes/blue-green/services.yaml',
  'kubernetes/canary/analysistemplate.yaml',
  'kubernetes/canary/kustomization.yaml',
  'kubernetes/canary/rollout.yaml',
  'kubernetes/canary/services.yaml',
  'kubernetes/monitoring/kustomization.yaml',
  'kubernetes/monitoring/servicemonitor.yaml',
  'kubernetes/overlays/production/kustomization.yaml',
  'kubernetes/overlays/staging/kustomization.yaml',
  'monitoring/alerts.yaml',
  'nginx/nginx.conf',
  'sagemaker/create-model.json',
  'vertex/upload.sh',
];

/** A name that Kubernetes takes (RFC 1123 label): letters, digits and "-", beginning with a letter. */
export function kubernetesName(model: string): string {
  const plain = model.toLowerCase().replace(/[^a-z0-9-]+/g, '-');
  // Names made from it end in "-canary" and the like, and 63 is the limit.
  // A bare `true`, `null` or `on` in YAML is no text.
  const fits = /^[a-z]/.test(plain) && !/^(?:true|false|yes|no|on|off|y|n|null)$/.test(plain);
  return `${fits ? '' : 'm-'}${plain}`.slice(0, 50).replace(/-+$/, '');
}

/** A name that Azure ML takes for an endpoint: 3 to 32 letters, digits and "-" (azure-ai-ml, validate_endpoint_or_deployment_name). */
export function azureName(model: string): string {
  const name = kubernetesName(model).slice(0, 32).replace(/-+$/, '');
  return name.length < 3 ? `${name}-model` : name;
}

/**
 * Mebibytes for one pod: the server itself takes about 120 (measured on Node 20 with a model of 1 MB and two sessions), each of
 * the two sessions of a limit of 2 CPUs holds the weights about twice, requests get as much again as the server.
 */
function memoryOf(artifact: Artifact): number {
  const megabytes = artifact.files.reduce((sum, { bytes }) => sum + bytes, 0) / 2 ** 20;
  return Math.ceil((384 + 4 * megabytes) / 64) * 64;
}

/** `image:tag` of the deploy files. */
export function imageOf({ name }: Artifact, { image, modelVersion }: DeployOptions): string {
  return `${image || `${kubernetesName(name)}-server`}:${modelVersion}`;
}

/** `deploy/…`: container platforms, monitoring, traffic. */
export function* deployFiles(artifact: Artifact, { modelVersion, image }: DeployOptions): Iterable<BundleFile> {
  const name = kubernetesName(artifact.name);
  const values: Readonly<Record<string, string>> = {
    NAME: name,
    ENDPOINT: azureName(artifact.name),
    MODEL: artifact.name,
    IMAGE: image || `${name}-server`,
    VERSION: String(modelVersion),
    MEMORY: String(memoryOf(artifact)),
  };
  const fill = (path: string): string =>
    literalText('server', `deploy/${path}`).replace(/__([A-Z]+)__/g, (whole, key: string) => values[key] ?? whole);
  for (const path of templates) yield { path: `deploy/${path}`, bytes: fill(path) };
  const alerts = parse(fill('monitoring/alerts.yaml')) as object;
  const rule = { apiVersion: 'monitoring.coreos.com/v1', kind: 'PrometheusRule', metadata: { name }, spec: alerts };
  yield { path: 'deploy/kubernetes/monitoring/prometheusrule.yaml', bytes: stringify(rule, { lineWidth: 0 }) };
  yield { path: 'deploy/monitoring/grafana-dashboard.json', bytes: grafanaDashboard(artifact.name, name) };
}
