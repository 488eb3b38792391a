import type { AccessFacts } from '../contracts/access';
import { isWithinHours } from './visiting-hours';

type Right = AccessFacts['rights'][number];

/** Whether the right has begun and has not ended. */
export const isInForce = ({ startsAtMs, endsAtMs }: Right, nowMs: number): boolean =>
  startsAtMs <= nowMs && (endsAtMs === null || nowMs < endsAtMs);

/** The rights that let somebody in at this moment: in force, and within the hours that bind them. */
export const rightsThatOpen = <T extends Right>(
  { rights, hours }: { readonly rights: readonly T[]; readonly hours: AccessFacts['hours'] },
  nowMs: number,
): T[] => rights.filter((right) => isInForce(right, nowMs) && isWithinHours(hours, right.kind, nowMs));
