import type { BundleFile } from '../../src/target/target.ts';

/** The server itself out of its bundle: without deploy files and README, which other targets have of their own. */
export async function* serverParts(files: Iterable<BundleFile> | AsyncIterable<BundleFile>): AsyncIterable<BundleFile> {
  for await (const file of files) {
    if (!file.path.startsWith('deploy/') && file.path !== 'README.md') yield file;
  }
}
