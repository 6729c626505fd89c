/** A row that could not be read stands as { [problem]: why }. */
export const problem = Symbol('problem');
