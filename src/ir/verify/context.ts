import type { LocalFunction } from '../graph.ts';

/** What a model breaks. `message` is a sentence; `where` leads from the graph to the node or value. */
export interface Problem {
  readonly code:
    | 'name-empty'
    | 'name-duplicate'
    | 'name-shadowed'
    | 'order'
    | 'out-of-scope'
    | 'undefined-value'
    | 'removed-node'
    | 'use-list'
    | 'graph-owner'
    | 'graph-output'
    | 'initializer-type'
    | 'type-conflict'
    | 'attr-type'
    | 'attr-missing'
    | 'attr-ref'
    | 'opset-missing'
    | 'function-missing';
  readonly message: string;
  readonly where: string;
}

/** What the checks of one model share. */
export interface VerifyContext {
  /** `name:overload` of the model's functions, by domain. */
  readonly functions: ReadonlyMap<string, ReadonlySet<string>>;
  readonly fn: LocalFunction | undefined;
  readonly opsets: ReadonlyMap<string, number>;
  readonly report: (code: Problem['code'], where: string, message: string) => void;
}
