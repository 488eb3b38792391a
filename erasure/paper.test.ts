import { CERTIFICATE_SCHEMA, ErasureCertificate } from '../contracts/erasure-certificate';
import { ERASURE_EVENTS } from '../contracts/erasure';
import { renderCertificate, sectionsOf } from './paper';

const at = '2026-11-21T09:00:00.000Z';
const id = '20e93229-676b-8b13-84be-b41f4bb43c4c';
const certificate = ErasureCertificate.parse({
  schema_version: CERTIFICATE_SCHEMA,
  certificate_id: id,
  version: 1,
  issued_at: at,
  keep_until: '2029-11-23T09:00:00.000Z',
  operator: { name: 'ПропДевелопмент', address: 'Москва' },
  processors: [
    { id: 'kluch', name: 'ООО «Ключ»', address: 'Москва, Ключевая ул., 1' },
    { id: 'vizor', name: 'Визор', address: null },
  ],
  subject: { request_id: id, pseudonym: null },
  performed_by: { system: 'Domovoy', name: 'Иванова М. П.', position: 'Ответственный', signature: 'electronic' },
  reason: { basis: 'stop-processing', law: '152-FZ' },
  requested_at: at,
  destroyed_at: at,
  destroyed: ['profile', 'key-share'].map((category) => ({
    ...{ category, system: 'Domovoy', medium: 'database', method: 'deleted', destroyed_at: at },
  })),
  backups: {
    key_destroyed_at: at,
    share_destroyed_at: '2026-11-21T09:00:01.000Z',
    retention_days: 30,
    hold_until: '2026-12-21T09:00:00.000Z',
    key_store_retention_days: 7,
    key_store_hold_until: '2026-11-28T09:00:01.000Z',
    opens_nothing_from: '2026-11-28T09:00:01.000Z',
    statement: 'said',
  },
  holders: [
    { party: 'kluch', category: 'face', confirmed_at: at, confirmation: 'said so', ordered_again: 0 },
    {
      party: 'vizor',
      category: 'face',
      confirmed_at: null,
      standing: 'held-by-operator',
      confirmation: 'held by us',
      ordered_again: 0,
    },
    {
      party: 'shlagbaum',
      category: 'plate',
      confirmed_at: null,
      standing: 'kept-for-another',
      confirmation: 'kept',
      ordered_again: 0,
    },
  ],
  search: { searched_at: at, places: 200, found: 0, kept: [] },
  journal_extract: [
    {
      entry: '1',
      at,
      event: 'destroyed',
      subject: id,
      category: 'profile',
      system: 'Domovoy',
      reason: 'stop-processing',
    },
    ...ERASURE_EVENTS.map((event, index) => ({
      ...{ entry: (index + 2).toString(), at, event, subject: id, category: null, system: 'Domovoy' },
      ...{ reason: 'stop-processing', detail: event === 'held' ? 'legal-hold' : null },
    })),
  ],
});
const textOf = (of: ErasureCertificate): string =>
  sectionsOf(of)
    .map(({ title, lines }) => [title, ...lines].join('\n'))
    .join('\n');

