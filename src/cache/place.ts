import { homedir } from 'node:os';
import { join } from 'node:path';

type Env = Readonly<Record<string, string | undefined>>;

/** Where mlpack keeps what it can make again: MLPACK_CACHE, else the place that the system has for such things. */
export function cacheFolder(env: Env, platform: NodeJS.Platform = process.platform): string {
  if (env.MLPACK_CACHE) return env.MLPACK_CACHE;
  if (env.XDG_CACHE_HOME) return join(env.XDG_CACHE_HOME, 'mlpack');
  if (platform === 'win32' && env.LOCALAPPDATA) return join(env.LOCALAPPDATA, 'mlpack', 'cache');
  return platform === 'darwin' ? join(homedir(), 'Library', 'Caches', 'mlpack') : join(homedir(), '.cache', 'mlpack');
}
