/** OTLP exports in JSON, of one profile for each resource: bodies that hold several profiles, of which some may be refused. */
import type { EncodeTask } from "../compute/compute.ts";

export const OTLP_JSON: NonNullable<EncodeTask["format"]> = { kind: "otlp", form: { encoding: "json" } };

export interface ExportedProfile {
  readonly service: string;
  /** Stack 1 is there; a larger one refuses the profile when it is read. */
  readonly stack?: number;
  /** A profile of a time that is not accepted is refused when it is encoded. */
  readonly timeMs?: number;
  /** Services that samples name themselves: each has a series of its own, in place of `service`'s. */
  readonly sampleServices?: readonly string[];
}

const NOW_MS = 1_700_000_000_000;

export function otlpJson(...profiles: readonly ExportedProfile[]): Uint8Array {
  const attributeTable: object[] = [{}];
  const sampleOf = (stackIndex: number, service: string | undefined): object => {
    const attributeIndices = service === undefined ? [] : [attributeTable.push({ keyStrindex: 4, value: { stringValue: service } }) - 1];
    return { stackIndex, values: ["3"], attributeIndices };
  };
  const resourceProfiles = profiles.map(({ service, stack = 1, timeMs = NOW_MS, sampleServices = [undefined] }) => ({
    resource: { attributes: [{ key: "service.name", value: { stringValue: service } }] },
    scopeProfiles: [{ profiles: [{ sampleType: { typeStrindex: 1, unitStrindex: 2 }, timeUnixNano: `${timeMs}000000`, samples: sampleServices.map((own) => sampleOf(stack, own)) }] }],
  }));
  const dictionary = {
    stringTable: ["", "wall", "nanoseconds", "main", "service.name"],
    mappingTable: [{}],
    functionTable: [{}, { nameStrindex: 3 }],
    locationTable: [{}, { lines: [{ functionIndex: 1 }] }],
    stackTable: [{}, { locationIndices: [1] }],
    linkTable: [{}],
    attributeTable,
  };
  return new Uint8Array(Buffer.from(JSON.stringify({ resourceProfiles, dictionary })));
}
