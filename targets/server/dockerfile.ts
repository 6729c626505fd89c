import { literalText } from '../../src/target/literal.ts';

/** The Dockerfile of a Node.js bundle: the stage that installs its packages is the same for all, the image itself is the target's. */
export function dockerfileOf(target: string): string {
  return `${literalText('server', 'Dockerfile.dependencies')}\n${literalText(target, 'Dockerfile')}`;
}
