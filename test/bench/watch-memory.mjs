// Runs a command and prints, as JSON, its wall time and the peaks of its own (anonymous) and its whole resident memory (Linux).
//
//   node test/bench/watch-memory.mjs COMMAND [ARGUMENT …]
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

const [command, ...args] = process.argv.slice(2);
const started = performance.now();
const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
let [anonymous, resident] = [0, 0];
const timer = setInterval(() => {
  try {
    const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
    const kilobytes = (key) => Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1024;
    anonymous = Math.max(anonymous, kilobytes('RssAnon'));
    resident = Math.max(resident, kilobytes('VmHWM'));
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
  }
}, 20);
child.on('exit', (code) => {
  clearInterval(timer);
  console.log(JSON.stringify({ seconds: (performance.now() - started) / 1e3, anonymous, resident }));
  process.exitCode = code ?? 1;
});
