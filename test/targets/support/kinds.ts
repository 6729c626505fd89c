/**
 * What each kind of object may hold, field by field: the types that were generated from the schemas of Kubernetes and of each project's CRDs, and by hand
 * where no package has them. A cluster drops a field that it does not know without a word, and so do validators made of CRDs;
 * the compiler does not (known-fields.ts).
 */

import type { Dashboard } from '@grafana/schema';
import type { IAnalysisTemplate, IRollout } from '@kubernetes-models/argo-rollouts/argoproj.io/v1alpha1';
import type { IWorkflow } from '@kubernetes-models/argo-workflows/argoproj.io/v1alpha1';
import type { IVirtualService } from '@kubernetes-models/istio/networking.istio.io/v1beta1';
import type { IScaledObject, ITriggerAuthentication } from '@kubernetes-models/keda/keda.sh/v1alpha1';
import type {
  IPodMonitor,
  IPrometheusRule,
  IServiceMonitor,
} from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1';
import type { IDeployment } from 'kubernetes-models/apps/v1';
import type { IHorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2';
import type { IJob } from 'kubernetes-models/batch/v1';
import type { INetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import type { IPodDisruptionBudget } from 'kubernetes-models/policy/v1';
import type { IContainer, IPodSpec, IService, IServiceAccount } from 'kubernetes-models/v1';

interface Metadata {
  name: string;
  namespace?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
}

/** pkg/apis/serving/v1beta1 of kserve/kserve (component.go, predictor.go, predictor_model.go), without what our files never hold. */
interface InferenceService {
  apiVersion: 'serving.kserve.io/v1beta1';
  kind: 'InferenceService';
  metadata: Metadata;
  spec: {
    predictor: Partial<IPodSpec> & {
      minReplicas?: number;
      maxReplicas?: number;
      scaleTarget?: number;
      scaleMetric?: 'cpu' | 'memory' | 'concurrency' | 'rps';
      containerConcurrency?: number;
      timeout?: number;
      canaryTrafficPercent?: number;
      model?: Partial<IContainer> & {
        modelFormat: { name: string; version?: string };
        runtime?: string;
        storageUri?: string;
        runtimeVersion?: string;
        protocolVersion?: 'v1' | 'v2' | 'grpc-v1' | 'grpc-v2';
      };
    };
  };
}

/** api/types/kustomization.go of kubernetes-sigs/kustomize, without what our files never hold. */
interface Kustomization<Version, Kind> {
  apiVersion: Version;
  kind: Kind;
  namespace?: string;
  resources?: string[];
  components?: string[];
  images?: { name: string; newName?: string; newTag?: string; digest?: string }[];
  labels?: { pairs: Record<string, string>; includeSelectors?: boolean; includeTemplates?: boolean }[];
  patches?: {
    path?: string;
    patch?: string;
    target?: { group?: string; version?: string; kind?: string; name?: string };
  }[];
}

/** Enumerations as the plain values that JSON has; their names are checked, not their values. */
type Plain<T> = T extends string
  ? string
  : T extends number
    ? number
    : T extends readonly (infer U)[]
      ? Plain<U>[]
      : T extends object
        ? { [K in keyof T]: Plain<T[K]> }
        : T;

/** A panel as @grafana/schema has it; rows and library panels are other members of its union. */
type Panel = Plain<Extract<NonNullable<Dashboard['panels']>[number], { fieldConfig?: unknown }>>;
/** Queries of Prometheus: public/app/plugins/datasource/prometheus of grafana/grafana. */
interface PrometheusQuery {
  refId: string;
  expr: string;
  legendFormat?: string;
}

export interface Kinds {
  'v1/Service': IService;
  'v1/ServiceAccount': IServiceAccount;
  'apps/v1/Deployment': IDeployment;
  'autoscaling/v2/HorizontalPodAutoscaler': IHorizontalPodAutoscaler;
  'batch/v1/Job': IJob;
  'networking.k8s.io/v1/NetworkPolicy': INetworkPolicy;
  'policy/v1/PodDisruptionBudget': IPodDisruptionBudget;
  'argoproj.io/v1alpha1/AnalysisTemplate': IAnalysisTemplate;
  'argoproj.io/v1alpha1/Rollout': IRollout;
  'argoproj.io/v1alpha1/Workflow': IWorkflow;
  'networking.istio.io/v1beta1/VirtualService': IVirtualService;
  'keda.sh/v1alpha1/ScaledObject': IScaledObject;
  'keda.sh/v1alpha1/TriggerAuthentication': ITriggerAuthentication;
  'monitoring.coreos.com/v1/PodMonitor': IPodMonitor;
  'monitoring.coreos.com/v1/PrometheusRule': IPrometheusRule;
  'monitoring.coreos.com/v1/ServiceMonitor': IServiceMonitor;
  'serving.kserve.io/v1beta1/InferenceService': InferenceService;
  'kustomize.config.k8s.io/v1beta1/Kustomization': Kustomization<'kustomize.config.k8s.io/v1beta1', 'Kustomization'>;
  'kustomize.config.k8s.io/v1alpha1/Component': Kustomization<'kustomize.config.k8s.io/v1alpha1', 'Component'>;
  'grafana/dashboard': Omit<Plain<Dashboard>, 'panels'> & {
    panels: (Omit<Panel, 'targets'> & { targets: PrometheusQuery[] })[];
  };
}
