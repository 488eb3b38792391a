/** The OpenAPI document of the last release of major version 1, below the project's folder. */
export const RELEASED_DOCUMENT = 'docs/openapi/v1.json';
