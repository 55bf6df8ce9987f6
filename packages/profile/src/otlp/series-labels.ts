/** Labels of an OTLP profile's series: its resource's attributes, then its scope's; of one name the first counts. Pure. */
import type { Label } from "../labels/labels.ts";
import { LABEL_NAME, LABEL_SERVICE_NAME } from "../labels/labels.ts";
import { UNKNOWN_SERVICE } from "../labels/relabel.ts";

export const SERVICE_ATTRIBUTE = "service.name";
const EXECUTABLE_ATTRIBUTE = "process.executable.name";

/** The service of samples that name none themselves. */
export function serviceOf(resource: readonly Label[]): string {
  let executable = "";
  for (const { name, value } of resource) {
    if (name === SERVICE_ATTRIBUTE) return value;
    if (name === EXECUTABLE_ATTRIBUTE && executable === "") executable = value;
  }
  return executable === "" ? UNKNOWN_SERVICE : `${UNKNOWN_SERVICE}:${executable}`;
}

/** `name` is the profile's `__name__`; `shared`: what `sharedLabelsOf` gave for its scope. */
export function seriesLabelsOf(name: string, service: string, shared: readonly Label[]): Label[] {
  return [
    { name: "__delta__", value: "false" },
    { name: "__otel__", value: "true" },
    { name: LABEL_NAME, value: name },
    { name: LABEL_SERVICE_NAME, value: service },
    ...shared,
  ];
}

/** Labels that all profiles of a scope have. Names that begin with `__` belong to the server, so attributes of such names are left out. */
export function sharedLabelsOf(resource: readonly Label[], scope: readonly Label[]): Label[] {
  const labels: Label[] = [];
  const taken = new Set([LABEL_SERVICE_NAME]);
  for (const attributes of [resource, scope]) {
    for (const label of attributes) {
      if (label.name.startsWith("__") || taken.has(label.name)) continue;
      taken.add(label.name);
      labels.push(label);
    }
  }
  return labels;
}
