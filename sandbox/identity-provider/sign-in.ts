import { Router, urlencoded, type Response } from 'express';
import type { Provider } from 'oidc-provider';
import { z } from 'zod';
import type { Accounts } from './accounts';
import { PROVED } from './provider';

const Form = z.union([
  z.strictObject({ username: z.string().max(64), password: z.string().max(256) }),
  z.strictObject({ code: z.string().max(16) }),
]);

/** The pages between the client's question and the answer: name and password, then the code for those who have one. */
export function signInRoutes(provider: Provider, accounts: Accounts): Router {
  const router = Router();
  router.use('/sign-in', urlencoded({ extended: false, limit: '4kb' }), (_req, res, next) => {
    res.set({
      'cache-control': 'no-store',
      'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
      'x-content-type-options': 'nosniff',
    });
    next();
  });

  router.get('/sign-in/:uid', async (req, res) => {
    await provider.interactionDetails(req, res);
    page(res, 200, PASSWORD_STEP);
  });

  router.post('/sign-in/:uid', async (req, res) => {
    const interaction = await provider.interactionDetails(req, res);
    const form = Form.safeParse(req.body);
    if (!form.success) {
      page(res, 400, PASSWORD_STEP, 'Fill in the form.');
      return;
    }
    if ('code' in form.data) {
      const passed = interaction.lastSubmission?.['passwordOf'];
      const account = typeof passed === 'string' ? accounts.checkCode(passed, form.data.code.trim()) : undefined;
      if (!account) {
        page(res, 401, CODE_STEP, 'The code is not right.');
        return;
      }
      return finish(account.subject, PROVED.passwordAndCode);
    }
    const { username, password } = form.data;
    const account = accounts.checkPassword(username, password);
    if (!account) {
      page(res, 401, PASSWORD_STEP, 'Name or password is not right.');
      return;
    }
    if (!accounts.hasTotp(username)) return finish(account.subject, PROVED.password);
    interaction.lastSubmission = { passwordOf: username };
    await interaction.save(interaction.exp - Math.floor(Date.now() / 1_000));
    page(res, 200, CODE_STEP);
    return;

    async function finish(accountId: string, { acr, amr }: (typeof PROVED)[keyof typeof PROVED]): Promise<void> {
      await provider.interactionFinished(req, res, { login: { accountId, acr, amr: [...amr] } });
    }
  });
  return router;
}

const PASSWORD_STEP = `<label>Name <input name="username" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>`;
const CODE_STEP = `<label>Code of your authenticator app
<input name="code" inputmode="numeric" pattern="[0-9]{6}" autocomplete="one-time-code" required autofocus></label>`;

/** Everything on the page is ours: nothing that was typed comes back. */
function page(res: Response, status: number, fields: string, refusal?: string): void {
  res.status(status).type('html').send(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Staff sign-in (sandbox)</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>body{font:16px/1.5 sans-serif;max-width:24rem;margin:4rem auto}label,input{display:block;width:100%}</style></head>
<body><main><h1>Staff sign-in</h1>${refusal === undefined ? '' : `<p role="alert">${refusal}</p>`}
<form method="post">${fields}<p><button>Continue</button></p></form></main></body></html>`);
}
