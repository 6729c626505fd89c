import { afterEach, expect, it, vi } from 'vitest';
import { createTalk } from '../../src/cli/talk.ts';

afterEach(() => void vi.useRealTimers());

it('a stage that goes on says so in a log every half minute, and not more often', () => {
  vi.useFakeTimers({ toFake: ['hrtime'] });
  let log = '';
  const talk = createTalk(
    {
      argv: [],
      stdout: { write: () => undefined },
      stderr: { write: (text) => (log += text) },
      env: {},
      cwd: '/',
      signal: new AbortController().signal,
      scratch: new Set(),
    },
    {},
  );
  for (let second = 0; second < 70; second++) {
    talk.progress('search', `layer ${second}`);
    vi.advanceTimersByTime(1000);
  }
  talk.progress('write');
  expect(log).toBe('search · layer 0\nsearch · layer 30\nsearch · layer 60\nwrite\n');
});
