/** An OpenAPI 3.1 document, or a part of one, as JSON. */
type Json = { readonly [member: string]: unknown };

/**
 * What in `current` would break a client that was written for `released` (R4.12); empty when it stays compatible.
 * Clients are expected to ignore members of answers that they do not know, and problem documents may gain statuses.
 */
export function breakingChanges(released: Json, current: Json): string[] {
  return operationsOf(released).flatMap(({ path, method, operation }) => {
    const at = `${method.toUpperCase()} ${path}`;
    const now = record(record(record(current['paths'])[path])[method]);
    if (Object.keys(now).length === 0) return [`${at}: is gone`];
    return [
      ...parameterChanges(operation, now, { released, current }),
      ...bodyChanges(operation, now, { released, current }),
      ...answerChanges(operation, now, { released, current }),
      ...scopesOf(now)
        .filter((scope) => !scopesOf(operation).includes(scope))
        .map((scope) => `asks for the scope ${scope}`),
    ].map((change) => `${at}: ${change}`);
  });
}

type Documents = { readonly released: Json; readonly current: Json };

const METHODS = ['get', 'post', 'put', 'patch', 'delete'];

const operationsOf = (document: Json) =>
  Object.entries(record(document['paths'])).flatMap(([path, item]) =>
    METHODS.filter((method) => record(item)[method] !== undefined).map((method) => ({
      path,
      method,
      operation: record(record(item)[method]),
    })),
  );

function parameterChanges(before: Json, now: Json, { released, current }: Documents): string[] {
  const named = (operation: Json): Map<string, Json> =>
    new Map(list(operation['parameters']).map((each) => [`${String(each['in'])} ${String(each['name'])}`, each]));
  const known = named(before);
  return [...named(now)].flatMap(([name, parameter]) => {
    const old = known.get(name);
    if (!old) return parameter['required'] === true ? [`wants a new ${name}`] : [];
    if (parameter['required'] === true && old['required'] !== true) return [`wants ${name}, which could be left out`];
    return notContained(record(old['schema']), record(parameter['schema']), released, current, name);
  });
}

function bodyChanges(before: Json, now: Json, { released, current }: Documents): string[] {
  const old = record(before['requestBody']);
  const body = record(now['requestBody']);
  if (Object.keys(old).length === 0) return body['required'] === true ? ['wants a body'] : [];
  return Object.entries(record(old['content'])).flatMap(([type, content]) => {
    const offered = record(body['content'])[type];
    if (offered === undefined) return [`takes no ${type} any more`];
    return notContained(
      record(record(content)['schema']),
      record(record(offered)['schema']),
      released,
      current,
      'body',
    );
  });
}

function answerChanges(before: Json, now: Json, { released, current }: Documents): string[] {
  const good = Object.entries(record(before['responses'])).filter(([status]) => status.startsWith('2'));
  return good.flatMap(([status, answer]) => {
    const offered = record(now['responses'])[status];
    if (offered === undefined) return [`answers no ${status} any more`];
    return Object.entries(record(record(answer)['content'])).flatMap(([type, content]) => {
      const given = record(record(offered)['content'])[type];
      if (given === undefined) return [`answers ${status} without ${type}`];
      const where = `answer ${status}`;
      return notContained(record(record(given)['schema']), record(record(content)['schema']), current, released, where);
    });
  });
}

/**
 * Why not every value of `sub` is surely one of `sup`. For a request `sub` is what was accepted and `sup` what is
 * accepted now; for an answer it is the other way round.
 */
function notContained(sub: Json, sup: Json, subDocument: Json, supDocument: Json, at: string): string[] {
  const one = resolved(sub, subDocument);
  const other = resolved(sup, supDocument);
  const choices = alternatives(one);
  const offers = alternatives(other);
  if (choices.length > 1 || offers.length > 1) {
    return choices.flatMap((choice) => {
      const tries = offers.map((offer) => notContained(choice, offer, subDocument, supDocument, at));
      return tries.some((faults) => faults.length === 0) ? [] : (tries[0] ?? []);
    });
  }
  return [
    ...typeFaults(one, other, at),
    ...valueFaults(one, other, at),
    ...boundFaults(one, other, at),
    ...memberFaults(one, other, subDocument, supDocument, at),
  ];
}

