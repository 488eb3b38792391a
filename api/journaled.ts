import type { Request, RequestHandler, Response } from 'express';
import type { ExchangeJournal } from '../journal/exchanges';
import { knownIn, type Known } from './authentication/caller';
import { refusalIn } from './refusals';

/**
 * Notes what became of a request, once it is known who sent it: strangers do not write in the journal, and what is
 * counted as a refusal is written with the others (refusals.ts).
 *
 * @param operation the operation's id in the contract; of what has no contract of ours, a listed word
 * @param asked what stands for that which was asked for in vain
 */
export const journaled =
  (
    operation: string,
    exchanges: Pick<ExchangeJournal, 'note'>,
    asked: (req: Request, res: Response, known: Known) => string | undefined = () => undefined,
  ): RequestHandler =>
  (req, res, next) => {
    res.once('close', () => {
      const known = knownIn(res);
      if (!known || refusalIn(res)) return;
      const inVain = asked(req, res, known);
      exchanges.note({
        integration: known.integration ?? null,
        requestId: (res.locals as { correlationId: string }).correlationId,
        actor: known.clientId,
        operation,
        outcome: res.writableFinished ? res.statusCode.toString() : 'aborted',
        ...(inVain !== undefined && { asked: inVain }),
      });
    });
    next();
  };
