/**
 * The meaning of an answer, independent of its form: two answers mean the same where these forms are deeply equal. The order of siblings
 * with equal values, of names, of labels and of series does not count, and 64-bit numbers may be strings or numbers.
 */

/** `path -> "total self"`, where siblings with the same name are added up. A path has the function names from the root, without the root. */
export function flameGraphNodes({ names = [], levels = [], total = 0, numTicks = total }) {
  const nodes = new Map();
  let parents = [];
  for (const [depth, level] of levels.entries()) {
    const values = level.values ?? level;
    const bars = [];
    let x = 0;
    for (let at = 0; at < values.length; at += 4) {
      const [offset, size, self, name] = values.slice(at, at + 4).map(Number);
      x += offset;
      const parent = depth === 0 ? undefined : parents.find((bar) => bar.start <= x && x + size <= bar.end);
      if (depth > 0 && parent === undefined) throw new Error(`a bar of level ${depth} at ${x}, ${size} wide, stands under no bar of the level above`);
      const stack = parent === undefined ? [] : [...parent.stack, names[name]];
      bars.push({ start: x, end: x + size, stack });
      if (depth > 0) addNode(nodes, stack, size, self);
      x += size;
    }
    parents = bars;
  }
  return { total: Number(numTicks), nodes: printNodes(nodes) };
}

/** For a diff: `path -> "total self total self"`, left before right. */
export function flameGraphDiffNodes({ names = [], levels = [], leftTicks = 0, rightTicks = 0 }) {
  const nodes = new Map();
  let parents = [];
  for (const [depth, level] of levels.entries()) {
    const values = level.values ?? level;
    const bars = [];
    let left = 0;
    let right = 0;
    for (let at = 0; at < values.length; at += 7) {
      const [leftOffset, leftSize, leftSelf, rightOffset, rightSize, rightSelf, name] = values.slice(at, at + 7).map(Number);
      left += leftOffset;
      right += rightOffset;
      const inside = (bar) => bar.left <= left && left + leftSize <= bar.leftEnd && bar.right <= right && right + rightSize <= bar.rightEnd;
      const parent = depth === 0 ? undefined : parents.find(inside);
      if (depth > 0 && parent === undefined) throw new Error(`a bar of level ${depth} stands under no bar of the level above`);
      const stack = parent === undefined ? [] : [...parent.stack, names[name]];
      bars.push({ left, leftEnd: left + leftSize, right, rightEnd: right + rightSize, stack });
      if (depth > 0) addNode(nodes, stack, leftSize, leftSelf, rightSize, rightSelf);
      left += leftSize;
      right += rightSize;
    }
    parents = bars;
  }
  return { leftTicks: Number(leftTicks), rightTicks: Number(rightTicks), nodes: printNodes(nodes) };
}

/** Tree bytes: `varint(name length) name varint(self) varint(children)`, the last child first, from a root without a name. */
export function treeNodes(bytes) {
  const nodes = new Map();
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      if (byte === undefined) throw new Error("the tree ends inside a number");
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  const read = (parentStack, isRoot) => {
    const length = varint();
    const name = Buffer.from(bytes.subarray(at, at + length)).toString();
    at += length;
    const self = varint();
    let total = self;
    const stack = isRoot ? [] : [...parentStack, name];
    for (let left = varint(); left > 0; left--) total += read(stack, false);
    if (!isRoot) addNode(nodes, stack, total, self);
    return total;
  };
  const total = read([], true);
  if (at !== bytes.length) throw new Error(`${bytes.length - at} bytes follow the tree`);
  return { total, nodes: printNodes(nodes) };
}

function addNode(nodes, stack, ...values) {
  const key = stack.join(";");
  const before = nodes.get(key);
  nodes.set(key, before === undefined ? values : before.map((value, index) => value + values[index]));
}

