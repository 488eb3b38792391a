#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { auditCommand } from './audit';
import { journalCommand } from './journal';
import { logsCommand } from './logs';
import { CommandRefusal } from './refusal';
import { verifyCommand } from './verify';

/** The `domovoy` command: what auditors, residents and operations check and do without the running stack. */
async function main(argv: readonly string[]): Promise<void> {
  const program = new Command('domovoy')
    .description('Checks what Domovoy signed and recorded.')
    .exitOverride()
    .configureHelp({ sortSubcommands: true });
  for (const command of [verifyCommand(), journalCommand(), auditCommand(), logsCommand()]) program.addCommand(command);
  try {
    await program.parseAsync(argv);
  } catch (error) {
    process.exitCode = exitCodeOf(error);
  }
}

/** Commander has printed its own errors already; a refusal is one sentence; anything else is a fault of ours. */
function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode;
  console.error(error instanceof CommandRefusal ? error.message : error);
  return 1;
}

void main(process.argv);
