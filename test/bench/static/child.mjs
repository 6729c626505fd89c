// Runs a command and watches what it costs.
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

/** @returns stdout, stderr, exit code, wall seconds and the peak of resident memory (MB, from /proc; NaN elsewhere). */
export async function measured(command, args, options = {}) {
  const started = performance.now();
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
  let rssMb = Number.NaN;
  const look = () => {
    try {
      const peak = /VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'));
      if (peak) rssMb = Number(peak[1]) / 1024;
    } catch {
      // Gone already, or no Linux.
    }
  };
  const timer = setInterval(look, 10);
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk) => { stdout += chunk; });
  child.stderr.on('data', (chunk) => { stderr += chunk; });
  const code = await new Promise((resolve, reject) => { child.on('error', reject); child.on('close', resolve); });
  clearInterval(timer);
  return { code, stdout, stderr, rssMb, seconds: (performance.now() - started) / 1000 };
}
