/** Profile ids as clients write them: UUIDs. */

/** 16 bytes of a UUID in any of its usual spellings (with or without hyphens, in braces, as a URN); undefined for anything else. */
export function parseUuid(text: string): Uint8Array | undefined {
  const match = /^(?:urn:uuid:)?([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{4})-([0-9a-f]{12})$/i.exec(text.replace(/^\{(.{36})\}$/, "$1"));
  const hex = match === null ? (/^[0-9a-f]{32}$/i.test(text) ? text : undefined) : match.slice(1).join("");
  return hex === undefined ? undefined : new Uint8Array(Buffer.from(hex, "hex"));
}
