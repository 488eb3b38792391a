import type { Severity } from '../contracts/security-alerts';
import type { Memory } from './memory';
import type { Observation } from './observation';

/** What somebody has to look at. */
export type Finding = {
  readonly scope: string;
  readonly objectId: string;
  readonly integration: string | null;
  /** Numbers of the entries that it rests on. */
  readonly evidence: readonly string[];
  /** A caller whom the policy keeps out until a person has looked, and for how long. */
  readonly suspend?: { readonly clientId: string; readonly forMs: number };
};

/** One rule over the stream of the journal: without effects, so that it can be tried on any journal, also on an old one. */
export type Rule = {
  readonly kind: string;
  readonly severity: Severity;
  /** For so long the same finding about the same object is one alert. */
  readonly quietMs: number;
  /** How far back it looks; what is older is forgotten. */
  readonly reachMs: number;
  /** Looks at one thing; writes in its memory and does nothing else. */
  step(memory: Memory, seen: Observation): Finding | undefined;
};
