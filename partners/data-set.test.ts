import { agreedOnly, DATA_SET_FIELDS, FIELDS_OF_CALL, type PartnerCallName } from './data-set';

const calls = Object.entries(FIELDS_OF_CALL) as [PartnerCallName, readonly string[]][];

describe('the data-set agreement (R2.2, R3.3)', () => {
  test.each(calls)('%s may go when all of its fields are agreed', async (call, fields) => {
    await expect(agreedOnly(() => Promise.resolve(fields), call)).resolves.toBeUndefined();
  });

  test.each(calls.flatMap(([call, fields]) => fields.map((field) => [call, field] as const)))(
    '%s may not go without agreement on %s',
    async (call, field) => {
      const others = DATA_SET_FIELDS.filter((each) => each !== field);
      await expect(agreedOnly(() => Promise.resolve(others), call)).rejects.toMatchObject({
        type: 'DataNotAgreed',
        message: expect.stringContaining(field),
      });
    },
  );

  test('nothing is agreed until something is', async () => {
    for (const [call] of calls) {
      await expect(agreedOnly(() => Promise.resolve([]), call)).rejects.toMatchObject({ type: 'DataNotAgreed' });
    }
  });

  test('an opening on demand passes nothing about the resident (R3.12), a plate only with the house (R3.13)', () => {
    expect(FIELDS_OF_CALL.open).toEqual(['commandId', 'deviceId', 'notAfter']);
    expect(FIELDS_OF_CALL['allow-plate']).toEqual(['plate', 'partnerHouseId']);
  });

  test('a face passes with the tokenised id and the house and nothing else (R3.14)', () => {
    expect(FIELDS_OF_CALL['enroll-face']).toEqual(['subjectToken', 'partnerHouseId', 'photo']);
  });
});