function typeFaults(sub: Json, sup: Json, at: string): string[] {
  const types = (schema: Json): unknown[] => (Array.isArray(schema['type']) ? schema['type'] : [schema['type']]);
  if (sup['type'] === undefined || sup['enum'] !== undefined) return [];
  const fits = (type: unknown): boolean =>
    types(sup).includes(type) || (type === 'integer' && types(sup).includes('number'));
  return types(sub).every(fits) ? [] : [`${at} has another type`];
}

function valueFaults(sub: Json, sup: Json, at: string): string[] {
  const values = (schema: Json): unknown[] | null =>
    'const' in schema ? [schema['const']] : Array.isArray(schema['enum']) ? schema['enum'] : null;
  const allowed = values(sup);
  if (allowed) {
    const possible = values(sub);
    if (!possible) return [`${at} is limited to certain values on one side only`];
    const strange = possible.filter((value) => !allowed.includes(value));
    return strange.length === 0 ? [] : [`${at} differs in the values ${strange.map(String).join(', ')}`];
  }
  return (['pattern', 'format'] as const)
    .filter((rule) => sup[rule] !== undefined && sup[rule] !== sub[rule] && values(sub) === null)
    .map((rule) => `${at} has another ${rule}`);
}

const LOWER = ['minimum', 'exclusiveMinimum', 'minLength', 'minItems', 'minProperties'];
const UPPER = ['maximum', 'exclusiveMaximum', 'maxLength', 'maxItems', 'maxProperties'];

function boundFaults(sub: Json, sup: Json, at: string): string[] {
  const bound = (schema: Json, rule: string, none: number): number =>
    typeof schema[rule] === 'number' ? schema[rule] : none;
  if ('const' in sub || sub['enum'] !== undefined) return [];
  return [
    ...LOWER.filter((rule) => bound(sup, rule, -Infinity) > bound(sub, rule, -Infinity)),
    ...UPPER.filter((rule) => bound(sup, rule, Infinity) < bound(sub, rule, Infinity)),
  ].map((rule) => `${at} has another ${rule}`);
}

function memberFaults(sub: Json, sup: Json, subDocument: Json, supDocument: Json, at: string): string[] {
  const given = record(sub['properties']);
  const wanted = record(sup['properties']);
  const required = (schema: Json): unknown[] => (Array.isArray(schema['required']) ? schema['required'] : []);
  const missing = required(sup).filter((name) => !required(sub).includes(name));
  const inner = Object.keys(given)
    .filter((name) => wanted[name] !== undefined)
    .flatMap((name) =>
      notContained(record(given[name]), record(wanted[name]), subDocument, supDocument, `${at}.${name}`),
    );
  const items =
    sub['items'] !== undefined && sup['items'] !== undefined
      ? notContained(record(sub['items']), record(sup['items']), subDocument, supDocument, `${at}[]`)
      : [];
  return [...missing.map((name) => `${at}.${String(name)} is not on both sides required`), ...inner, ...items];
}

function alternatives(schema: Json): Json[] {
  const choices = schema['anyOf'] ?? schema['oneOf'];
  return Array.isArray(choices) ? choices.map(record) : [schema];
}

function resolved(schema: Json, document: Json): Json {
  const name = /^#\/components\/schemas\/(.+)$/.exec(String(schema['$ref']))?.[1];
  if (name === undefined) return schema;
  return resolved(record(record(record(document['components'])['schemas'])[name]), document);
}

const scopesOf = (operation: Json): string[] =>
  list(operation['security']).flatMap((way) => Object.values(way).flatMap((scopes) => scopes as string[]));

const record = (value: unknown): Json => (typeof value === 'object' && value !== null ? (value as Json) : {});
const list = (value: unknown): Json[] => (Array.isArray(value) ? value.map(record) : []);
