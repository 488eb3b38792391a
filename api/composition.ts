import { type X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Client } from '@temporalio/client';
import type { PayloadCodec } from '@temporalio/common';
import type { Express, RequestHandler, Router } from 'express';
import type { ApiSecrets, ApiSettings, ErasureSettings } from '../config/environment';
import type { ErasureClocks } from '../erasure/clocks';
import type { Logger } from '../config/logger';
import type { RequestMetrics } from '../config/request-metrics';
import type { ExchangeJournal } from '../journal/exchanges';
import { readAuthorities } from '../partners/announced';
import type { Database } from '../prisma/database';
import { documentSigner, type DocumentSigner } from '../vault/document-signature';
import type { KeyEncryption } from '../vault/key-encryption';
import { createSealedFiles } from '../vault/sealed-files';
import { createPhotoStage } from '../vault/staged-photos';
import { createPayloadCodec } from '../vault/payload-codec';
import { createPlateIndex, type PlateIndex } from '../vault/plate-index';
import type { SubjectVault } from '../vault/subject-keys';
import { createApp } from './app';
import { consentOperations } from './app/consents';
import { consentReceiptOperations } from './app/consent-receipts';
import { enrollmentOperations } from './app/enrollments';
import { appOpeningOperations } from './app/openings';
import { erasureOperations } from './app/erasures';
import { vehicleOperations } from './app/vehicles';
import { pluginSessionOperations } from './app/plugin-sessions';
import { reminderOperations } from './app/reminders';
import { requirePartner } from './authentication/partner';
import { requireRegistry } from './authentication/registry';
import { requireStaff } from './authentication/staff';
import { requireToken } from './authentication/token';
import type { FaceIdentifier } from './face-identification';
import { createIdentification, type Identification } from './identification';
import type { IdentificationGuard } from './identification-guard';
import { hiddenId } from './oauth/hidden-id';
import { createIdentifyAtTokenEndpoint } from './oauth/identification-request';
import { issuerUrl } from './oauth/resources';
import { createAuthorizationServer } from './oauth/router';
import { openApiDocument, type ApiSection } from './openapi';
import { mountOperations, type Operation } from './operation';
import { createPlateIdentifier, type PlateIdentifier } from './plate-identification';
import { publicKeyRoutes } from './public-keys';
import { partnerCredentialOperations } from './partner/credentials';
import { obligationOperations } from './partner/obligations';
import { partnerOpeningOperations } from './partner/openings';
import type { OpeningAnswers } from './opening-answers';
import type { OwnKeys } from './own-keys';
import type { PluginTokenGuesses } from './plugin-token-guesses';
import { pluginTokenOperations } from './partner/plugin-tokens';
import { partnerWebhookOperations } from './partner/webhooks';
import type { RefusalLimits } from './refusal-limits';
import { noteRefusals } from './refusals';
import { propertySaleOperations } from './registry/property-sales';
import type { RequestLimits } from './request-limits';
import type { RestoreGate } from './restore-gate';
import { accessReviewOperations } from './staff/access-reviews';
import { announcedCredentialOperations } from './staff/announced-credentials';
import { codecCors, codecOperations } from './staff/codec';
import { clientSuspensionOperations } from './staff/client-suspensions';
import { accessPointOperations } from './staff/access-points';
import { accessRuleOperations } from './staff/access-rules';
import { erasureDemandOperations } from './staff/erasure-demands';
import { staffErasureOperations } from './staff/erasures';
import { residentHoldOperations } from './staff/resident-holds';
import { escalationOperations } from './staff/escalations';
import { staffPropertySaleOperations } from './staff/property-sales';
import { credentialHandoverOperations } from './staff/credential-handovers';
import { credentialRevocationOperations } from './staff/credential-revocations';
import { attestationLetterOperations } from './staff/attestation-letters';
import { dataSetAgreementOperations } from './staff/data-set-agreements';
import type { IdentityProvider } from './staff/identity-provider';
import { staffOpeningOperations } from './staff/openings';
import { ownClientOperations } from './staff/own-clients';
import { staffPartnerOperations } from './staff/partners';
import { securityAlertOperations } from './staff/security-alerts';
import { staffSessionOperations } from './staff/session';
import { journalExportOperations } from './staff/journal-exports';
import { logExportOperations } from './staff/log-exports';
import { securityAuditOperations } from './staff/security-audits';
import { securityEventRoutes } from './staff/security-events';
import { signInRoutes } from './staff/sign-in';
import { staffMemberOperations } from './staff/staff-members';

export const API_VERSION = '1.0.0';

export type ApiDependencies = {
  readonly settings: ApiSettings;
  readonly secrets: ApiSecrets;
  readonly database: Database;
  readonly temporal: Client;
  readonly keyEncryption: KeyEncryption;
  readonly subjects: SubjectVault;
  readonly identificationGuard: IdentificationGuard;
  readonly faces: FaceIdentifier;
  readonly requestLimits: RequestLimits;
  readonly openingAnswers: OpeningAnswers;
  readonly refusalLimits: RefusalLimits;
  readonly pluginTokenGuesses: PluginTokenGuesses;
  readonly exchanges: ExchangeJournal;
  readonly identityProvider: IdentityProvider;
  readonly ownKeys: OwnKeys;
  readonly log: Logger;
  readonly metrics?: RequestMetrics;
  /** Left out: nobody may have restored the database. */
  readonly restoreGate?: Pick<RestoreGate, 'admit'>;
};

