import { createLogger } from './logger';

function logged(write: (log: ReturnType<typeof createLogger>) => void): string {
  const lines: string[] = [];
  write(createLogger('test', 'trace', { write: (line: string) => void lines.push(line) }));
  return lines.join('');
}

describe('a log line', () => {
  it('carries only the fields that are on the list', () => {
    const line = logged((log) => {
      log.info({ status: 200, plate: 'А123ВС77', faceVector: [0.1], token: 'secret-canary' }, 'request');
    });
    expect(JSON.parse(line)).toMatchObject({ status: 200, process: 'test', msg: 'request' });
    expect(line).not.toMatch(/plate|А123ВС77|faceVector|canary/);
  });

  it('does not carry objects inside allowed fields', () => {
    const line = logged((log) => {
      log.info({ outcome: { name: 'canary' } }, 'x');
    });
    expect(line).not.toContain('canary');
  });

  it('tells an error by name, code and place, and keeps its message to itself', () => {
    const error = Object.assign(new Error('could not store canary-name'), { code: 'E1' });
    const line = logged((log) => {
      log.error({ error }, 'failed');
    });
    expect(line).not.toContain('canary');
    expect(JSON.parse(line)).toMatchObject({ error: { name: 'Error', code: 'E1' } });
  });
});
