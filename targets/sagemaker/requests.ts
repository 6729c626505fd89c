import type { Artifact } from '../../src/target/target.ts';
import { kubernetesName } from '../server/deploy.ts';
import { modelDigest } from '../server/digest.ts';

interface Places {
  readonly image: string;
  readonly bucket: string;
  readonly role: string;
  readonly instance: string;
}

const imageOf = (name: string, { image }: Places): string => image || `${name}-server`;

/** Requests of the SageMaker API by the file they lie in; `deploy.sh` fills in account, region and digests. */
export function requests(artifact: Artifact, places: Places): Readonly<Record<string, object>> {
  const name = kubernetesName(artifact.name);
  // The model's own digest names what can be told apart by nothing else: models and configurations cannot be changed, only followed.
  const version = modelDigest(artifact).slice(0, 8);
  return {
    'create-model': {
      ModelName: `${name}-${version}`,
      PrimaryContainer: {
        Image: `${imageOf(name, places)}:${version}`,
        ModelDataUrl: `s3://${places.bucket}/${name}/${version}/model.tar.gz`,
        Environment: { MODEL_DIR: '/opt/ml/model' },
      },
      ExecutionRoleArn: places.role,
      EnableNetworkIsolation: true,
    },
    'create-endpoint-config': {
      EndpointConfigName: `${name}-${version}`,
      ProductionVariants: [
        {
          VariantName: 'main',
          ModelName: `${name}-${version}`,
          InitialInstanceCount: 1,
          InstanceType: places.instance,
          InitialVariantWeight: 1,
        },
      ],
    },
    'create-endpoint': { EndpointName: name, EndpointConfigName: `${name}-${version}` },
  };
}

/** What the image is built for: instances with a "g" behind the generation (ml.c7g.large, ml.m6gd.large) are Graviton. */
const platformOf = ({ instance }: Places): string =>
  /^ml\.[a-z]+\d+g[a-z]*\./.test(instance) ? 'linux/arm64' : 'linux/amd64';

/** Everything from the bundle to a running endpoint. The second time it updates the endpoint that is there. */
export function deployScript(name: string, places: Places): string {
  const image = imageOf(name, places);
  return `#!/bin/sh
# ACCOUNT, REGION and ROLE are yours; the bucket is ${places.bucket}. Needs docker and the AWS CLI.
set -eu
cd "$(dirname "$0")/.."
registry="\${ACCOUNT:?set ACCOUNT}.dkr.ecr.\${REGION:?set REGION}.amazonaws.com"
read_json() { node -p "JSON.parse(require('node:fs').readFileSync('deploy/$1.json', 'utf8'))$2"; }
image="$(read_json create-model .PrimaryContainer.Image)"
aws ecr get-login-password --region "$REGION" | docker login --username AWS --password-stdin "$registry"
aws ecr describe-repositories --region "$REGION" --repository-names "${image}" > /dev/null ||
  aws ecr create-repository --region "$REGION" --repository-name "${image}" > /dev/null
# For the instance, whatever this machine is. SageMaker refuses OCI manifests, which docker makes unless told (aws/amazon-sagemaker-feedback#180).
docker buildx build --platform ${platformOf(places)} --provenance=false --output "type=image,name=$registry/$image,push=true,oci-mediatypes=false" .
aws s3 cp model.tar.gz "$(read_json create-model .PrimaryContainer.ModelDataUrl)"
# Models and configurations are named by the model's digest and never change: after a run that ended half-way they are there already.
has() { aws sagemaker "$@" > /dev/null 2>&1; }
has describe-model --region "$REGION" --model-name "$(read_json create-model .ModelName)" ||
  aws sagemaker create-model --region "$REGION" --cli-input-json file://deploy/create-model.json \\
  --execution-role-arn "\${ROLE:?set ROLE}" \\
  --primary-container "$(node -p "const c = JSON.parse(require('node:fs').readFileSync('deploy/create-model.json', 'utf8')).PrimaryContainer; JSON.stringify({ ...c, Image: '$registry/' + c.Image })")"
has describe-endpoint-config --region "$REGION" --endpoint-config-name "$(read_json create-endpoint-config .EndpointConfigName)" ||
  aws sagemaker create-endpoint-config --region "$REGION" --cli-input-json file://deploy/create-endpoint-config.json
if has describe-endpoint --region "$REGION" --endpoint-name "${name}"; then
  aws sagemaker update-endpoint --region "$REGION" --cli-input-json file://deploy/create-endpoint.json
else
  aws sagemaker create-endpoint --region "$REGION" --cli-input-json file://deploy/create-endpoint.json
fi
`;
}
