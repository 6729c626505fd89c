import type { Target } from '../src/target/target.ts';
import { batch } from './batch/index.ts';
import { browser } from './browser/index.ts';
import { coreml } from './coreml/index.ts';
import { edge } from './edge/index.ts';
import { embeddedC } from './embedded-c/index.ts';
import { functions } from './functions/index.ts';
import { kserve } from './kserve/index.ts';
import { lambda } from './lambda/index.ts';
import { mlflow } from './mlflow/index.ts';
import { mobile } from './mobile/index.ts';
import { oci } from './oci/index.ts';
import { sagemaker } from './sagemaker/index.ts';
import { server } from './server/index.ts';
import { stream } from './stream/index.ts';
import { tflite } from './tflite/index.ts';
import { transformersJs } from './transformers-js/index.ts';
import { triton } from './triton/index.ts';
import { vertex } from './vertex/index.ts';

/** Every target, one line each; a test asserts that the list equals the folder. */
export const targets: readonly Target[] = [
  batch,
  browser,
  coreml,
  edge,
  embeddedC,
  functions,
  kserve,
  lambda,
  mlflow,
  mobile,
  oci,
  sagemaker,
  server,
  stream,
  tflite,
  transformersJs,
  triton,
  vertex,
];
