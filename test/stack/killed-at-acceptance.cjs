/**
 * Preloaded into a real process of the API: what it is asked hangs, one request after the other, each at the place that
 * is next. Of one that hangs in its transaction the process dies of SIGKILL, and all that hang in it with it; whoever
 * starts it again finds the places taken so far.
 */
const { closeSync, openSync, readdirSync } = require('node:fs');
const { join } = require('node:path');
const erasures = require('../../dist/erasure/acceptance.js');
const sales = require('../../dist/registry/sale.js');
const erasureStart = require('../../dist/workflows/erasure/start.js');
const saleStart = require('../../dist/workflows/property-sale/start.js');

/** Folder with a file for each place at which something hung. */
const folder = process.env.DOMOVOY_TEST_DEATHS;
/** `before function` or `after function`, in the order in which they are met */
const places = process.env.DOMOVOY_TEST_PLACES.split(',');
/** Everything is written, and nothing has committed. */
const IN_TRANSACTION = ['after acceptSale', 'after acceptErasure'];

/** @returns what is never there, if this is where to hang */
async function hang(place) {
  const hanging = readdirSync(folder).length;
  if (places[hanging] !== place) return;
  closeSync(openSync(join(folder, hanging.toString()), 'wx'));
  // Others would wait for what it has locked.
  if (IN_TRANSACTION.includes(place)) process.kill(process.pid, 'SIGKILL');
  await new Promise(() => {});
}

for (const [from, name] of [
  [sales, 'acceptSale'],
  [saleStart, 'tellSale'],
  [erasures, 'acceptErasure'],
  [erasureStart, 'startErasure'],
]) {
  const done = from[name];
  from[name] = async (...args) => {
    await hang(`before ${name}`);
    const result = await done(...args);
    await hang(`after ${name}`);
    return result;
  };
}
