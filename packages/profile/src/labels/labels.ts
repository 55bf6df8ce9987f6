/**
 * Labels: the names and values that make a series, sorted by name (bytewise, as Go sorts), each name once.
 * Everything that compares, hashes or prints a label set relies on that order.
 */

export interface Label {
  readonly name: string;
  readonly value: string;
}

/** Sorted by name, and each name once. `sortLabels` makes it so, and whoever changes a set keeps it so. */
export type Labels = readonly Label[];

/** Bytewise order of UTF-8. JavaScript's own order differs from it only where surrogates are compared with characters above them. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x === y) continue;
    const isXSurrogate = x >= 0xd800 && x <= 0xdfff;
    const isYSurrogate = y >= 0xd800 && y <= 0xdfff;
    if (isXSurrogate !== isYSurrogate) return isXSurrogate ? 1 : -1;
    return x < y ? -1 : 1;
  }
  return a.length - b.length;
}

export function sortLabels(labels: readonly Label[]): Label[] {
  return [...labels].sort((a, b) => compareText(a.name, b.name));
}

/** Compares name, then value, label by label. Where one set is the beginning of the other, the shorter comes first. */
export function compareLabels(a: Labels, b: Labels): number {
  for (let i = 0; i < a.length && i < b.length; i++) {
    const order = compareText(a[i]!.name, b[i]!.name) || compareText(a[i]!.value, b[i]!.value);
    if (order !== 0) return order;
  }
  return a.length - b.length;
}

export function labelValue(labels: Labels, name: string): string | undefined {
  for (const label of labels) if (label.name === name) return label.value;
  return undefined;
}

/** `labels` with these set (replacing) or, where the value is undefined, removed. */
export function withLabels(labels: Labels, changes: Readonly<Record<string, string | undefined>>): Labels {
  const kept = labels.filter((label) => !Object.hasOwn(changes, label.name));
  for (const [name, value] of Object.entries(changes)) if (value !== undefined) kept.push({ name, value });
  return sortLabels(kept);
}

/** A map key: different label sets have different keys, since each text stands behind its length. */
export function labelsKey(labels: Labels): string {
  let key = "";
  for (const { name, value } of labels) key += `${name.length}:${name}${value.length}:${value}`;
  return key;
}

/** `{a="b", c="d"}`, as Prometheus prints it. */
export function printLabels(labels: Labels): string {
  return `{${labels.map(({ name, value }) => `${name}=${JSON.stringify(value)}`).join(", ")}}`;
}

/** Names that Pyroscope's readers rely on (`reference` names in COMPAT.md). */
export const LABEL_NAME = "__name__";
export const LABEL_SERVICE_NAME = "service_name";
export const LABEL_SESSION_ID = "__session_id__";
export const LABEL_PROFILE_TYPE = "__profile_type__";
