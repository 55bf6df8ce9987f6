/**
 * A server in memory that answers the queries of the load bench. It is simple and slow, uses `pprof-format`, and can lose or double a
 * push on purpose.
 */
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync } from "node:zlib";
import { Profile } from "pprof-format";
import { FRAME_END, stacksOf } from "../program.ts";

interface Stored {
  readonly service: string;
  readonly pod: string;
  readonly profileName: string;
  readonly profile: Profile;
}

export class FakeServer {
  readonly #http: Server;
  readonly stored: Stored[] = [];
  /** How often push n (from 0) is stored, and its status. */
  fate: (n: number) => { readonly times: number; readonly status: number } = () => ({ times: 1, status: 200 });
  #pushCount = 0;

  constructor() {
    this.#http = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on("data", (chunk: Buffer) => chunks.push(chunk));
      request.on("end", () => {
        const { status, body } = this.#answer(request.url ?? "", Buffer.concat(chunks));
        response.writeHead(status, { "content-length": Buffer.byteLength(body) });
        response.end(body);
      });
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#http.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    this.#http.closeAllConnections();
    await new Promise((resolve) => this.#http.close(resolve));
  }

  #answer(path: string, body: Buffer): { status: number; body: string | Uint8Array } {
    if (path.endsWith("/Push")) return { status: this.#push(body), body: "" };
    if (path === "/flush") return { status: 200, body: "{}" };
    if (path.endsWith("/SelectMergeProfile")) {
      const [type, selector] = [...lengthFields(body)].map(({ content }) => content.toString());
      return { status: 200, body: this.#mergedProfile(type!, selector!) };
    }
    const query = JSON.parse(body.toString()) as { profileTypeID: string; labelSelector: string };
    const sums = path.endsWith("/SelectSeries") ? this.#totals(query.profileTypeID, query.labelSelector) : this.#flameGraph(query.profileTypeID, query.labelSelector);
    return { status: 200, body: JSON.stringify(sums) };
  }

  #push(body: Buffer): number {
    const { times, status } = this.fate(this.#pushCount++);
    const labels: Record<string, string> = {};
    let raw = Buffer.alloc(0);
    for (const { number, content } of lengthFields([...lengthFields(body)][0]!.content)) {
      const [first, second] = [...lengthFields(content)].map((field) => field.content);
      if (number === 1) labels[first!.toString()] = second!.toString();
      else raw = Buffer.from(first!);
    }
    const profile = Profile.decode(gunzipSync(raw));
    for (let i = 0; i < times; i++) this.stored.push({ service: labels["service_name"]!, pod: labels["pod"]!, profileName: labels["__name__"]!, profile });
    return status;
  }

  /** The matching profiles, each with the requested column. */
  #select(type: string, selector: string): { stored: Stored; column: number }[] {
    const wanted = new Map([...selector.matchAll(/(\w+)="([^"]*)"/g)].map((match) => [match[1]!, match[2]!]));
    return this.stored.flatMap((stored) => {
      if (wanted.has("service_name") && wanted.get("service_name") !== stored.service) return [];
      if (wanted.has("pod") && wanted.get("pod") !== stored.pod) return [];
      const { profile } = stored;
      const text = (index: number | bigint): string => profile.stringTable.strings[Number(index)]!;
      const column = profile.sampleType.findIndex(
        (found) => `${stored.profileName}:${text(found.type)}:${text(found.unit)}:${text(profile.periodType!.type)}:${text(profile.periodType!.unit)}` === type,
      );
      return column < 0 ? [] : [{ stored, column }];
    });
  }

  #totals(type: string, selector: string): unknown {
    const totals = new Map<string, number>();
    for (const { stored, column } of this.#select(type, selector)) {
      for (const sample of stored.profile.sample) totals.set(stored.pod, (totals.get(stored.pod) ?? 0) + Number(sample.value[column]));
    }
    return { series: [...totals].map(([pod, value]) => ({ labels: [{ name: "pod", value: pod }], points: [{ value: value / 2 }, { value: value / 2 }] })) };
  }

  #flameGraph(type: string, selector: string): unknown {
    interface Bar {
      readonly name: string;
      self: number;
      total: number;
      readonly children: Map<string, Bar>;
    }
    const bar = (name: string): Bar => ({ name, self: 0, total: 0, children: new Map() });
    const root = bar("total");
    for (const { stored, column } of this.#select(type, selector)) {
      const stacks = stacksOf(stored.profile, false);
      stored.profile.sample.forEach((sample, index) => {
        const value = Number(sample.value[column]);
        let at = root;
        at.total += value;
        for (const name of stacks[index]!.split(FRAME_END)) {
          if (!at.children.has(name)) at.children.set(name, bar(name));
          at = at.children.get(name)!;
          at.total += value;
        }
        at.self += value;
      });
    }
    const names: string[] = [];
    const levels: { values: string[] }[] = [];
    let level: { bar: Bar; from: number }[] = [{ bar: root, from: 0 }];
    while (level.length > 0) {
      let x = 0;
      const values: string[] = [];
      for (const { bar: found, from } of level) {
        if (!names.includes(found.name)) names.push(found.name);
        values.push(String(from - x), String(found.total), String(found.self), String(names.indexOf(found.name)));
        x = from + found.total;
      }
      levels.push({ values });
      level = level.flatMap(({ bar: found, from }) => {
        let childFrom = from + found.self;
        return [...found.children.values()]
          .filter(({ total }) => total > 0)
          .map((child) => {
            const entry = { bar: child, from: childFrom };
            childFrom += child.total;
            return entry;
          });
      });
    }
    return { flamegraph: { names, levels } };
  }

  /** For profiles of one program: its symbols, the samples of all pushes one after another, and one column. */
  #mergedProfile(type: string, selector: string): Uint8Array {
    const selected = this.#select(type, selector);
    const [first] = selected;
    if (first === undefined) return new Uint8Array(0);
    const merged = Profile.decode(first.stored.profile.encode());
    merged.sampleType = [merged.sampleType[first.column]!];
    merged.sample = selected.flatMap(({ stored, column }) =>
      stored.profile.sample.map((sample) => {
        const copy = Object.assign(Object.create(Object.getPrototypeOf(sample) as object) as typeof sample, sample);
        copy.value = [sample.value[column]!];
        return copy;
      }),
    );
    return merged.encode();
  }
}

function* lengthFields(bytes: Buffer): Generator<{ number: number; content: Buffer }> {
  let at = 0;
  const varint = (): number => {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = bytes[at++]!;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const length = varint();
    if ((tag & 7) !== 2) continue;
    yield { number: tag >> 3, content: bytes.subarray(at, at + length) };
    at += length;
  }
}