function printNodes(nodes) {
  return Object.fromEntries([...nodes].map(([key, values]) => [key, values.join(" ")]).sort(byFirst));
}

function byFirst([a], [b]) {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `{a="1", b="2"}`, sorted by name. */
export function labelSet(labels = []) {
  return labels
    .map(({ name, value }) => `${name}="${value ?? ""}"`)
    .sort()
    .join(", ");
}

export function labelSets(body) {
  return (body.labelsSet ?? []).map(({ labels }) => labelSet(labels)).sort();
}

export function profileTypes(body) {
  return (body.profileTypes ?? []).map(({ ID, name, sampleType, sampleUnit, periodType, periodUnit }) => [ID, name, sampleType, sampleUnit, periodType, periodUnit].join(" ")).sort();
}

/** `labels -> time -> value`. Exemplars are compared without their ids, which differ between servers. */
export function points(body) {
  return Object.fromEntries(
    (body.series ?? [])
      .map((series) => [
        labelSet(series.labels),
        Object.fromEntries((series.points ?? []).map((point) => [point.timestamp, { value: Number(point.value), exemplars: (point.exemplars ?? []).map(exemplar) }])),
      ])
      .sort(byFirst),
  );
}

function exemplar({ timestamp, value, labels, spanId = "", traceId = "" }) {
  return { timestamp: Number(timestamp), value: Number(value), labels: labelSet(labels), spanId, traceId };
}

/** `labels -> time -> number of profiles`, independent of the buckets. */
export function heatmapCounts(body) {
  return Object.fromEntries(
    (body.series ?? [])
      .map((series) => [labelSet(series.labels), Object.fromEntries((series.slots ?? []).map(({ timestamp, counts }) => [timestamp, counts.reduce((sum, count) => sum + count, 0)]))])
      .sort(byFirst),
  );
}

/**
 * For a google.v1.Profile in protobuf's JSON: its types, and `stack -> value` with the line of each frame, root first. Without the
 * period: ours is the profile's own, while Pyroscope writes one second for every cpu profile.
 */
export function pprofMeaning(body) {
  const text = (index) => body.stringTable[Number(index ?? 0)];
  const type = (value) => (value === undefined ? "" : `${text(value.type)}:${text(value.unit)}`);
  const functions = new Map((body.function ?? []).map((fn) => [fn.id, `${text(fn.name)} ${text(fn.filename)}`]));
  const frames = new Map((body.location ?? []).map(({ id, line = [] }) => [id, line.map((one) => `${functions.get(one.functionId)}:${one.line ?? 0}`).reverse()]));
  const stacks = new Map();
  for (const { locationId = [], value } of body.sample ?? []) addNode(stacks, locationId.toReversed().flatMap((id) => frames.get(id)), ...value.map(Number));
  return {
    sampleTypes: (body.sampleType ?? []).map(type),
    periodType: type(body.periodType),
    total: (body.sample ?? []).reduce((sum, { value }) => sum + Number(value[0]), 0),
    stacks: printNodes(stacks),
  };
}

/** The functions with a node in a Graphviz text of ours, of Pyroscope, or of Go. */
export function drawnFunctions(text) {
  return [...text.matchAll(/^N\d+ \[.*tooltip="(\S+) /gm)].map(([, name]) => name).sort();
}

/** The totals of the legend, and the functions that are drawn. */
export function dotMeaning(text) {
  const [, shown, percent, total] = /accounting for (\S+), ([\d.]+)% of (\S+) total/.exec(text) ?? [];
  return { shown, percent, total, functions: drawnFunctions(text) };
}

/** For an answer of /pyroscope/render or render-diff: everything but the encoding of the flame graph. */
export function renderMeaning({ flamebearer, ...rest }) {
  const graph = rest.metadata.format === "double" ? flameGraphDiffNodes(flamebearer) : flameGraphNodes(flamebearer);
  return { graph, maxSelf: flamebearer.maxSelf, ...rest };
}
