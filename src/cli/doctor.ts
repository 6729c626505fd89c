import { formatsOn } from '../capability/format.ts';
import { diagnose } from '../engine/doctor.ts';
import { readHost } from '../engine/host.ts';
import { formatBytes } from '../messages.ts';
import { launchChromium } from '../target/chromium.ts';
import { packageVersion } from '../target/package-root.ts';
import type { Session } from './command.ts';
import { largePackages } from './installed.ts';

/** The work of `mlpack doctor`. */
export async function doctorCommand(session: Session): Promise<void> {
  const { talk } = session;
  const host = await readHost();
  const providers = await diagnose({
    onProgress: (id) => talk.progress('try', id),
    signal: session.io.signal,
    launchBrowser: () => launchChromium(),
  });
  const installed = await largePackages();
  if (session.json) {
    const rows = providers.map((one) => ({ ...one, formats: formatsOn(one.id) }));
    talk.json({ mlpack: packageVersion(), host, providers: rows, installed });
    return;
  }
  talk.out(`mlpack ${packageVersion()} · Node ${host.node} · ONNX Runtime ${host.ort} · ${host.platform}`);
  talk.out(
    `${host.cpu}, ${host.cores} cores, ${formatBytes(host.memoryBytes)} memory · ${host.flags.join(' ') || 'no special instruction sets known'}`,
  );
  const sizes = installed.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`);
  talk.out(`installed: ${sizes.join(', ')}, mostly binaries for other platforms; bundles carry only what they need`);
  talk.out('');
  for (const one of providers) {
    const mark = one.works ? talk.style.green('yes') : talk.style.yellow('no ');
    talk.out(`${mark}  ${talk.style.bold(one.id.padEnd(11))} ${one.detail}`);
    const { take, leave } = formatsOn(one.id);
    if (one.works && take.length > 0) {
      const left = leave.length > 0 ? `; not ${leave.map(({ variant }) => variant).join(', ')}: ${leave[0]?.why}` : '';
      talk.out(talk.style.dim(`     variants that pay here: ${take.join(', ')}${left}`));
    }
    if (one.enable) talk.out(talk.style.dim(`     ${one.enable}`));
  }
}