describe('the act of destruction on paper', () => {
  it('names what order 179 asks for, in Russian and in Moscow’s time', () => {
    const text = textOf(certificate);
    for (const field of [
      'ПропДевелопмент; Москва',
      'ООО «Ключ»; Москва, Ключевая ул., 1',
      'Визор; адрес — в договоре поручения',
      `Требование № ${id}`,
      'Иванова М. П., Ответственный',
      'Ответственный: ____________________ / Иванова М. П. /',
      'Имя и контакты: Domovoy, база данных; удаление записей и уничтожение ключа шифрования',
      'Доля ключа шифрования субъекта в хранилище ключей: Domovoy, хранилище ключей; удаление;',
      'требование о прекращении обработки',
      'kluch: биометрические данные; подтверждено 21.11.2026',
      '12:00:00 МСК',
      'vizor: биометрические данные; хранились у оператора, не передавались',
      'shlagbaum: номер автомобиля; номер сохранён: им пользуется другой',
      'Выгрузка из журнала',
    ]) {
      expect(text).toContain(field);
    }
    expect(text.match(/подтверждено/g)).toHaveLength(1);
  });

  it('says in each line of the journal’s extract whose, which data, in which system, why and when, in Russian', () => {
    const extract = sectionsOf(certificate).find(({ title }) => title.startsWith('Выгрузка'))?.lines ?? [];
    expect(extract).toHaveLength(ERASURE_EVENTS.length + 1);
    expect(extract[0]).toBe(
      `№ 1; 21.11.2026, 12:00:00 МСК; уничтожено; субъект: требование № ${id}; категория данных: Имя и контакты; ` +
        'система: Domovoy; причина: требование о прекращении обработки (152-ФЗ, ст. 14 и ч. 5.1 ст. 21)',
    );
    expect(extract.join('\n')).toContain('приостановлено (судебное разбирательство)');
    for (const line of extract) expect(line.replaceAll(id, '').replaceAll('Domovoy', '')).not.toMatch(/[a-z]/i);
  });

  const backupsOf = (backups: object): string => {
    const sections = sectionsOf(ErasureCertificate.parse({ ...certificate, backups }));
    return sections.find(({ title }) => title === 'Резервные копии')?.lines.join('\n') ?? '';
  };

  it('says of backups what they hold, where the other half of the key was, and from when on none opens anything', () => {
    const text = textOf(certificate);
    expect(text).toContain('его доля в хранилище ключей уничтожена не позднее 21.11.2026, 12:00:01 МСК');
    expect(text).toContain('содержат данные в зашифрованном виде и только одну из двух долей ключа');
    expect(text).toContain('дней: 30; последняя из копий, сделанных до уничтожения, уничтожается 21.12.2026');
    expect(text).toContain('дней: 7; последняя из копий с долей ключа уничтожается 28.11.2026, 12:00:01 МСК');
    expect(text).toContain('не открываются начиная с 28.11.2026, 12:00:01 МСК');
    expect(text).not.toContain('целиком');
  });

  it('says that a key store which is replicated has no backups, and which of the database hold a key whole', () => {
    const none = { ...certificate.backups, key_store_retention_days: 0, key_store_hold_until: null };
    expect(backupsOf(none)).toContain('Резервные копии хранилища ключей не создаются');
    const whole = backupsOf({ ...none, whole_key_until: '2026-11-01T09:00:00.000Z' });
    expect(whole).toContain(
      'сделанные до 01.11.2026, 12:00:00 МСК, содержат данные в зашифрованном виде и ключ субъекта',
    );
    expect(whole).toContain('сделанные позднее, содержат данные в зашифрованном виде и только одну');
  });

  it('is made of an act of the second form as well, which says of backups that they hold the whole key', () => {
    const second = {
      key_destroyed_at: at,
      retention_days: 30,
      hold_until: '2026-12-21T09:00:00.000Z',
      statement: 'said',
    };
    const text = backupsOf(second);
    expect(text).toContain('содержат данные в зашифрованном виде и ключ субъекта, защищённый ключом системы');
    expect(text).toContain('дней: 30; последняя из таких копий уничтожается 21.12.2026, 12:00:00 МСК');
    expect(text).not.toMatch(/дол[яиюе]й?|null/);
  });

  it('is made of an act of the first form as well, and says what that does not say', () => {
    const first = ErasureCertificate.parse({
      ...certificate,
      schema_version: 'RKN-179-2022/1',
      performed_by: { system: 'Domovoy', position: 'process', signature: 'electronic' },
      backups: undefined,
    });
    const text = textOf(first);
    expect(text).toContain('срок хранения резервных копий не указан');
    expect(text).toContain('Лицо этой формой акта не названо');
    expect(text).not.toContain('null');
  });

  it('says that nothing was left to destroy of somebody who was erased before', () => {
    const again = ErasureCertificate.parse({ ...certificate, destroyed: [] });
    const destroyed = sectionsOf(again).find(({ title }) => title.startsWith('Уничтоженные категории'));
    expect(destroyed?.lines).toEqual(['нет']);
  });

  it('is a PDF that brings its Cyrillic font along', async () => {
    const paper = (await renderCertificate(certificate)).toString('latin1');
    expect(paper.startsWith('%PDF-')).toBe(true);
    expect(paper).toMatch(/\/BaseFont \/\w+\+PTSerif-Regular/);
    expect(paper).toContain('/FontFile2');
  });
});
