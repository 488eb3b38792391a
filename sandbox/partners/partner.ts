import type { CallLog } from './call-log';
import type { CompanyClient } from './company-client';
import type { CustodyStore } from './custody-store';
import type { Effects } from './effects';
import type { Faults } from './faults';
import type { KnownCredentials } from './known-credentials';
import type { Outbox } from './outbox';

export const PARTNERS = ['kluch', 'vizor', 'shlagbaum'] as const;
export type PartnerName = (typeof PARTNERS)[number];

/** One simulated partner, as the control port sees it. */
export type Partner = {
  readonly name: PartnerName;
  /** Origin of its HTTPS port. */
  readonly url: string;
  /** Who keeps faces and plates. */
  readonly custody: 'company' | 'partner';
  readonly store: CustodyStore;
  readonly effects: Effects;
  readonly faults: Faults;
  readonly calls: CallLog;
  readonly credentials: KnownCredentials;
  readonly company: CompanyClient;
  readonly outbox: Outbox;
  /** Variant A: a token that names whom the company recognised. `null`: this partner does not do that. */
  readonly identify: ((what: Readonly<Record<string, string>>) => Promise<string>) | null;
  /** New credentials of its own at the company. */
  readonly useAtCompany: (credentials: Readonly<Record<string, string>>) => void;
  /** What it proves itself to the company by, as far as that is a secret which both have. */
  readonly usedAtCompany: () => Readonly<Record<string, string>>;
  /** Takes back the access tokens it gave to the company. `null`: it gives none. */
  readonly revokeTokens: (() => number) | null;
  /** Ends the company's logins, refresh tokens included. `null`: it has none. */
  readonly endLogins: (() => Promise<number>) | null;
  /** Presents the expired certificate or the good one; `false`: no expired one is configured. */
  readonly presentExpired: (expired: boolean) => boolean;
  close(): Promise<void>;
};
