import * as wf from '@temporalio/workflow';
import type { SecurityAuditActivities } from '../../activities/security-audit';

const { makeSecurityAudit } = wf.proxyActivities<SecurityAuditActivities>({
  startToCloseTimeout: '5 minutes',
  retry: { initialInterval: '10 seconds', maximumInterval: '10 minutes' },
});

/** Run by a schedule: a security audit, of which staff are told (R4.6). */
export function securityAuditWorkflow(): Promise<{ failed: number }> {
  return makeSecurityAudit(wf.uuid4(), new Date().toISOString());
}
