import { DENIAL_REASONS } from '../contracts/access';
import { publicReason } from './public-reason';

it.each(DENIAL_REASONS)('a partner learns nothing but the denial of %s', (reason) => {
  expect(publicReason(reason, 'partner')).toBe('access-denied');
});

it('the app does not learn whether a lockout or billing is behind "try later"', () => {
  expect(publicReason('locked-out', 'app')).toBe(publicReason('billing-unknown', 'app'));
});
