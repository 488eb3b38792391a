/** */
export async function benchFaces(_env: NodeJS.ProcessEnv, _print: (line: string) => void): Promise<void> {
  await Promise.resolve();
}
