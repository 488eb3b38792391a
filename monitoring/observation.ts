import type { HeadContent } from '../journal/head';

/** What the rules look at, in the order of the tree. Ids, listed words and times: nothing in it is personal. */
export type Observation = EntrySeen | ClockSeen | HeadSeen;

/** An entry of the journal, with what the rules need of the row that it is about. */
export type EntrySeen = {
  readonly type: 'entry';
  /** Number of the entry. */
  readonly seq: string;
  readonly atMs: number;
  readonly kind: string;
  readonly integration: string | null;
  readonly objectId: string | null;
  readonly actor: string | null;
  readonly outcome: string | null;
  readonly reason: string | null;
  /** Of an opening: where it was, how, and under which name the rules know whose it was. */
  readonly opening?: {
    readonly method: string;
    readonly accessPointId: string;
    readonly houseId: string;
    readonly who: string | null;
    /** Where the house stands; absent when nobody has said. */
    readonly place?: Place;
  };
};

/** Degrees (WGS 84). */
export type Place = { readonly latitude: number; readonly longitude: number };

/** How far another clock is from the database's, which is the journal's. */
export type ClockSeen = { readonly type: 'clock'; readonly atMs: number; readonly of: string; readonly skewMs: number };

/** A signed head that follows the last one that was seen. */
export type HeadSeen = {
  readonly type: 'head';
  readonly atMs: number;
  readonly treeSize: number;
  readonly rootHash: string;
  readonly previous: HeadContent['previous'];
};
