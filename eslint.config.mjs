import { builtinModules } from 'node:module';
import { defineConfig } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default defineConfig(
  { ignores: ['dist/**', 'node_modules/**', '.domovoy/**', 'prisma/generated/**', '**/*.cjs', '**/*.mjs'] },
  {
    files: ['**/*.ts', '**/*.tsx'],
    extends: [tseslint.configs.strictTypeChecked],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/no-confusing-void-expression': ['error', { ignoreArrowShorthand: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Only config/environment.ts reads the environment.' },
      ],
    },
  },
  {
    // The environment belongs to the configuration, to the local stack that makes it, and to test plumbing.
    files: [
      'config/environment.ts',
      '*/main.ts',
      '*/*/main.ts',
      'prisma/print-schema.ts',
      'stack/**/*.ts',
      'test/**/*.ts',
      'cli/**/*.ts',
    ],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    // Jest's asymmetric matchers are typed as any, and test doubles are often async without awaiting.
    files: ['**/*.test.ts', 'test/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/require-await': 'off',
    },
  },
  {
    // First fence of determinism: workflows know the types of these modules, never their code.
    files: ['workflows/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          paths: builtinModules.flatMap((name) => [name, `node:${name}`]),
          patterns: [
            {
              group: [
                '**/activities/**',
                '**/partners/**',
                '**/api/**',
                '**/config/**',
                '**/vault/**',
                '**/journal/**',
                '**/prisma/**',
                '**/contracts/*',
                '!**/contracts/failures',
                '!**/contracts/ids',
                '!**/contracts/search-attributes',
                '!**/contracts/correlation',
                '!**/contracts/credentials',
                '!**/contracts/security-alerts',
                '@prisma/*',
                'zod',
              ],
              allowTypeImports: true,
              message: 'Workflows may know the types of these modules, never their code.',
            },
          ],
        },
      ],
    },
  },
);
