import { createHmac } from 'node:crypto';

/**
 * Under which id the record of a JWT is kept. Not its `jti`: whoever reads a token would know that, and the library
 * would take it for an opaque token of its own.
 */
export const hiddenId = (key: Buffer, jti: string): string => createHmac('sha256', key).update(jti).digest('base64url');

/** A token that no record can have. */
export const NO_TOKEN = 'none';
