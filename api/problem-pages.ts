import type { Router } from 'express';
import { exactRouter } from './exact-paths';
import { notFound } from './problem';

/** What each problem type means and what a caller can do. `type` of a problem is the URL of its entry here. */
export const PROBLEM_PAGES: Readonly<Record<string, string>> = {
  'invalid-request':
    'The request breaks the contract; `errors` names each field and the rule. Correct it and send it again with a new Idempotency-Key.',
  'not-found': 'There is no such resource, or it is not yours to know of. The two are answered alike.',
  'unsupported-media-type': 'Send the body in one of the media types that `errors` lists.',
  'too-large': 'The body is larger than this endpoint takes.',
  unauthorized: 'The credentials are missing, wrong, expired or not meant for this API. Get a new token.',
  'insufficient-scope': 'The token is good, and not for this operation.',
  role: 'Your session is good, and your role does not include this.',
  csrf: 'Writes by staff need the X-CSRF-Token header, with the token that GET /staff/v1/session gives.',
  'step-up': 'This wants a proof of who you are from the last minutes. Go to /staff/login?stepUp=true, then repeat.',
  'log-export-signature':
    'Sign each part with the Ed25519 key whose thumbprint was agreed on, as `domovoy-log-export+json`.',
  'log-export-conflict':
    'Another part came in this place before, or the number of parts changed. What came first is kept.',
  'own-right': 'Nobody decides about rights of their own. Ask another reviewer.',
  'access-review-conflict': 'The right was decided about otherwise, or the campaign is over. Look at it again.',
  'own-proposal': 'What takes two people was asked for by you. Somebody else has to approve it.',
  'approval-conflict': 'It was approved already, or replaced by another since it was proposed.',
  'credential-handed-over':
    'A credential is given once and for a short time. Where it did not arrive, it is offered anew within a day.',
  'certificate-not-awaited':
    'The request was replaced, its certificate came already, or nobody has taken the request yet. Look at the list again.',
  'secrets-overlap':
    'The client uses its newest secret, and the one before is still good. Retire that one first, then take another.',
  'secret-not-shown':
    'The client has not shown its newest secret yet: ending the other one would shut it out. Enter the new one there first.',
  'credential-known':
    'This key or certificate, or its id, was announced before. What is over does not come back: make a new one.',
  'credential-under-way':
    'Another key or certificate is taking the place of the one in use. Wait until a day after its first use.',
  'access-point-conflict': 'The partner does not list this access point any more.',
  'idempotency-key':
    'Writes need an Idempotency-Key header: 8 to 128 visible ASCII characters, new for each intent, the same for each repeat.',
  'idempotency-key-reused': 'This Idempotency-Key came with another request before. Use a new one.',
  'request-in-progress':
    'The first request with this Idempotency-Key is still being worked on. Repeat after Retry-After.',
  'access-denied':
    'The decision was no. `reason`, where the caller may know it, says what the resident can do about it.',
  'opening-expired': 'The time of this opening is over. It did not open and will not.',
  'opening-unknown':
    'A command was sent and not confirmed in time. Ask for the opening again to learn more; do not assume either.',
  'opening-failed': 'The device could not be reached. It did not open.',
  'consent-missing': 'Biometrics need a consent in force.',
  'partner-not-attested':
    'The partner of this house has no letter of attestation in force. Until it has, no face is enrolled with it and none opens.',
  'consent-form-outdated': 'The consent form was replaced. Show the resident the current one.',
  'consent-state-conflict': 'The consent is not in a state that allows this.',
  'biometric-deletion-in-progress':
    'What the resident withdrew is not deleted everywhere yet. Wait until `deletion` of that consent is `deleted`.',
  'erasure-state-conflict':
    'The erasure is at a point where this is not possible: nothing is certified before it is over, and nothing can be kept that is destroyed.',
  'enrollment-conflict': 'Another enrollment of this resident at this house is in progress.',
  'vehicle-conflict': 'The resident has registered a vehicle with this plate already. Remove that one first.',
  'property-sale-conflict':
    'This registryReference named another sale before. One number names one sale; correct the report or the number.',
  'property-sale-superseded':
    'A sale of this property of a later date is in force. Name the sellers, so that it is clear whose rights end.',
  'property-sold-again':
    'Another sale of this property came into force after this one. Reverse that one first, if it is mistaken, too.',
  'no-right': 'The resident has no right in force at any house that we serve.',
  'too-many-requests':
    'The agreed rate is exceeded, or too many requests with credentials that are not good came from your network. Repeat after Retry-After.',
  unavailable:
    'A part that this rests on does not answer. Nothing opened. Repeat after Retry-After with the same Idempotency-Key.',
  busy: 'More work of this kind is waiting than can be taken in. Repeat after Retry-After with the same Idempotency-Key.',
  internal: 'The fault is ours. Repeat with the same Idempotency-Key; give the X-Request-Id when you ask about it.',
};

/** `GET /problems/{type}`: every problem type is an address that can be read (RFC 9457, section 3.1.1). */
export function problemPages(): Router {
  const router = exactRouter();
  router.get('/:type', (req, res) => {
    const { type } = req.params;
    // `constructor` and the like are members of every object, and no problems.
    const text = Object.hasOwn(PROBLEM_PAGES, type) ? PROBLEM_PAGES[type] : undefined;
    if (text === undefined) throw notFound('type');
    res.type('text/plain').send(`${type}\n\n${text}\n`);
  });
  return router;
}
