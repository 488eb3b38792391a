import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { projectFile } from '../../config/project-root';
import type { AppBackend } from './app-backend';

/** Runs `domovoy verify` as anybody would, with the key that the company publishes. */
export async function verified(app: AppBackend, file: string): Promise<'valid' | 'not valid'> {
  const published = await app.get('/.well-known/domovoy-document-keys');
  const [key] = published.body['keys'] as { kid: string }[];
  try {
    const args = [projectFile('dist/cli/main.js'), 'verify', file, '--key', key?.kid ?? ''];
    const { stdout } = await promisify(execFile)(process.execPath, args);
    return /^valid: /m.test(stdout) ? 'valid' : 'not valid';
  } catch {
    return 'not valid';
  }
}
