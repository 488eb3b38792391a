import { writeFileSync } from 'node:fs';
import { projectFile } from '../config/project-root';
import { documentOf } from './composition';
import { RELEASED_DOCUMENT } from './released-document';

/**
 * Writes the document of a release: what later versions are compared with (docs/openapi/README.md). Run when releasing,
 * never to make a failing comparison pass.
 */
const document = documentOf('https://api.domovoy.example');
writeFileSync(projectFile(RELEASED_DOCUMENT), `${JSON.stringify(document, null, 2)}\n`);
console.log(`Wrote ${RELEASED_DOCUMENT}.`);
