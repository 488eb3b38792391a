import type { Biometrics, FaceCustodian, FaceExtractor } from './ports';

const extractor: FaceExtractor = { extract: () => Promise.reject(new Error('not called')) };
const custodian: FaceCustodian = {
  enroll: () => Promise.reject(new Error('not called')),
  enrollmentState: () => Promise.reject(new Error('not called')),
  remove: () => Promise.reject(new Error('not called')),
};

/** The compiler is the check: a line below that became possible fails `npm run typecheck`. */
test('a partner is asked only for what its custody allows (R0.9, R1.2)', () => {
  const company: Biometrics = { custody: 'company', extractor };
  const partner: Biometrics = { custody: 'partner', custodian };
  // @ts-expect-error in company custody nothing is enrolled at the partner
  expect(company.custodian).toBeUndefined();
  // @ts-expect-error in partner custody no vector is asked for
  expect(partner.extractor).toBeUndefined();
  // @ts-expect-error a partner is not both
  const both: Biometrics = { custody: 'company', custodian };
  expect(both.custody).toBe('company');
});