/** What the operations are made of. */
type OperationDependencies = Omit<
  ApiDependencies,
  | 'secrets'
  | 'requestLimits'
  | 'refusalLimits'
  | 'identificationGuard'
  | 'faces'
  | 'exchanges'
  | 'identityProvider'
  | 'ownKeys'
  | 'metrics'
  | 'restoreGate'
> & {
  readonly plateIndex: PlateIndex;
  readonly identification: Identification;
  readonly plates: PlateIdentifier;
  readonly signer: DocumentSigner;
  readonly payloadCodec: PayloadCodec;
  readonly clientAuthorities: readonly X509Certificate[];
};

/** The operations of each audience, as they are mounted and documented. */
export function apiSections(deps: OperationDependencies): ApiSection[] {
  const { settings, database, temporal, keyEncryption, subjects, plateIndex, identification, plates } = deps;
  const openWithinMs = settings.OPEN_WITHIN_MS;
  const announcements = { database, temporal, clientAuthorities: deps.clientAuthorities };
  const operator = { name: settings.OPERATOR_NAME, address: settings.OPERATOR_ADDRESS };
  const erasures = {
    ...{ database, temporal, subjects, log: deps.log, clocks: erasureClocks(settings), operator },
    proofMaxAgeMinutes: settings.ERASURE_PROOF_MAX_AGE_MINUTES,
  };
  return [
    {
      base: '/app/v1',
      tag: 'app',
      operations: [
        ...consentReceiptOperations({
          database,
          signer: deps.signer,
          operator,
        }),
        ...consentOperations({ database, temporal, subjects, log: deps.log }),
        ...reminderOperations({ database }),
        ...enrollmentOperations({
          database,
          temporal,
          subjects,
          photos: createPhotoStage(keyEncryption),
          photoMaxBytes: settings.PHOTO_MAX_BYTES,
          photoMaxPixels: settings.PHOTO_MAX_PIXELS,
        }),
        ...pluginSessionOperations({ database, subjects }),
        ...appOpeningOperations({ database, temporal, subjects, openWithinMs, answers: deps.openingAnswers }),
        ...vehicleOperations({ database, temporal, plateIndex, subjects }),
        ...erasureOperations(erasures),
      ],
    },
    {
      base: '/partner/v1',
      tag: 'partner',
      operations: [
        ...partnerOpeningOperations({
          database,
          temporal,
          subjects,
          openWithinMs,
          answers: deps.openingAnswers,
          identification,
          plates,
        }),
        ...pluginTokenOperations({ database, subjects, guesses: deps.pluginTokenGuesses }),
        ...partnerWebhookOperations({ database, temporal }),
        ...obligationOperations({ database, temporal, files: createSealedFiles(keyEncryption) }),
        ...partnerCredentialOperations(announcements),
      ],
    },
    {
      base: '/staff/v1',
      tag: 'staff',
      operations: [
        ...staffSessionOperations({ database }),
        ...staffMemberOperations({ database }),
        ...securityAlertOperations({ database, temporal }),
        ...clientSuspensionOperations({ database }),
        ...codecOperations({ codec: deps.payloadCodec, uiOrigin: settings.TEMPORAL_UI_ORIGIN }),
        ...staffPartnerOperations({ database, temporal }),
        ...dataSetAgreementOperations({ database }),
        ...attestationLetterOperations({ database, files: createSealedFiles(keyEncryption) }),
        ...logExportOperations({ database, temporal, files: createSealedFiles(keyEncryption) }),
        ...journalExportOperations({ database, subjects, signer: deps.signer }),
        ...securityAuditOperations({ database }),
        ...accessReviewOperations({ database, temporal }),
        ...staffOpeningOperations({ database }),
        ...accessPointOperations({ database }),
        ...accessRuleOperations({ database }),
        ...staffPropertySaleOperations({ database, temporal, subjects, log: deps.log }),
        ...staffErasureOperations(erasures),
        ...erasureDemandOperations(erasures),
        ...residentHoldOperations(erasures),
        ...escalationOperations({ database }),
        ...credentialRevocationOperations({ database, temporal }),
        ...credentialHandoverOperations({ database, temporal, keyEncryption }),
        ...ownClientOperations({ database }),
        ...announcedCredentialOperations(announcements),
      ],
    },
    {
      base: '/registry/v1',
      tag: 'registry',
      operations: propertySaleOperations({ database, temporal, subjects, log: deps.log }),
    },
  ];
}

/** Enough to tell what one client asks for apart. */
const ASKED_LENGTH = 16;

const erasureClocks = (settings: ErasureSettings): ErasureClocks => ({
  withdrawalDays: settings.ERASURE_WITHDRAWAL_DAYS,
  demandWorkingDays: settings.ERASURE_DEMAND_WORKING_DAYS,
  prolongByWorkingDays: settings.ERASURE_PROLONG_WORKING_DAYS,
  warnDays: settings.ERASURE_WARN_DAYS,
});

