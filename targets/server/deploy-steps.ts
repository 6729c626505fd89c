import type { Artifact } from '../../src/target/target.ts';
import { curlSoon } from './curl.ts';
import { azureName, type DeployOptions, imageOf, kubernetesName } from './deploy.ts';

/** The part of the README on where the server runs: commands to copy, with the names of this bundle. */
export function deploySteps(artifact: Artifact, options: DeployOptions): string {
  const name = kubernetesName(artifact.name);
  const endpoint = azureName(artifact.name);
  const image = imageOf(artifact, options);
  const better = `npx mlpack bundle better.onnx --name ${artifact.name} --target server --out ../next --option ${options.image === '' ? '' : `image=${options.image},`}modelVersion=${options.modelVersion + 1}`;
  return `## Deploy

Everything below takes the image \`${image}\`; \`--option image=registry.example/team/${name}\` names yours when the bundle is made.

\`\`\`sh
docker build -t ${image} . && docker push ${image}
\`\`\`

**Kubernetes** (staging beside production; production wants the Prometheus operator, else take out \`components\`):

\`\`\`sh
kubectl create namespace production                                     # once
kubectl apply -k deploy/kubernetes/overlays/production
kubectl -n production rollout status deployment/${name}
kubectl -n production port-forward service/${name} 8080:80 &
${curlSoon} localhost:8080/v2/health/ready
kubectl -n production rollout undo deployment/${name}                   # back to the version before
\`\`\`

A new version is a bundle with the next number, built and applied the same way: \`${better}\`.

**Canary** with Argo Rollouts and Istio, into the namespace that kubectl is set to. 5, 25, 50, 100 % of the traffic; failures, p99 or predictions that differ from the evaluation data send it back by themselves:

\`\`\`sh
kubectl apply -k deploy/kubernetes/canary
kubectl argo rollouts get rollout ${name} --watch
kubectl argo rollouts promote ${name}                                   # do not wait for the next step
kubectl argo rollouts abort ${name}                                     # all traffic to the version before
kubectl argo rollouts undo ${name}                                      # after it is through: back by one revision
\`\`\`

**Blue/green** with Argo Rollouts: the new version is reached through \`${name}-preview\` until it is promoted.

\`\`\`sh
kubectl apply -k deploy/kubernetes/blue-green
kubectl port-forward service/${name}-preview 8081:80 &
${curlSoon} localhost:8081/v2/health/ready
kubectl argo rollouts promote ${name}                                   # or: abort; afterwards: undo
\`\`\`

**NGINX** in front of two servers on this machine, 10 % of the clients to the second, each staying with its version:

\`\`\`sh
PORT=8080 node server.mjs & (cd ../next && npm ci --omit=dev && PORT=8081 node server.mjs) &
mkdir -p run && nginx -p "$PWD/run" -c "$PWD/deploy/nginx/nginx.conf" -g 'daemon off;' &
${curlSoon} -i localhost:8000/v2/health/ready | grep -i x-served-by
\`\`\`

**KServe**, with this server as the predictor (\`--target kserve\` packs a Triton repository for KServe's own runtimes instead):

\`\`\`sh
kubectl apply -f deploy/kserve/inferenceservice.yaml
kubectl wait --for=condition=Ready inferenceservice/${name} --timeout=5m
\`\`\`

**Azure ML**, with the image in a registry that the workspace reads (\`--option image=<registry>.azurecr.io/${name}-server\`):

\`\`\`sh
az ml online-endpoint create --name ${endpoint}                         # a name that nobody else has in the region
az ml online-deployment create --file deploy/azureml/deployment.yml --all-traffic
az ml online-endpoint invoke --name ${endpoint} --request-file request.json
\`\`\`

**Amazon SageMaker** and **Vertex AI** have bundles of their own with one script each: \`--target sagemaker\`, \`--target vertex\`. \`deploy/sagemaker/create-model.json\` (its image and role are to be filled in, the image made with
\`--option user=0:0\` and built as \`deploy/deploy.sh\` of \`--target sagemaker\` does, since SageMaker takes no OCI manifests) and \`IMAGE=… REGION=… sh deploy/vertex/upload.sh\` make a model there of an image with the model inside. **Cloud Run**, **Container Apps** and others that set \`PORT\` take the image as it is.

**Prometheus and Grafana** without the operator:

\`\`\`sh
promtool check rules deploy/monitoring/alerts.yaml                       # rule_files in prometheus.yml
curl -fsS -H 'content-type: application/json' "$GRAFANA/api/dashboards/db" -d "{\\"dashboard\\": $(cat deploy/monitoring/grafana-dashboard.json), \\"overwrite\\": true}"
\`\`\`
`;
}
