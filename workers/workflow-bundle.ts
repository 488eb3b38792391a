import { join } from 'node:path';

/** Where the build leaves the workflows' bundle, beside the compiled workers. */
export const WORKFLOW_BUNDLE_FILE = join(__dirname, 'workflows.bundle.cjs');
