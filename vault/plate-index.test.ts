import { createHash, randomBytes } from 'node:crypto';
import { createPlateIndex } from './plate-index';

describe('an index of plates', () => {
  const index = createPlateIndex(randomBytes(32));

  it('is the same for the same plate and another one for another plate', () => {
    expect(index.of('А123ВС77')).toEqual(index.of('А123ВС77'));
    expect(index.of('А123ВС77')).not.toEqual(index.of('А123ВС777'));
  });

  it('cannot be made without its key', () => {
    const other = createPlateIndex(randomBytes(32));
    expect(other.of('А123ВС77')).not.toEqual(index.of('А123ВС77'));
    expect(index.of('А123ВС77')).not.toEqual(createHash('sha256').update('А123ВС77').digest());
  });

  it('does not tell from a request what plate it was for', () => {
    expect(index.fingerprint('А123ВС77')).not.toBe(index.of('А123ВС77').toString('hex'));
  });
});
