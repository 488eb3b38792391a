/** The arrows of the house (docs/architecture.md): which folder may know which. */
const only = (name, from, to, comment) => ({
  name,
  comment,
  severity: 'error',
  from: { path: from, pathNot: '\\.test\\.ts$' },
  to: {
    path: '^(access|activities|api|bench|cli|config|console|contracts|erasure|governance|journal|monitoring|partners|prisma|reads|registry|sandbox|stack|test|vault|workers|workflows)/',
    pathNot: to,
  },
});

module.exports = {
  forbidden: [
    { name: 'no-circular', severity: 'error', from: {}, to: { circular: true, dependencyTypesNot: ['type-only'] } },
    only('contracts-know-nothing', '^contracts/', '^contracts/', 'What crosses a boundary depends on nothing inside.'),
    only('access-is-pure', '^access/', '^(access|contracts)/', 'Deciding is pure (design rule 10).'),
    only(
      'workflows-know-types',
      '^workflows/',
      '^(workflows|contracts)/|^activities/',
      'Workflows know the types of activities.',
    ),
    only('vault', '^vault/', '^(vault|contracts|prisma)/', 'The vault knows stores and contracts.'),
    only('journal', '^journal/', '^(journal|contracts|prisma|vault)/', 'The journal knows stores, contracts and keys.'),
    only(
      'monitoring-is-pure',
      '^monitoring/',
      '^(monitoring|contracts|journal)/',
      'Rules look at the journal and do nothing.',
    ),
    only(
      'partners',
      '^partners/',
      '^(partners|contracts|config|prisma|vault)/',
      'Adapters know ports, contracts and stores.',
    ),
    only(
      'activities',
      '^activities/',
      '^(activities|access|contracts|erasure|governance|journal|monitoring|partners|prisma|reads|registry|vault)/',
      'Activities know ports and stores.',
    ),
    only(
      'api',
      '^api/',
      '^(api|access|config|contracts|erasure|governance|journal|monitoring|partners|prisma|reads|registry|vault)/|^workflows/',
      'The API starts and signals workflows, and reads.',
    ),
    only(
      'erasure',
      '^erasure/',
      '^(erasure|contracts|journal|prisma|vault)/',
      'What ends a person’s data knows stores, the journal and keys.',
    ),
    only(
      'cli',
      '^cli/',
      '^(cli|contracts|governance|journal|prisma|vault|config)/',
      'The command checks and exports; it starts nothing.',
    ),
    only(
      'governance',
      '^governance/',
      '^(governance|access|config|contracts|journal|partners|prisma|vault)/',
      'Who may do what and how it is looked after: rights, audits.',
    ),
    only(
      'reads',
      '^reads/',
      '^(reads|access|contracts|prisma)/',
      'What several sides read of the tables, in one place.',
    ),
    only(
      'registry',
      '^registry/',
      '^(registry|contracts|journal|prisma|reads|vault)/',
      'What a word of the property registry changes, whichever process writes it.',
    ),
    only('sandbox-is-outside', '^sandbox/', '^sandbox/', 'The other side shares no code with the product.'),
    {
      name: 'benchmarks-stay-outside',
      severity: 'error',
      from: { pathNot: '^bench/' },
      to: { path: '^bench/' },
    },
    {
      name: 'tests-stay-outside',
      severity: 'error',
      from: { pathNot: '^(test|bench)/|\\.test\\.ts$' },
      to: { path: '^test/|\\.test\\.ts$' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(dist|node_modules|prisma/generated|\\.domovoy)/' },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { extensions: ['.ts', '.tsx', '.js'] },
  },
};
