/** The services and their profile types, and the choice of a page whose URL makes none. */

export interface ServiceCatalog {
  /** Services in order of name, each with its profile types in order. */
  readonly services: ReadonlyMap<string, readonly string[]>;
}

export interface ServiceActivity {
  readonly service: string;
  readonly newestMs: number;
  readonly total: number;
}

/** From pairs of service and profile type, which may repeat. */
export function catalogOf(pairs: readonly { readonly service: string; readonly profileType: string }[]): ServiceCatalog {
  const types = new Map<string, Set<string>>();
  for (const { service, profileType } of pairs) {
    if (service === "" || profileType === "") continue;
    types.set(service, (types.get(service) ?? new Set()).add(profileType));
  }
  const names = [...types.keys()].sort();
  return { services: new Map(names.map((name) => [name, [...types.get(name)!].sort()])) };
}

/** CPU, else wall time, else memory in use, else the first: what most readers look for. */
export function preferredType(types: readonly string[]): string | undefined {
  const wishes: ((type: string) => boolean)[] = [
    (type) => type.startsWith("process_cpu:cpu:"),
    (type) => type.startsWith("process_cpu:"),
    (type) => type.startsWith("wall:wall:"),
    (type) => type.startsWith("wall:"),
    (type) => type.startsWith("memory:inuse_space:"),
    () => true,
  ];
  for (const wish of wishes) {
    const found = types.find(wish);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** The type that most services show by default; of several, the first by name. */
export function commonestType(catalog: ServiceCatalog): string | undefined {
  const counts = new Map<string, number>();
  for (const types of catalog.services.values()) {
    const type = preferredType(types);
    if (type !== undefined) counts.set(type, (counts.get(type) ?? 0) + 1);
  }
  return [...counts].sort(([leftType, left], [rightType, right]) => right - left || (leftType < rightType ? -1 : 1))[0]?.[0];
}

/** The service with the newest data; of several, the busiest. Without activity the first by name. */
export function preferredService(catalog: ServiceCatalog, activity: readonly ServiceActivity[]): string | undefined {
  const known = activity.filter(({ service }) => catalog.services.has(service));
  const best = known.toSorted((left, right) => right.newestMs - left.newestMs || right.total - left.total)[0];
  return best?.service ?? catalog.services.keys().next().value;
}

/** `cpu · process_cpu` for `process_cpu:cpu:nanoseconds:cpu:nanoseconds`. The whole id where two titles would be equal. */
export function typeTitles(types: readonly string[]): ReadonlyMap<string, string> {
  const titles = types.map((type) => shortTitle(type));
  return new Map(types.map((type, index) => [type, titles.indexOf(titles[index]!) === titles.lastIndexOf(titles[index]!) ? titles[index]! : type]));
}

export function sampleUnitOf(type: string): string {
  return type.split(":")[2] ?? "";
}

function shortTitle(type: string): string {
  const [name = "", sampleType = ""] = type.split(":");
  return name === sampleType ? name : `${sampleType} · ${name}`;
}
