import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { plantedIn, seenOfProcesses } from './canary-chapter';

const secrets = {
  appClient: { path: '/p', value: 'an-app-secret-of-some-length' },
  payloadKeys: { path: '/p', value: 'local-1:c29tZSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcw==' },
  tokenSigningKeys: { path: '/p', value: '[{"kid":"k","d":"a-private-part"}]' },
  staff: [{ username: 'compliance', password: { path: '/p', value: 'a-password-of-some-length' } }],
};
const found = (text: string): string[] =>
  plantedIn({ secrets: secrets as never })
    .filter(({ isIn }) => isIn(text))
    .map(({ what }) => what);

describe('the search of what the story left behind', () => {
  it.each([
    ['a name', '{"msg":"Галина"}'],
    ['a plate', '{"plate":"О321ОО177"}'],
    ['a plate', 'seen A123BC77 at the gate'],
    ['a secret', 'Basic an-app-secret-of-some-length'],
    ['a secret', 'key c29tZSBrZXkgb2YgdGhpcnR5LXR3byBieXRlcw=='],
    ['a secret', 'd=a-private-part'],
    ['a secret', 'a-password-of-some-length'],
    ['a token', 'Bearer eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhcHAifQ.c2lnbmF0dXJlLW9mLWl0'],
    ['a vector', `[${Array.from({ length: 10 }, (_, i) => `-0.0${(1_000 + i).toString()}`).join(', ')}]`],
  ])('finds %s in: %s', (what, text) => {
    expect(found(text)).toContain(what);
  });

  it('finds nothing in what may be there', () => {
    const line = '{"event":"request","route":"/app/v1/openings","status":200,"durationMs":12.3456,"clientId":"vizor"}';
    expect(
      found(`${line} local-1 d0300000-0000-4000-8009-000000000001 domovoy_calls_total{le="0.0250"} 0.1234`),
    ).toEqual([]);
  });
});

describe('the search of what others see of the processes', () => {
  it('finds the command lines of what a process started, and no environment that only its user may read', async () => {
    const env = { PATH: process.env['PATH'], CANARY: 'of-the-environment' };
    const middle = spawn(
      'sh',
      ['-c', `${process.execPath} -e 'console.log(1); setInterval(() => {}, 1e6)' of-the-line; :`],
      {
        env,
        detached: true,
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    );
    await once(middle.stdout, 'data');
    const seen = seenOfProcesses([middle.pid ?? 0]);
    const [strangers, others] = [seenOfProcesses([]), seenOfProcesses([process.pid])];
    process.kill(-(middle.pid ?? 0), 'SIGKILL');
    expect(seen).toContain('\0of-the-line\0');
    expect(others).toContain('of-the-line');
    expect(seen + others).not.toContain('of-the-environment');
    expect(strangers).toBe('');
  });
});
