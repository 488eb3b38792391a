/** A command's answer "no" or "that cannot be read": one sentence for the person who asked, exit code 1. */
export class CommandRefusal extends Error {
  override readonly name = 'CommandRefusal';
}