/** The whole API as an Express application that does not listen yet. */
export function createStack(deps: ApiDependencies): Express {
  const { settings, secrets, database, subjects, log } = deps;
  const publicUrl = settings.API_PUBLIC_URL;
  const plateIndex = createPlateIndex(secrets.PLATE_INDEX_KEY);
  const plates = createPlateIdentifier({ database, plateIndex });
  const identification = createIdentification({ faces: deps.faces, plates, guard: deps.identificationGuard });
  const server = createAuthorizationServer({
    publicUrl,
    database,
    signingKeys: deps.ownKeys.current('token'),
    hiddenIdKey: secrets.HIDDEN_ID_KEY,
    identify: createIdentifyAtTokenEndpoint({
      database,
      subjects,
      identification,
      withinMs: settings.OPEN_WITHIN_MS,
    }),
    refusals: deps.refusalLimits,
    exchanges: deps.exchanges,
    log,
  });
  deps.ownKeys.onTokenKeys((keys) => server.useKeys(keys));
  const checks = {
    publicUrl,
    publicKeys: server.publicKeys,
    hiddenIdKey: secrets.HIDDEN_ID_KEY,
    database,
    refusals: deps.refusalLimits,
    requests: deps.requestLimits,
    log,
    limits: { requestsPerSecond: settings.OWN_REQUESTS_PER_SECOND, concurrency: settings.OWN_CONCURRENT_REQUESTS },
    signingKey: deps.ownKeys.messageSigner,
  };
  const signer = documentSigner(secrets.DOCUMENT_SIGNING_KEY);
  const { PAYLOAD_KEYS: payloadKeys } = secrets;
  const payloadCodec = createPayloadCodec(payloadKeys.keys, payloadKeys.currentId);
  const clientAuthorities = readAuthorities(readFileSync(settings.CLIENT_CA_FILE, 'utf8'));
  const sections = apiSections({
    ...deps,
    plateIndex,
    plates,
    identification,
    signer,
    payloadCodec,
    clientAuthorities,
  });
  const authenticate =
    (base: string) =>
    (operation: Operation): RequestHandler[] => {
      if (operation.permission !== undefined) return [requireStaff(checks, operation)];
      if (base === '/partner/v1') return requirePartner(checks, operation);
      if (base === '/registry/v1') return requireRegistry(checks, operation);
      return [requireToken(checks, 'app', operation.scope)];
    };
  const { HIDDEN_ID_KEY: hiddenIdKey } = secrets;
  const { identityProvider, exchanges } = deps;
  const staff = signInRoutes({ database, settings, hiddenIdKey, identityProvider, log });
  const events = securityEventRoutes({ database, identityProvider, exchanges, log });
  const routers: Record<string, Router> = {};
  for (const { base, operations } of sections) {
    routers[base] = mountOperations(operations, {
      database,
      authenticate: authenticate(base),
      admit: deps.requestLimits.admit,
      exchanges,
      hideAsked: (clientId, asked) =>
        hiddenId(secrets.HIDDEN_ID_KEY, `asked/${clientId}/${asked}`).slice(0, ASKED_LENGTH),
    });
  }
  const document = describe(sections, publicUrl);
  const { metrics, restoreGate } = deps;
  const watched = {
    ...(metrics && { metrics }),
    ...(restoreGate && { gate: restoreGate.admit }),
    refusals: noteRefusals(exchanges, secrets.HIDDEN_ID_KEY),
  };
  return createApp({
    log,
    ...watched,
    cors: codecCors(settings.TEMPORAL_UI_ORIGIN),
    routers,
    open: [staff, events, server.router, publicKeyRoutes(signer, () => deps.ownKeys.current('message'))],
    admitAnyone: deps.requestLimits.admitAnyone,
    openApiDocument: () => document,
  });
}

const describe = (sections: readonly ApiSection[], publicUrl: string): object =>
  openApiDocument({
    version: API_VERSION,
    serverUrl: publicUrl,
    tokenUrl: `${issuerUrl(publicUrl)}/token`,
    sections,
  });

/** The OpenAPI document without anything running: the operations are described, and nothing behind them is touched. */
export function documentOf(publicUrl: string): object {
  const nothing = new Proxy({}, { get: () => nothing }) as never;
  const settings = { PHOTO_MAX_BYTES: DOCUMENTED_PHOTO_MAX_BYTES } as ApiSettings;
  const stores = {
    database: nothing,
    temporal: nothing,
    keyEncryption: nothing,
    openingAnswers: nothing,
    pluginTokenGuesses: nothing,
    log: nothing,
  };
  const finders = { subjects: nothing, plateIndex: nothing, plates: nothing, identification: nothing, signer: nothing };
  return describe(
    apiSections({ settings, ...stores, ...finders, payloadCodec: nothing, clientAuthorities: [] }),
    publicUrl,
  );
}

/** The default of config/environment.ts; an installation's own document says its own limit. */
const DOCUMENTED_PHOTO_MAX_BYTES = 10_000_000;
