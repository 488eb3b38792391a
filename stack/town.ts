/**
 * The little town of the local stack: who lives where, and what opens there. Fixed ids, so that a second start finds
 * its people again and a printed `curl` keeps working.
 */

const id = (kind: number, number: number): string =>
  `d0300000-0000-4000-8${kind.toString().padStart(3, '0')}-${number.toString().padStart(12, '0')}`;

export type TownPartner = {
  readonly id: 'kluch' | 'vizor' | 'shlagbaum';
  readonly profile: 'basic-signed' | 'oauth-client' | 'mtls-oidc';
  readonly integration: 'smart-home' | 'communal';
  readonly custody: 'company' | 'partner';
  readonly displayName: string;
  readonly legalName: string;
  readonly legalAddress: string;
  readonly houseId: string;
  readonly partnerHouseId: string;
  readonly doorId: string;
  readonly doorDeviceId: string;
  readonly barrierId: string;
  readonly barrierDeviceId: string;
  readonly flats: { readonly paid: TownFlat; readonly unpaid: TownFlat };
};
export type TownFlat = { readonly propertyId: string; readonly accountId: string; readonly rightId: string };

const flat = (number: number): TownFlat => ({
  propertyId: id(2, number),
  accountId: id(3, number),
  rightId: id(4, number),
});

function partner(
  number: number,
  words: Pick<TownPartner, 'id' | 'profile' | 'integration' | 'custody' | 'displayName' | 'legalName'>,
): TownPartner {
  return {
    ...words,
    legalAddress: `${number.toString()} Example Street, Moscow`,
    houseId: id(1, number),
    partnerHouseId: `${words.id}-house-${number.toString()}`,
    doorId: id(5, number * 10 + 1),
    doorDeviceId: `${words.id}-door-1`,
    barrierId: id(5, number * 10 + 2),
    barrierDeviceId: `${words.id}-barrier-1`,
    flats: { paid: flat(number * 10 + 1), unpaid: flat(number * 10 + 2) },
  };
}

export const PARTNERS: readonly TownPartner[] = [
  partner(1, {
    id: 'vizor',
    profile: 'oauth-client',
    integration: 'smart-home',
    custody: 'company',
    displayName: 'Vizor',
    legalName: 'Vizor LLC (sandbox)',
  }),
  partner(2, {
    id: 'kluch',
    profile: 'basic-signed',
    integration: 'smart-home',
    custody: 'partner',
    displayName: 'Kluch',
    legalName: 'Kluch LLC (sandbox)',
  }),
  partner(3, {
    id: 'shlagbaum',
    profile: 'mtls-oidc',
    integration: 'communal',
    custody: 'partner',
    displayName: 'Shlagbaum',
    legalName: 'Shlagbaum JSC (sandbox)',
  }),
];

export function partnerById(wanted: TownPartner['id']): TownPartner {
  const found = PARTNERS.find((each) => each.id === wanted);
  if (!found) throw new Error('The town has no such partner.');
  return found;
}

/** What billing calls the service behind doors and barriers. */
export const SERVICE = 'smart-access';

export const RESIDENTS = {
  /** Owns a paid flat in every house. */
  anna: { id: id(9, 1), name: 'Анна Соколова' },
  /** Owns a flat in every house and has not paid for any. */
  boris: { id: id(9, 2), name: 'Борис Лесков' },
  /** Owns one flat that is paid for, and sells it. */
  vera: { id: id(9, 3), name: 'Вера Климова' },
} as const;

/** What Vera sells. Its number is beyond those of the partners' houses. */
export const FLAT_FOR_SALE: TownFlat & { readonly partnerId: TownPartner['id'] } = { partnerId: 'kluch', ...flat(23) };
/**
 * Galina lives in the house of the partner that holds faces and plates itself, and asks to be erased. Somebody is erased
 * once: she moves in anew, under a new id, for each story.
 */
export const GALINA = { name: 'Галина Орлова', partnerId: 'shlagbaum', flat: flat(33) } as const;

export const CONSENT_FORM = {
  id: 'biometrics-1',
  version: 1,
  textRu:
    'Я даю согласие на обработку моих биометрических персональных данных (изображение лица и построенный по нему шаблон) ' +
    'для прохода в мой дом. Получатель — названный в форме партнёр. Согласие можно отозвать в любое время в приложении.',
  textEn:
    'I consent to the processing of my biometric personal data (the image of my face and the template computed from it) ' +
    'to let me into my house. The recipient is the partner named in the form. I can withdraw at any time in the app.',
  purposes: ['access-by-face'],
  validForDays: 365,
} as const;

/** Name of the app's backend at our authorization server. */
export const APP_CLIENT_ID = 'tenant-smart-home-app';

/** Groups of the staff identity provider and the roles that the company gives them (contracts/staff.ts). */
export const STAFF_GROUPS = {
  'domovoy-operations': ['operations'],
  'domovoy-compliance': ['compliance'],
  'domovoy-information-security': ['information-security'],
  'domovoy-audit': ['auditor'],
  'domovoy-integration-smart-home': ['integration-manager:smart-home'],
  'domovoy-integration-shlagbaum': ['integration-manager:communal/shlagbaum'],
} as const;

type StaffPerson = {
  readonly username: string;
  readonly subject: string;
  readonly groups: readonly (keyof typeof STAFF_GROUPS)[];
  readonly totp: boolean;
};
const person = (number: number, username: string, group: keyof typeof STAFF_GROUPS, totp = true): StaffPerson => ({
  username,
  subject: id(8, number),
  groups: [group],
  totp,
});

/** One for each role, and who it takes to show what is refused. */
export const STAFF: readonly StaffPerson[] = [
  person(1, 'operations', 'domovoy-operations'),
  person(2, 'compliance', 'domovoy-compliance'),
  person(3, 'security', 'domovoy-information-security'),
  person(4, 'security-deputy', 'domovoy-information-security'),
  person(5, 'auditor', 'domovoy-audit'),
  person(6, 'integration', 'domovoy-integration-smart-home'),
  person(7, 'integration-communal', 'domovoy-integration-shlagbaum'),
  /** Has no authenticator app yet, and so may do nothing. */
  person(8, 'newcomer', 'domovoy-operations', false),
];

/** Name of the API at the staff identity provider. */
export const STAFF_CLIENT_ID = 'domovoy-staff';
/** Name of the property registry there. */
export const REGISTRY_CLIENT_ID = 'property-registry';
/** Of the key that the registry signs its reports with. */
export const REGISTRY_KEY_ID = 'registry-1';
