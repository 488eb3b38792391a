/** What a partner answers a call with. `body` is sent as JSON in the profile's own shape. */
export type Answer = {
  readonly status: number;
  readonly body: unknown;
  readonly headers?: Readonly<Record<string, string>>;
};

/** A call that is refused; each profile says the code in its own shape. Codes are listed in sandbox/README.md. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly status: number;
  readonly code: string;
  readonly reason: string | undefined;
  readonly headers: Readonly<Record<string, string>>;
  constructor(
    status: number,
    code: string,
    more: { reason?: string; headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(code);
    this.status = status;
    this.code = code;
    this.reason = more.reason;
    this.headers = more.headers ?? {};
  }
}
