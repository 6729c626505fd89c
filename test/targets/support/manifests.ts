import { parseAllDocuments } from 'yaml';

interface Validated {
  validate(): void;
}
type Kinds = Readonly<Record<string, (new (data: object) => Validated) | undefined>>;

/** Where the classes of an apiVersion are: generated from the schemas of Kubernetes and of each project's CRDs. */
const packages: Readonly<Record<string, () => Promise<unknown>>> = {
  v1: () => import('kubernetes-models/v1'),
  'apps/v1': () => import('kubernetes-models/apps/v1'),
  'autoscaling/v2': () => import('kubernetes-models/autoscaling/v2'),
  'batch/v1': () => import('kubernetes-models/batch/v1'),
  'networking.k8s.io/v1': () => import('kubernetes-models/networking.k8s.io/v1'),
  'policy/v1': () => import('kubernetes-models/policy/v1'),
  'argoproj.io/v1alpha1': async () => ({
    ...(await import('@kubernetes-models/argo-rollouts/argoproj.io/v1alpha1')),
    ...(await import('@kubernetes-models/argo-workflows/argoproj.io/v1alpha1')),
  }),
  'networking.istio.io/v1beta1': () => import('@kubernetes-models/istio/networking.istio.io/v1beta1'),
  'monitoring.coreos.com/v1': () => import('@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1'),
  'keda.sh/v1alpha1': () => import('@kubernetes-models/keda/keda.sh/v1alpha1'),
};

/** Validates every document of a YAML text against the schema of its kind. @returns `apiVersion/kind` of each. @throws what is wrong */
export async function validateManifests(text: string): Promise<string[]> {
  const kinds: string[] = [];
  for (const document of parseAllDocuments(text)) {
    const data = document.toJS() as { apiVersion: string; kind: string };
    kinds.push(`${data.apiVersion}/${data.kind}`);
    const load = packages[data.apiVersion];
    if (load === undefined) continue;
    const Model = ((await load()) as Kinds)[data.kind];
    if (Model === undefined) throw new Error(`${data.apiVersion} has no kind ${data.kind}`);
    new Model(data).validate();
  }
  return kinds;
}
