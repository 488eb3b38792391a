import type { AppendLog } from '../append-log';
import { StartFailure } from '../start-failure';
import {
  CustodyLine,
  type CredentialChange,
  type CustodyRecord,
  type Device,
  type HeldFace,
  type HeldPlate,
  type House,
  type LedgerEntry,
  type LoginFamily,
  type OutgoingEvent,
  type Settings,
} from './custody';

/** A partner's own data, in memory, written down before anything is answered. */
export type CustodyStore = {
  readonly ledger: ReadonlyMap<string, LedgerEntry>;
  readonly families: ReadonlyMap<string, LoginFamily>;
  readonly events: ReadonlyMap<string, OutgoingEvent>;
  readonly credentials: readonly CredentialChange[];
  /** What the company has issued to this partner in place of what is configured. */
  readonly own: Readonly<Record<string, string>>;
  faces(): readonly HeldFace[];
  face(clientId: string, houseId: string): HeldFace | undefined;
  plates(): readonly HeldPlate[];
  houses(): readonly House[];
  settings(): Settings;
  device(deviceId: string): { readonly device: Device; readonly house: House } | undefined;
  /** The effect asked under this key, or with this command id under another key. */
  effect(key: string, commandId: string | null): LedgerEntry | undefined;
  /**
   * Takes the records at once, so that whoever comes next sees them, and resolves when they are on the disk together:
   * answer after that.
   */
  commit(records: readonly CustodyRecord[]): Promise<void>;
  settled(): Promise<void>;
};

/** Replays a log over what the configuration starts with. */
export function openCustody(
  log: AppendLog,
  initial: { readonly houses: readonly House[]; readonly settings: Settings },
  onWriteFailure: (error: unknown) => void,
): CustodyStore {
  const ledger = new Map<string, LedgerEntry>();
  const keyByCommand = new Map<string, string>();
  const faces = new Map<string, HeldFace>();
  const plates = new Map<string, HeldPlate>();
  const events = new Map<string, OutgoingEvent>();
  const families = new Map<string, LoginFamily>();
  const credentials: CredentialChange[] = [];
  const own: Record<string, string> = {};
  let houses = initial.houses;
  let settings = initial.settings;

  function apply(change: CustodyRecord): void {
    switch (change.record) {
      case 'effect':
        ledger.set(change.entry.key, change.entry);
        if (change.entry.commandId !== null) keyByCommand.set(change.entry.commandId, change.entry.key);
        break;
      case 'attempt': {
        const entry = ledger.get(change.key);
        if (entry !== undefined) ledger.set(change.key, { ...entry, attempts: entry.attempts + 1 });
        break;
      }
      case 'face':
        faces.set(pair(change.face.clientId, change.face.houseId), change.face);
        break;
      case 'plate':
        plates.set(pair(change.plate.plate, change.plate.houseId), change.plate);
        break;
      case 'event':
        events.set(change.event.eventId, change.event);
        break;
      case 'family':
        families.set(change.family.familyId, change.family);
        break;
      case 'houses':
        houses = change.houses;
        break;
      case 'settings':
        settings = change.settings;
        break;
      case 'credential':
        credentials.push(change.credential);
        break;
      case 'own-credential':
        own[change.own.name] = change.own.value;
        break;
    }
  }

  log.entries.forEach((line, index) => {
    const records = CustodyLine.safeParse(line);
    if (!records.success) throw new StartFailure(`line ${String(index + 1)} of a partner's data is of another version`);
    records.data.forEach(apply);
  });

  return {
    ledger,
    families,
    events,
    credentials,
    own,
    faces: () => [...faces.values()],
    face: (clientId, houseId) => faces.get(pair(clientId, houseId)),
    plates: () => [...plates.values()].filter(({ held }) => held),
    houses: () => houses,
    settings: () => settings,
    device: (deviceId) => {
      for (const house of houses)
        for (const device of house.devices) if (device.id === deviceId) return { device, house };
      return undefined;
    },
    effect: (key, commandId) =>
      ledger.get(key) ?? (commandId === null ? undefined : ledger.get(keyByCommand.get(commandId) ?? '')),
    commit: async (records) => {
      records.forEach(apply);
      try {
        await log.append(records);
      } catch (error) {
        onWriteFailure(error);
        throw error;
      }
    },
    settled: () => log.settled(),
  };
}

function pair(first: string, second: string): string {
  return JSON.stringify([first, second]);
}
