import PDFDocument from 'pdfkit';
import { KEY_SHARE, type ErasureEvent } from '../contracts/erasure';
import type { ErasureCertificate } from '../contracts/erasure-certificate';
import { REASONS_RU } from './notice';

/** PT Serif has Cyrillic and may be embedded (SIL Open Font License). */
const REGULAR = require.resolve('@expo-google-fonts/pt-serif/400Regular/PTSerif_400Regular.ttf');
const BOLD = require.resolve('@expo-google-fonts/pt-serif/700Bold/PTSerif_700Bold.ttf');

/**
 * The certificate on paper, in Russian, with the fields that order 179 of Roskomnadzor of 28 October 2022 asks of the act
 * and of the journal's extract. It says where its signed form is: the signature is on that.
 */
export function renderCertificate(certificate: ErasureCertificate): Promise<Buffer> {
  const { issued_at: issuedAt } = certificate;
  const document = new PDFDocument({
    size: 'A4',
    margin: 50,
    font: REGULAR,
    info: { Title: 'Акт об уничтожении персональных данных', CreationDate: new Date(issuedAt) },
  });
  const chunks: Buffer[] = [];
  const done = new Promise<Buffer>((resolve, reject) => {
    document.on('data', (chunk: Buffer) => chunks.push(chunk));
    document.on('end', () => {
      resolve(Buffer.concat(chunks));
    });
    document.on('error', reject);
  });
  document.font(BOLD).fontSize(15).text('Акт об уничтожении персональных данных', { align: 'center' });
  document.font(REGULAR).fontSize(9).text(`№ ${certificate.certificate_id}, версия ${certificate.version.toString()}`, {
    align: 'center',
  });
  for (const { title, lines } of sectionsOf(certificate)) {
    document.moveDown(0.8).font(BOLD).fontSize(11).text(title);
    document.font(REGULAR).fontSize(9);
    for (const line of lines) document.text(line, { indent: 8, paragraphGap: 2 });
  }
  document.end();
  return done;
}

type Section = { readonly title: string; readonly lines: readonly string[] };

/** What stands in the act, section by section. */
export function sectionsOf(certificate: ErasureCertificate): Section[] {
  const { operator, processors, subject, performed_by: performer, destroyed, backups, holders, search } = certificate;
  const { name: responsible } = performer;
  return [
    { title: 'Оператор', lines: [`${operator.name}; ${operator.address ?? ''}`] },
    {
      title: 'Лица, обрабатывавшие данные по поручению оператора',
      lines: listed(processors.map(({ name, address }) => `${name}; ${address ?? 'адрес — в договоре поручения'}`)),
    },
    {
      title: 'Субъект персональных данных (иная информация, относящаяся к физическому лицу)',
      lines: [`Требование № ${subject.request_id}`, `Псевдоним: ${subject.pseudonym ?? 'отсутствует'}`],
    },
    {
      title: 'Уничтожение выполнено',
      lines: [
        responsible === null ? 'Лицо этой формой акта не названо' : `${responsible}, ${performer.position}`,
        'Средствами информационной системы Domovoy (автоматизированный процесс «erasure»)',
        `Дата требования: ${moscow(certificate.requested_at)}`,
        `Дата уничтожения: ${moscow(certificate.destroyed_at)}`,
        `Причина: ${REASONS[certificate.reason.basis]}`,
      ],
    },
    {
      title: 'Уничтоженные категории данных, информационная система, способ',
      lines: listed(
        destroyed.map(
          ({ category, system, destroyed_at: at }) =>
            `${CATEGORIES[category] ?? category}: ${system}, ` +
            (category === KEY_SHARE
              ? 'хранилище ключей; удаление'
              : 'база данных; удаление записей и уничтожение ключа шифрования') +
            `; ${moscow(at)}`,
        ),
      ),
    },
    {
      title: 'Резервные копии',
      lines:
        backups === null
          ? ['Этой формой акта срок хранения резервных копий не указан']
          : backups.opens_nothing_from === null
            ? wholeKeyInBackups(backups)
            : splitKeyInBackups(backups, backups.opens_nothing_from),
    },
    {
      title: 'Подтверждения других держателей',
      lines: listed(
        holders.map(
          ({ party, category, standing, confirmed_at: at, ordered_again: again }) =>
            `${party}: ${category === 'face' ? 'биометрические данные' : 'номер автомобиля'}; ` +
            (standing === 'confirmed' ? `подтверждено${at === null ? '' : ` ${moscow(at)}`}` : NOT_ASKED[standing]) +
            (again > 0 ? `; повторных распоряжений: ${again.toString()}` : ''),
        ),
      ),
    },
    {
      title: 'Поиск остатков',
      lines: [
        `Просмотрено мест: ${search.places.toString()}, ${moscow(search.searched_at)}; ничего не найдено`,
        ...search.kept.map(({ place }) => `Сохраняется по закону: ${place}`),
      ],
    },
    {
      title: 'Выгрузка из журнала регистрации событий в информационной системе персональных данных',
      lines: certificate.journal_extract.map(extractLine),
    },
    {
      title: 'Хранение',
      lines: [
        `Акт и выгрузка хранятся до ${moscow(certificate.keep_until)} (приказ Роскомнадзора от 28.10.2022 № 179).`,
        'Подписанный документ — JSON; проверка без сети: domovoy verify erasure-certificate.json',
      ],
    },
    {
      title: 'Подпись лица, ответственного за уничтожение',
      lines: [
        ...(responsible === null ? [] : [`${performer.position}: ____________________ / ${responsible} /`]),
        'Электронная подпись оператора — в подписанном документе (JSON)',
      ],
    },
  ];
}

