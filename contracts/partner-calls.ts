/** One call of ours to another system and what came of it (R0.11). No content: only that it was made, by what and for whom. */
export type PartnerCallEntry = {
  /** `null` for a call that belongs to no integration. */
  readonly integration: string | null;
  /** The partner, or another system by a listed word, such as `billing`. */
  readonly partnerId: string;
  readonly operation: string;
  /** `ok`, the name of a failure, `cancelled`, or `status-` and what was answered instead. */
  readonly outcome: string;
  readonly durationMs: number;
  /** UUID of the request that it serves. */
  readonly correlationId: string;
  /** The id under which the other system is told of that request, if it is told of one. */
  readonly toldAs: string;
  /** The execution that calls, or the process. */
  readonly execution: string;
  /** The key that an order went under, of which no row of ours tells: the partner's log has it, too (R3.6). */
  readonly order?: string | undefined;
};

/** Told of each call to another system. @param outcome as {@link PartnerCallEntry} has it */
export type NoteCall = (
  partnerId: string,
  operation: string,
  outcome: string,
  durationMs: number,
  order?: string,
) => void;
