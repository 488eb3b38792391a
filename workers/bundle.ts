import { writeFileSync } from 'node:fs';
import { bundleWorkflowCode } from '@temporalio/worker';
import { WORKFLOW_BUNDLE_FILE } from './workflow-bundle';

const silent = () => undefined;

/** Bundles the workflows once, at build time: a worker that did it at start would start slowly, and not the same each time. */
async function main(): Promise<void> {
  const { code } = await bundleWorkflowCode({
    workflowsPath: require.resolve('../workflows'),
    failureConverterPath: require.resolve('../config/failure-converter'),
    workflowInterceptorModules: [require.resolve('../workflows/lib/correlation')],
    preloadModules: [require.resolve('../workflows/lib/preloaded')],
    logger: { log: silent, trace: silent, debug: silent, info: silent, warn: console.warn, error: console.error },
  });
  writeFileSync(WORKFLOW_BUNDLE_FILE, code);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
