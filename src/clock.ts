/** Milliseconds since some moment, for telling how long a thing took. (`performance` would do, but Node loads it late, for a millisecond or more.) */
export const nowMs = (): number => Number(process.hrtime.bigint()) / 1e6;