type Backups = NonNullable<ErasureCertificate['backups']>;

/** Of acts of the second form: key and data lay in one database. */
const wholeKeyInBackups = (backups: Backups): string[] => [
  `Ключ шифрования субъекта уничтожен в системе: ${moscow(backups.key_destroyed_at)}`,
  'Резервные копии, сделанные до уничтожения, содержат данные в зашифрованном виде и ключ субъекта, ' +
    'защищённый ключом системы',
  `Срок хранения резервной копии, дней: ${backups.retention_days.toString()}; последняя из таких копий ` +
    `уничтожается ${moscow(backups.hold_until)}`,
  'База данных, восстановленная из такой копии до этого срока, закрыта для доступа, пока уничтожение не ' +
    'начато в ней повторно по реестру уничтожений',
];

function splitKeyInBackups(backups: Backups, opensNothingFrom: string): string[] {
  const { share_destroyed_at: shareAt, key_store_hold_until: keyStoreUntil, whole_key_until: wholeUntil } = backups;
  return [
    `Ключ шифрования субъекта уничтожен в базе данных: ${moscow(backups.key_destroyed_at)}; его доля в хранилище ключей ` +
      `уничтожена не позднее ${moscow(shareAt ?? opensNothingFrom)}`,
    ...(wholeUntil === null
      ? []
      : [
          `Резервные копии базы данных, сделанные до ${moscow(wholeUntil)}, содержат данные в зашифрованном виде и ключ ` +
            'субъекта целиком, защищённый ключом системы',
        ]),
    `Резервные копии базы данных${wholeUntil === null ? '' : ', сделанные позднее,'} содержат данные в зашифрованном ` +
      'виде и только одну из двух долей ключа; без доли из хранилища ключей они не открываются',
    `Срок хранения резервной копии базы данных, дней: ${backups.retention_days.toString()}; последняя из копий, ` +
      `сделанных до уничтожения, уничтожается ${moscow(backups.hold_until)}`,
    keyStoreUntil === null
      ? 'Резервные копии хранилища ключей не создаются'
      : `Срок хранения резервной копии хранилища ключей, дней: ${String(backups.key_store_retention_days)}; последняя ` +
        `из копий с долей ключа уничтожается ${moscow(keyStoreUntil)}`,
    `Ни из какой резервной копии данные субъекта не открываются начиная с ${moscow(opensNothingFrom)}`,
  ];
}

