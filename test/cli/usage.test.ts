import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { passes } from '../../passes/index.ts';
import { commands } from '../../src/cli/commands.ts';
import { listPasses } from '../../src/cli/pass-list.ts';
import { targetNames } from '../../src/cli/target-names.ts';
import { targets } from '../../targets/index.ts';
import { runCli } from './support.ts';

describe('usage', () => {
  it('--help lists every command and every pass on stdout', async () => {
    const { code, stdout, stderr } = await runCli(['--help']);
    expect(code).toBe(0);
    expect(stderr).toBe('');
    const own = [
      'optimize',
      'inspect',
      'run',
      'explain',
      'compare',
      'eval',
      'bench',
      'gate',
      'report',
      'bundle',
      'check',
      'sign',
      'verify',
      'sbom',
      'doctor',
      'init',
    ];
    for (const name of [...own, ...passes.map((pass) => pass.id)])
      expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
  });

  it('a command that is named is declared alone: each under its own name, in the order of --help, and as it stands among all', async () => {
    const list = await listPasses();
    for (const [name, module] of commands) {
      const program = new Command();
      module.register(program, async () => undefined, list);
      expect(program.commands.map((command) => [command.name(), command.aliases()])).toEqual([[name, []]]);
    }
    const { stdout } = await runCli(['--help']);
    const shown = [...stdout.matchAll(/^ {2}([a-z0-9-]+) /gm)].map(([, name = '']) => name);
    expect(shown.filter((name) => commands.has(name))).toEqual([...commands.keys()]);
    // No command takes the name of a pass, and `help` shows what `--help` behind the name does.
    for (const pass of passes) expect(commands.has(pass.id)).toBe(false);
    for (const name of ['run', 'report', 'to-fp16'])
      expect((await runCli(['help', name])).stdout).toBe((await runCli([name, '--help'])).stdout);
  });

  it('bundle and optimize list every target', async () => {
    expect([...targetNames].sort()).toEqual(targets.map(({ id }) => id).sort());
    for (const command of ['bundle', 'optimize']) {
      const { stdout } = await runCli([command, '--help']);
      expect(stdout.replaceAll(/\s+/g, ' ')).toContain(`: ${targetNames.join(', ')}`);
    }
  });

  it('--version prints the version of package.json', async () => {
    const { code, stdout } = await runCli(['--version']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('every pass shows its options and rules', async () => {
    for (const pass of passes) {
      const { code, stdout } = await runCli([pass.id, '--help']);
      expect(code).toBe(0);
      for (const name of Object.keys(pass.options)) {
        expect(stdout, pass.id).toContain(name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`));
      }
      for (const rule of Object.keys(pass.rules)) expect(stdout, pass.id).toContain(rule);
    }
  });

  it.each([
    [['optimise', 'models/digits'], /unknown command 'optimise'[\s\S]*optimize/],
    [['optimize', 'models/digits', '--max-dorp', '0.1'], /unknown option '--max-dorp'[\s\S]*--max-drop/],
    [['run', 'models/digits', 'simplfy', '-o', 'x.onnx'], /there is no pass "simplfy" \(did you mean "simplify"\?\)/],
    [['run', 'models/digits', 'fuse:levle=1', '-o', 'x.onnx'], /has no option "levle"/],
    [['explain', 'models/digits', 'fuze'], /did you mean "fuse"/],
    [['optimize', 'models/nothing-here'], /nothing-here/],
    [['optimize', 'no-such-model.onnx'], /there is no model at "no-such-model.onnx"/],
    [
      ['optimize', 'models/digits', '--max-drop=-1'],
      /--max-drop.*'-1' is invalid. Give a number from 0, in the unit of the metric, or a share such as "1%"/,
    ],
    [['optimize', 'models/digits', '-t', 'sever'], /there is no target "sever" \(did you mean "server"\?\)/],
    [
      ['optimize', 'models/digits', '-v', 'fp61', '-o', '/tmp/mlpack-none'],
      /there is no variant "fp61" \(did you mean "fp16"\?\)/,
    ],
    [['simplify', 'models/digits'], /where should the result go\?/],
    [['inspect', 'README.md'], /README\.md/],
  ])('%j is the user’s to mend: one sentence, exit code 2, no stack', async (argv, sentence) => {
    const { code, stdout, stderr } = await runCli(argv, { env: { HF_ENDPOINT: 'http://127.0.0.1:9' } });
    expect(stderr).toMatch(sentence);
    expect(stderr).not.toMatch(/^\s+at /m);
    expect(stdout).toBe('');
    expect(code).toBe(2);
  });

  it('--json gives one document on failure too', async () => {
    const { code, stdout, stderr } = await runCli(['inspect', 'no-such.onnx', '--json']);
    expect(code).toBe(2);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({ ok: false, error: { code: 'model.missing' } });
    const usage = await runCli(['inspect', '--json', '--nope']);
    expect(usage.code).toBe(2);
    expect(JSON.parse(usage.stdout)).toMatchObject({ ok: false });
  });
});
