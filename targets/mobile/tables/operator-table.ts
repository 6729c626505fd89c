/** Operators by `domain:op` that a provider takes, each with what it asks of them ('' for nothing). */
export type OperatorTable = Readonly<Record<string, string>>;
