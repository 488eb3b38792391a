import type { Request, RequestHandler, Response } from 'express';
import type { ExchangeJournal } from '../journal/exchanges';
import type { Refusal } from '../journal/refusals';
import { knownIn } from './authentication/caller';
import { hiddenWords } from './hidden-words';
import { networkOf } from './network';

type Proved = Pick<Refusal, 'code' | 'client'>;

/** Left by who refused, where there is more to say than that it was refused: what was wrong, and who it is that proved to be. */
export function noteRefusalOf(res: Response, proved: Proved): void {
  (res.locals as { refusal?: Proved }).refusal = proved;
}

export const refusalIn = (res: Response): Proved | undefined => (res.locals as { refusal?: Proved }).refusal;

/**
 * Counts who was not let in, for the monitoring (monitoring/rules/): which network, and how many names it tried. Neither
 * an address nor a name is kept: both are hidden under a key of the API.
 */
export const noteRefusals =
  (journal: Pick<ExchangeJournal, 'refused'>, key: Buffer): RequestHandler =>
  (req, res, next) => {
    const network = hiddenWords(key, 'network', networkOf(req.ip));
    res.once('finish', () => {
      const refusal = refusalIn(res);
      if (!refusal && (knownIn(res) || !wasRefused(req, res))) return;
      const name = nameTried(req);
      const who = refusal ?? { code: 'credentials' as const };
      journal.refused({ ...who, network, ...(name !== undefined && { name: hiddenWords(key, 'name', name) }) });
    });
    next();
  };

/** A sign-in of staff that was refused answers 400 or 403 with a page. */
const wasRefused = (req: Request, { statusCode }: Response): boolean =>
  statusCode === 401 || (req.path === '/staff/callback' && statusCode >= 400 && statusCode < 500);

function nameTried(req: Request): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/]+=*)$/i.exec(req.get('authorization') ?? '')?.[1];
  if (encoded !== undefined) return Buffer.from(encoded, 'base64').toString('utf8').split(':')[0];
  const { client_id: given } = (req.body ?? {}) as { client_id?: unknown };
  return typeof given === 'string' ? given : undefined;
}
