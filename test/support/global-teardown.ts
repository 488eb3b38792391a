export default async function globalTeardown(): Promise<void> {
  await globalThis.domovoyTestServer?.stop();
  globalThis.domovoyTestServer = undefined;
}
