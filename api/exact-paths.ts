import { Router } from 'express';

/**
 * A router for which a path is itself and nothing else. Express would take `/APP/V1/…` and `/oauth/token/` for the paths
 * that we mean, and whoever guards or counts by path in front of us would not.
 */
export const exactRouter = (): Router => Router({ caseSensitive: true, strict: true });
