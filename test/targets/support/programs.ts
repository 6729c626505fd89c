import { execFileSync } from 'node:child_process';

/** Whether a program can be found on this machine. */
export function has(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if ((error as { status?: number | null }).status === 1) return false;
    throw error;
  }
}
