import { describe, expect, it } from 'vitest';
import { simplify } from '../../../passes/simplify/simplify.ts';
import { parseModel } from '../../../src/ir/text/parse.ts';
import { printModel } from '../../../src/ir/text/print.ts';
import { decodeModel } from '../../../src/onnx/decode.ts';
import { encodeModel } from '../../../src/onnx/encode.ts';
import { runSteps } from '../../../src/pass/pipeline.ts';
import { TestContext } from '../../support/context.ts';

const text = (stack: string, scope: string) => `<ir_version: 10, opset_import: ["" : 18]>
main (float[2] x${stack}) => (float[2] y) meta {"my.tag": "kept"}
<
  float[2] w${stack} = {1, 2}
>
{
  mul = Mul (x, w)${scope}
  y = Relu (mul) meta {"namespace": "somebody else's", "my.note": "kept"}
}
`;

async function simplified(skip: string[] = []) {
  const stack = ' meta {"pkg.torch.onnx.original_node_name": "x"}';
  const scope =
    ' meta {"namespace": "Net/mul", "pkg.torch.onnx.stack_trace": "File \\"/home/me/net.py\\", line 7", "my.note": "kept"}';
  // As a file has them: what was read is written again where nothing changed it.
  const model = decodeModel(encodeModel(parseModel(text(stack, scope))));
  const context = new TestContext();
  const [trace] = await runSteps(model, [simplify({ skip })], { context });
  return { model, changed: trace?.changed, bytes: Buffer.from(encodeModel(model)).toString('latin1') };
}

describe('notes of exporters', () => {
  it('go, and those of others stay', async () => {
    const { model, bytes } = await simplified();
    expect(printModel(model)).toBe(printModel(parseModel(text('', ' meta {"my.note": "kept"}'))));
    expect(bytes).not.toMatch(/stack_trace|net\.py|pkg\.torch|Net\/mul/);
    expect(bytes.match(/kept/g)).toHaveLength(3);
    expect(bytes).toContain("somebody else's");
  });

  it('stay where the rule is left out', async () => {
    const { changed, bytes } = await simplified(['exporter-notes']);
    expect(changed).toBe(false);
    expect(bytes).toContain('net.py');
  });
});
