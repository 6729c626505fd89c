/** A React hook: const { model, status, progress, error } = useModel({ base: '/mlpack-model/' }). */
import { useEffect, useState } from 'react';
import { load } from './index.js';

const loading = { status: 'loading', model: undefined, progress: 0, error: undefined };

/**
 * Loads when the component appears, disposes when it goes; loads anew when one of the options changes.
 * @returns { status: 'loading' | 'ready' | 'failed', model, progress: 0…1, error }
 */
export function useModel({ base, provider, variant, threads, cache, worker } = {}) {
  const [state, setState] = useState(loading);
  useEffect(() => {
    const stop = new AbortController();
    let model;
    setState(loading);
    const onProgress = ({ loaded, total }) => {
      if (total > 0 && !stop.signal.aborted) setState((before) => ({ ...before, progress: loaded / total }));
    };
    load({ base, provider, variant, threads, cache, worker, onProgress, signal: stop.signal }).then(
      (loaded) => {
        model = loaded;
        if (stop.signal.aborted) void model.dispose();
        else setState({ status: 'ready', model, progress: 1, error: undefined });
      },
      (error) => {
        if (!stop.signal.aborted) setState({ status: 'failed', model: undefined, progress: 0, error });
      },
    );
    return () => {
      stop.abort();
      void model?.dispose();
    };
  }, [base, provider, variant, threads, cache, worker]);
  return state;
}
