import { isWithin, parseHeldRole, reachOf, type HeldRole } from './staff';

const held = (...texts: string[]): HeldRole[] => texts.flatMap((text) => parseHeldRole(text) ?? []);

describe('roles of staff', () => {
  it.each([
    'integration-manager',
    'integration-manager:',
    'integration-manager:elsewhere',
    'integration-manager:smart-home/',
    'integration-manager:smart-home/a/b',
    'operations:smart-home',
    'Operations',
    'admin',
    '__proto__',
    '',
  ])('do not include "%s"', (text) => {
    expect(parseHeldRole(text)).toBeNull();
  });

  it('reach nothing without the permission', () => {
    expect(reachOf(held('auditor'), 'access-points:block')).toBeNull();
    expect(reachOf([], 'session:own')).toBeNull();
  });

  it('of an integration manager reach the partners they are held for, each of them', () => {
    const reach = reachOf(held('integration-manager:smart-home', 'integration-manager:communal/a'), 'partners:read');
    const partner = (id: string, integration: string): boolean =>
      reach !== null && isWithin(reach, { id, integration });
    expect(partner('x', 'smart-home')).toBe(true);
    expect(partner('a', 'communal')).toBe(true);
    expect(partner('b', 'communal')).toBe(false);
  });

  it('lend no reach to a permission that only another role has', () => {
    const roles = held('auditor', 'integration-manager:smart-home');
    expect(reachOf(roles, 'partners:read')).toBe('everything');
    expect(reachOf(roles, 'equipment:sync')).toEqual([{ integration: 'smart-home' }]);
  });
});
