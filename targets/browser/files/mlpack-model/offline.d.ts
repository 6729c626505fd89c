import type { Model } from './index.js';

export interface InstallOptions {
  readonly url?: string;
  readonly isolate?: boolean;
}

/** `active`, `reloading` (the page is about to go), or why there is no service worker, in words. */
export function install(options?: InstallOptions): Promise<string>;
export function keep(model?: Model): Promise<void>;
