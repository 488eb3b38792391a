import { PROLONG_REASONS, type ProlongReason } from '../contracts/erasure';
import type { ProlongationNotice } from '../contracts/erasures';
import type { Erasure } from '../prisma/generated/client';
import type { Operator } from './certificate';

/** Why it takes longer, as the person reads it. */
export const REASONS_RU: Readonly<Record<ProlongReason, string>> = {
  'holder-not-confirmed': 'другое лицо, которому были переданы данные, ещё не подтвердило их уничтожение',
  'remains-found': 'поиск нашёл остатки данных, они ещё уничтожаются',
  'system-fault': 'технический сбой, который устраняется',
};

/**
 * The reasoned notice that the law wants sent when a demand takes longer (152-FZ, article 21 part 5.1). Made from the
 * row each time, so that it says what was decided and cannot differ from it.
 *
 * @returns `null` when the erasure was not prolonged
 */
export function prolongationNotice(row: Erasure, operator: Operator): ProlongationNotice | null {
  const { prolongedAt, prolongedFrom, requestedAt, dueAt } = row;
  const reason = PROLONG_REASONS.find((known) => known === row.prolongReason);
  if (prolongedAt === null || prolongedFrom === null || reason === undefined) return null;
  return {
    erasureId: row.id,
    operator,
    requestedAt: requestedAt.toISOString(),
    prolongedAt: prolongedAt.toISOString(),
    previousDueAt: prolongedFrom.toISOString(),
    dueAt: dueAt.toISOString(),
    reason,
    textRu:
      `Уведомление о продлении срока. ${operator.name} (${operator.address}) сообщает: срок исполнения Вашего требования ` +
      `№ ${row.id} от ${day(requestedAt)} о прекращении обработки персональных данных продлён с ${day(prolongedFrom)} ` +
      `до ${day(dueAt)} (часть 5.1 статьи 21 Федерального закона от 27.07.2006 № 152-ФЗ). ` +
      `Причина продления: ${REASONS_RU[reason]}.`,
  };
}

const day = (at: Date): string => at.toLocaleDateString('ru-RU', { timeZone: 'Europe/Moscow' });
