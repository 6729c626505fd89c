/**
 * Azure's part of the contract with its own npm package: the worker hands out `@azure/functions-core`, takes the registration, and turns
 * what the host sends (RpcTypedData) into a call. The conversions on both ends are those of the vendor's package.
 */
import Module from 'node:module';
import { pathToFileURL } from 'node:url';

interface Rpc {
  readonly http?: {
    readonly statusCode?: string;
    readonly headers?: Record<string, string>;
    readonly body?: { readonly bytes?: Uint8Array; readonly string?: string };
  };
}
interface Model {
  getArguments(): Promise<{ context: unknown; inputs: unknown[] }>;
  invokeFunction(context: unknown, inputs: unknown[], handler: unknown): Promise<unknown>;
  getResponse(context: unknown, result: unknown): Promise<{ returnValue?: Rpc }>;
}
interface Metadata {
  readonly name: string;
  readonly bindings: Readonly<Record<string, { type: string; direction: string; authLevel?: string; route?: string }>>;
}

export interface AzureAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface AzureWorker {
  readonly metadata: Metadata;
  call(method: string, path: string, body?: Uint8Array, headers?: Record<string, string>): Promise<AzureAnswer>;
}

/** Loads the app's entry as the worker does. Its package asks for the core once per process, so one worker is all there can be. */
export async function startAzureWorker(entry: string): Promise<AzureWorker> {
  let programming: { getInvocationModel(core: object): Model } | undefined;
  let registered: { metadata: Metadata; handler: unknown } | undefined;
  const core = {
    setProgrammingModel: (model: typeof programming) => (programming = model),
    registerFunction(metadata: Metadata, handler: unknown) {
      registered = { metadata, handler };
      return { dispose: () => undefined };
    },
    log: () => undefined,
  };
  const prototype = Module.prototype as unknown as { require: (this: unknown, id: string) => unknown };
  const plain = prototype.require;
  prototype.require = function require(id) {
    return id === '@azure/functions-core' ? core : plain.call(this, id);
  };
  try {
    await import(pathToFileURL(entry).href);
  } finally {
    prototype.require = plain;
  }
  const model = programming;
  const own = registered;
  if (model === undefined || own === undefined) throw new Error('the app has registered no function');
  return {
    metadata: own.metadata,
    async call(method, path, body, headers = {}) {
      const trigger = Object.entries(own.metadata.bindings).find(([, { type }]) => type === 'httpTrigger')?.[0];
      const http = {
        method,
        url: `https://app.azurewebsites.net${path}`,
        headers,
        query: {},
        params: {},
        body: { bytes: body },
      };
      const request = { inputData: [{ name: trigger, data: { http } }], triggerMetadata: {}, traceContext: {} };
      const invocation = model.getInvocationModel({
        invocationId: 'a',
        metadata: own.metadata,
        request,
        log: () => undefined,
      });
      const { context, inputs } = await invocation.getArguments();
      const result = await invocation.invokeFunction(context, inputs, own.handler);
      const answer = (await invocation.getResponse(context, result)).returnValue?.http;
      const { bytes, string = '' } = answer?.body ?? {};
      return {
        status: Number(answer?.statusCode),
        headers: answer?.headers ?? {},
        body: bytes === undefined ? Buffer.from(string) : Buffer.from(bytes),
      };
    },
  };
}
