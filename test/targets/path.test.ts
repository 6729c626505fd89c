import { describe, expect, it } from 'vitest';
import { checkPaths, pathProblem } from '../../src/target/path.ts';

describe('bundle paths', () => {
  it.each(['a', 'a/b.txt', '.npmrc', 'model/model.onnx', 'ä/ö', 'a..b/c'])('takes %s', (path) => {
    expect(pathProblem(path)).toBeUndefined();
  });

  it.each([
    ['', 'is empty'],
    ['/etc/passwd', 'is absolute'],
    ['C:\\x', 'is absolute'],
    ['a\\b', 'backslash'],
    ['../x', '".." part'],
    ['a/../../x', '".." part'],
    ['a/./b', '"." part'],
    ['a//b', 'empty part'],
    ['a/', 'empty part'],
    ['a\u0000b', 'character'],
    ['a\nb', 'character'],
    ['ab:c', 'character'],
    ['con', 'reserved'],
    ['a/NUL.txt', 'reserved'],
    ['a./b', 'dot or a space'],
    ['x'.repeat(241), 'longer'],
  ])('refuses %j', (path, why) => {
    expect(pathProblem(path)).toContain(why);
  });

  it('refuses a path twice, also in another letter case, and a file that is a folder', () => {
    expect(() => checkPaths(['a', 'b', 'a'])).toThrow('"a" occurs twice');
    expect(() => checkPaths(['a/B', 'A/b'])).toThrow('occurs twice');
    expect(() => checkPaths(['a', 'a/b'])).toThrow('both a file and a folder');
    expect(() => checkPaths(['ab', 'a/b'])).not.toThrow();
  });
});
