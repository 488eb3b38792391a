/** As much of psql as deploy/postgres/logins.sh uses: variables, `-c`, and one statement from the standard input. */
const { readFileSync } = require('node:fs');
const { parseArgs } = require('node:util');
const { Client, escapeIdentifier, escapeLiteral } = require('pg');

const { values } = parseArgs({
  options: {
    variable: { type: 'string', short: 'v', multiple: true, default: [] },
    username: { type: 'string', short: 'U' },
    command: { type: 'string', short: 'c', multiple: true },
  },
});
const variables = new Map(values.variable.map((text) => [text.split('=')[0], text.slice(text.indexOf('=') + 1)]));
const filled = (sql) =>
  sql.replaceAll(/:(["'])(\w+)\1/g, (_, quote, name) =>
    (quote === '"' ? escapeIdentifier : escapeLiteral)(variables.get(name)),
  );

async function main() {
  const client = new Client({ connectionString: process.env.SERVER_URL, user: values.username });
  await client.connect();
  try {
    for (const sql of values.command ?? [filled(readFileSync(0, 'utf8'))]) await client.query(sql);
  } finally {
    await client.end();
  }
}

main().catch((error) => {
  console.error(error.message);
  process.exitCode = 3;
});
