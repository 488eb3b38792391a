import { readFileSync, writeFileSync } from 'node:fs';
import { bundleWorkflowCode, DefaultLogger, type WorkflowBundle } from '@temporalio/worker';
import { projectFile } from '../../config/project-root';

/** Name of the environment variable in which suites find the file. */
const FILE = 'DOMOVOY_TEST_BUNDLE';

/** Bundles today's workflows into the file, for every suite of the run: it takes seconds. */
export async function bundleWorkflows(file: string): Promise<void> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: projectFile('workflows'),
    failureConverterPath: projectFile('config/failure-converter'),
    workflowInterceptorModules: [projectFile('workflows/lib/correlation')],
    preloadModules: [projectFile('workflows/lib/preloaded')],
    logger: new DefaultLogger('ERROR'),
  });
  writeFileSync(file, code);
  process.env[FILE] = file;
}

/** @returns what the run's setup bundled */
export const workflowBundle = (): WorkflowBundle => ({ code: readFileSync(process.env[FILE] ?? '', 'utf8') });
