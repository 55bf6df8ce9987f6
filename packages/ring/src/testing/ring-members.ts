/** Members for tests: named m0, m1, ... */
import type { Member } from "../cluster-view.ts";
import { TOKEN_COUNT_DEFAULT } from "../tokens.ts";

export function testMember(name: string, fields: Partial<Member> = {}): Member {
  return {
    name,
    storeId: Buffer.from(name.padEnd(16, "_").slice(0, 16)).toString("hex"),
    bootId: "boot",
    incarnation: 1,
    state: "active",
    isSuspect: false,
    clusterAddress: `${name}:7946`,
    httpAddress: `${name}:4040`,
    zone: "",
    tokenCount: TOKEN_COUNT_DEFAULT,
    protocolMin: 1,
    protocolMax: 1,
    formats: [],
    build: "test",
    acksHeld: 1,
    ...fields,
  };
}

/** `zones`: given round robin; none: "". */
export function testMembers(count: number, zones: readonly string[] = [""]): Member[] {
  return Array.from({ length: count }, (_, index) => testMember(`m${index}`, { zone: zones[index % zones.length]! }));
}
