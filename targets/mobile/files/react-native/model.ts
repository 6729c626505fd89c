import { Asset } from 'expo-asset';
import { InferenceSession, Tensor } from 'onnxruntime-react-native';
import { type ModelInputs, type ModelOutputs, modelFile, providers, sessionConfig } from './info';

/** The model in a session. Make one and keep it: loading is the expensive part. */
export class Model {
  private readonly session: InferenceSession;

  private constructor(session: InferenceSession) {
    this.session = session;
  }

  /**
   * Loads the model that Metro packed as an asset.
   * @param names execution providers, the preferred one first; nodes that none takes run on the CPU
   */
  static async load(names: readonly string[] = providers): Promise<Model> {
    const asset = Asset.fromModule(modelFile);
    await asset.downloadAsync();
    const uri = asset.localUri;
    if (uri === null || uri === undefined) {
      throw new Error('the model was not packed: add "ort" to assetExts in metro.config.js');
    }
    const session = await InferenceSession.create(uri.replace('file://', ''), {
      executionProviders: [...names],
      extra: sessionConfig,
    });
    return new Model(session);
  }

  async run(inputs: ModelInputs): Promise<ModelOutputs> {
    const results = await this.session.run(inputs as unknown as Record<string, Tensor>);
    return results as unknown as ModelOutputs;
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}