type Entry = ErasureCertificate['journal_extract'][number];

/** Each line says by itself what order 179 asks of the extract: whose, which data, in which system, why and when. */
function extractLine({ entry, at, event, subject, category, system, reason, detail }: Entry): string {
  const words: Readonly<Record<string, string | undefined>> = EVENTS;
  return [
    `№ ${entry}`,
    moscow(at),
    (words[event] ?? event) + (detail === null ? '' : ` (${wordsOf(detail)})`),
    `субъект: требование № ${subject}`,
    `категория данных: ${category === null ? '—' : (CATEGORIES[category] ?? category)}`,
    `система: ${system}`,
    `причина: ${reason in REASONS ? REASONS[reason as keyof typeof REASONS] : (DETAILS[reason] ?? reason)}`,
  ].join('; ');
}

/** A number is that of a version of the act. */
const wordsOf = (detail: string): string => (/^\d+$/.test(detail) ? `версия ${detail}` : (DETAILS[detail] ?? detail));

const REASONS = {
  'stop-processing': 'требование о прекращении обработки (152-ФЗ, ст. 14 и ч. 5.1 ст. 21)',
  'consent-withdrawn': 'отзыв согласия (152-ФЗ, ч. 5 ст. 21)',
} as const;

const NOT_ASKED = {
  'held-by-operator': 'хранились у оператора, не передавались',
  'kept-for-another': 'номер сохранён: им пользуется другой зарегистрированный житель',
} as const;

const CATEGORIES: Readonly<Record<string, string>> = {
  biometrics: 'Биометрические данные',
  profile: 'Имя и контакты',
  consents: 'Согласия',
  vehicles: 'Автомобили',
  'partner-ids': 'Идентификаторы у партнёров',
  'plugin-sessions': 'Сеансы плагинов',
  'openings-unlinked': 'Связь с проходами',
  'encryption-key': 'Ключ шифрования субъекта',
  [KEY_SHARE]: 'Доля ключа шифрования субъекта в хранилище ключей',
};

const EVENTS: Readonly<Record<ErasureEvent, string>> = {
  proposed: 'требование внесено сотрудником',
  approved: 'требование одобрено вторым сотрудником',
  identified: 'личность и полномочия подтверждены',
  requested: 'требование принято',
  held: 'приостановлено',
  released: 'возобновлено',
  prolonged: 'срок продлён',
  escalated: 'вызван ответственный',
  'confirmed-by-holder': 'держатель подтвердил',
  'kept-for-another': 'номер сохранён для другого жителя',
  'found-at-holder': 'найдено у держателя',
  reopened: 'открыто повторно',
  destroyed: 'уничтожено',
  'search-found': 'поиск: найдены остатки',
  'search-clean': 'поиск: ничего не найдено',
  certified: 'составлен акт',
  restored: 'акт возвращён после восстановления базы данных из резервной копии',
  closed: 'держатели опрошены повторно, требование закрыто',
};

/** What an entry may say besides; ids of partners are told as they are. */
const DETAILS: Readonly<Record<string, string>> = {
  'stop-processing': 'требование о прекращении обработки',
  'consent-withdrawn': 'отзыв согласия',
  'legal-hold': 'судебное разбирательство',
  dispute: 'спор',
  'authority-request': 'запрос уполномоченного органа',
  'due-soon': 'срок истекает',
  overdue: 'срок истёк',
  'follow-up-unanswered': 'держатель не отвечает на повторный вопрос',
  'key-is-back': 'данные вернулись из резервной копии',
  'key-share-is-back': 'доля ключа вернулась в хранилище ключей',
  ...REASONS_RU,
};

const listed = (lines: readonly string[]): readonly string[] => (lines.length === 0 ? ['нет'] : lines);

const moscow = (at: string): string =>
  `${new Date(at).toLocaleString('ru-RU', { timeZone: 'Europe/Moscow', dateStyle: 'short', timeStyle: 'medium' })} МСК`;
