import type { Batch } from '../data/dataset.ts';
import { UserError } from '../errors.ts';
import type { Tensor } from '../ir/tensor.ts';
import { adaptFeeds, type FeedBatch } from './compare.ts';
import type { Session } from './session.ts';

/** Runs batches in order, and feeds what the model gave for one as the state of the next. Each model keeps states of its own. */
export class StateRunner {
  readonly #session: Session;
  readonly #outputs: readonly string[];
  #last = new Map<string, Tensor>();

  constructor(session: Session, outputs: readonly string[]) {
    this.#session = session;
    this.#outputs = outputs;
  }

  /** Inputs with the states in them, in the element types that this model takes. */
  feeds({ feeds, states, startsAnew }: Batch): ReadonlyMap<string, Tensor> {
    const filled = new Map(feeds);
    if (!startsAnew) {
      for (const [input, output] of states) {
        const state = this.#last.get(output);
        if (state) filled.set(input, state);
      }
    }
    return adaptFeeds(filled, this.#session.inputs);
  }

  /** @throws UserError when the model has no output that a state names */
  async run(batch: Batch): Promise<Map<string, Tensor>> {
    const kept = [...new Set(batch.states.values())];
    const missing = kept.find((name) => !this.#session.outputs.some((output) => output.name === name));
    if (missing !== undefined)
      throw new UserError(
        'dataset-state',
        `dataset.json feeds back the output "${missing}", which the model does not have.`,
      );
    const outputs = await this.#session.run(this.feeds(batch), [...new Set([...this.#outputs, ...kept])]);
    this.#last = outputs;
    return outputs;
  }
}

/**
 * Batches with true states in them, found by running the model: for whoever looks at inputs one by one (calibration, comparison) and does
 * not run it in order itself. Batches without states pass through, and no session is opened for them.
 * @param model a session, or how to open one
 */
export async function* withStates(
  batches: AsyncIterable<Batch>,
  model: Session | (() => Promise<Session>),
): AsyncGenerator<FeedBatch> {
  let opened: { readonly session: Session; readonly runner: StateRunner } | undefined;
  try {
    for await (const batch of batches) {
      if (batch.states.size === 0) {
        yield batch;
        continue;
      }
      if (!opened) {
        const session = typeof model === 'function' ? await model() : model;
        opened = { session, runner: new StateRunner(session, []) };
      }
      const feeds = opened.runner.feeds(batch);
      await opened.runner.run(batch);
      yield { ...batch, feeds };
    }
  } finally {
    // A session that was handed in is its owner's to close.
    if (typeof model === 'function') await opened?.session.dispose();
  }
}
