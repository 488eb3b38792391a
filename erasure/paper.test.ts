import { CERTIFICATE_SCHEMA, ErasureCertificate } from '../contracts/erasure-certificate';
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
  processors: [{ id: 'kluch', name: 'Ключ', address: null }],
  subject: { request_id: id, pseudonym: null },
  performed_by: { system: 'Domovoy', position: 'process', signature: 'electronic' },
  reason: { basis: 'stop-processing', law: '152-FZ' },
  requested_at: at,
  destroyed_at: at,
  destroyed: [{ category: 'profile', system: 'Domovoy', medium: 'database', method: 'deleted', destroyed_at: at }],
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
  ],
});

describe('the act of destruction on paper', () => {
  it('names what order 179 asks for, in Russian and in Moscow’s time', () => {
    const text = sectionsOf(certificate)
      .map(({ title, lines }) => [title, ...lines].join('\n'))
      .join('\n');
    for (const field of [
      'ПропДевелопмент; Москва',
      'Ключ; адрес — в договоре поручения',
      `Требование № ${id}`,
      'Имя и контакты: Domovoy',
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
