import { SCHEDULES } from './schedules';

describe('what runs by the clock', () => {
  const start = ({ action }: (typeof SCHEDULES)[number]) => `${String(action.workflowType)} on ${action.taskQueue}`;
  const when = Object.fromEntries(SCHEDULES.map((schedule) => [start(schedule), schedule.spec]));
  const every = (interval: string) => ({ intervals: [{ every: interval }] });

  it('is sealing and monitoring every minute, tidying four times an hour, and rounds of credentials every hour', () => {
    const rotation = { ...every('1 hour'), jitter: '5 minutes' };
    const equipment = { ...every('15 minutes'), jitter: '1 minute' };
    expect(when).toMatchObject({
      'journalSealingWorkflow on core': every('1 minute'),
      'securityMonitoringWorkflow on core': every('1 minute'),
      'housekeepingWorkflow on core': every('15 minutes'),
      'attestationRoundWorkflow on core': every('1 hour'),
      'keyRewrapWorkflow on core': every('1 hour'),
      'equipmentRoundWorkflow on smart-home': equipment,
      'equipmentRoundWorkflow on communal': equipment,
      'credentialRoundWorkflow on smart-home': rotation,
      'credentialRoundWorkflow on communal': rotation,
      'credentialRoundWorkflow on core': rotation,
    });
  });

  it('is a review of rights in each quarter, and an audit every Monday', () => {
    expect(when).toMatchObject({
      'accessReviewWorkflow on core': {
        calendars: [{ month: ['JANUARY', 'APRIL', 'JULY', 'OCTOBER'], dayOfMonth: 1, hour: 6 }],
      },
      'securityAuditWorkflow on core': { calendars: [{ dayOfWeek: 'MONDAY', hour: 5 }] },
    });
  });

  it('is nothing else, each under an id of its own', () => {
    expect(Object.keys(when)).toHaveLength(12);
    expect(new Set(SCHEDULES.map(({ scheduleId }) => scheduleId)).size).toBe(SCHEDULES.length);
    expect(SCHEDULES).toHaveLength(12);
  });

  it('does not begin again while it is still running, but for reviews, which a late server begins within the day', () => {
    const policies = SCHEDULES.map((schedule) => [start(schedule), schedule.policies] as const);
    for (const [which, policy] of policies) {
      const isReview = which.startsWith('accessReviewWorkflow');
      expect(policy).toEqual(isReview ? { overlap: 'ALLOW_ALL', catchupWindow: '1 day' } : { overlap: 'SKIP' });
    }
  });
});
