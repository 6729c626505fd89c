import { cp, mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { packageRoot } from '../../../src/target/package-root.ts';

/** A folder as a release of ONNX Runtime unpacks: the tests' own header, and the real library that onnxruntime-node brings (Linux). */
export async function makeOrtHome(dir: string): Promise<string> {
  const home = join(dir, 'onnxruntime');
  await mkdir(join(home, 'lib'), { recursive: true });
  await cp(join(packageRoot(), 'test/targets/support/ort'), join(home, 'include'), { recursive: true });
  const library = join(packageRoot(), 'node_modules/onnxruntime-node/bin/napi-v6/linux', process.arch);
  await symlink(join(library, 'libonnxruntime.so.1'), join(home, 'lib/libonnxruntime.so.1'));
  await symlink('libonnxruntime.so.1', join(home, 'lib/libonnxruntime.so'));
  return home;
}
