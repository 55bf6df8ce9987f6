/**
 * The rules of `promtool check metrics`, written after Prometheus' naming practices, its text format and the problems that the tool
 * reports. It replaces the tool so that tests need no binary.
 *
 * `parseMetrics` reads the text format; `lintMetrics` returns one sentence for each problem, as "metric: sentence".
 */

/** @typedef {{ name: string, help: string | undefined, type: string, samples: { name: string, labels: Map<string, string>, value: number }[] }} Family */

const SUFFIXES = { histogram: ["_bucket", "_sum", "_count"], summary: ["_sum", "_count"] };

/** @returns {Map<string, Family>} Throws where the text is not in the format. */
export function parseMetrics(text) {
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const families = new Map();
  const familyOf = (name) => {
    if (!families.has(name)) families.set(name, { name, help: undefined, type: "untyped", samples: [] });
    return families.get(name);
  };
  let current;
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const comment = /^# (HELP|TYPE) ([a-zA-Z_:][a-zA-Z0-9_:]*)(?: (.*))?$/.exec(line);
    if (comment !== null) {
      const [, what, name, rest = ""] = comment;
      if (current?.name !== name && families.has(name)) throw new Error(`${name} stands in two places`);
      current = familyOf(name);
      if (what === "HELP") current.help = rest;
      else if (current.samples.length > 0) throw new Error(`${name} has its type behind its samples`);
      else current.type = rest;
      continue;
    }
    if (line.startsWith("#")) continue;
    const sample = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: -?\d+)?$/.exec(line);
    if (sample === null) throw new Error(`no sample: ${line}`);
    const [, name, labels = "", value] = sample;
    const number = value === "+Inf" ? Infinity : value === "-Inf" ? -Infinity : Number(value);
    if (Number.isNaN(number) && value !== "NaN") throw new Error(`no number: ${line}`);
    const family = current !== undefined && (name === current.name || (SUFFIXES[current.type] ?? []).some((suffix) => name === current.name + suffix)) ? current : familyOf(name);
    family.samples.push({ name, labels: parseLabels(labels, line), value: number });
  }
  return families;
}

function parseLabels(text, line) {
  const labels = new Map();
  const pattern = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)/y;
  while (pattern.lastIndex < text.length) {
    const found = pattern.exec(text);
    if (found === null) throw new Error(`labels cannot be read: ${line}`);
    if (labels.has(found[1])) throw new Error(`a label stands twice: ${line}`);
    labels.set(found[1], found[2]);
  }
  return labels;
}

const BASE_UNITS = ["amperes", "bytes", "celsius", "grams", "joules", "kelvin", "meters", "metres", "seconds", "volts"];
/** -> the base unit to use instead. */
const OTHER_UNITS = new Map([
  ...["minutes", "hours", "days", "weeks"].map((unit) => [unit, "seconds"]),
  ["kelvins", "kelvin"],
  ...["fahrenheit", "rankine"].map((unit) => [unit, "celsius"]),
  ...["inches", "yards", "miles"].map((unit) => [unit, "meters"]),
  ["bits", "bytes"],
  ["calories", "joules"],
  ...["pounds", "ounces"].map((unit) => [unit, "grams"]),
]);
const PREFIXES = ["pico", "nano", "micro", "milli", "centi", "deci", "deca", "hecto", "kilo", "kibi", "mega", "mibi", "giga", "gibi", "tera", "tebi", "peta", "pebi"];
const ABBREVIATIONS = ["s", "ms", "us", "ns", "sec", "b", "kb", "mb", "gb", "tb", "pb", "m", "h", "d"];
const TYPES = ["counter", "gauge", "histogram", "summary", "gauge_histogram"];

/** @returns {string[]} */
export function lintMetrics(text) {
  return [...parseMetrics(text).values()].flatMap((family) => problemsOf(family).map((problem) => `${family.name}: ${problem}`));
}

/** @param {Family} family */
function* problems({ name, help, type, samples }) {
  const words = name.toLowerCase().split("_");
  const holds = (word) => name.toLowerCase().includes(`_${word}_`) || name.toLowerCase().endsWith(`_${word}`);
  const isTyped = type !== "untyped";
  if (help === undefined || help === "") yield "no help text";

  const [unit, base] = unitOf(words);
  if (unit !== base) yield `use base unit "${base}" instead of "${unit}"`;
  if (ABBREVIATIONS.some(holds)) yield "metric names should not contain abbreviated units";

  if (type === "counter" && !name.endsWith("_total")) yield 'counter metrics should have "_total" suffix';
  if (isTyped && type !== "counter" && name.endsWith("_total")) yield 'non-counter metrics should not have "_total" suffix';
  if (isTyped && type !== "gauge" && name.endsWith("_timestamp_seconds")) yield 'non-gauge metrics should not have "_timestamp_seconds" suffix';

  const labelNames = new Set(samples.flatMap(({ labels }) => [...labels.keys()]));
  if (isTyped && type !== "histogram") {
    if (name.endsWith("_bucket")) yield 'non-histogram metrics should not have "_bucket" suffix';
    if (labelNames.has("le")) yield 'non-histogram metrics should not have "le" label';
  }
  if (isTyped && type !== "histogram" && type !== "summary") {
    if (name.endsWith("_count")) yield 'non-histogram and non-summary metrics should not have "_count" suffix';
    if (name.endsWith("_sum")) yield 'non-histogram and non-summary metrics should not have "_sum" suffix';
  }
  if (isTyped && type !== "summary" && labelNames.has("quantile")) yield 'non-summary metrics should not have "quantile" label';

  for (const typeName of TYPES) if (holds(typeName)) yield `metric name should not include type "${typeName}"`;
  if (name.includes(":")) yield "metric names should not contain ':'";
  if (/[a-z][A-Z]/.test(name)) yield "metric names should be written in 'snake_case' not 'camelCase'";
  if ([...labelNames].some((label) => /[a-z][A-Z]/.test(label))) yield "label names should be written in 'snake_case' not 'camelCase'";
  const seen = new Set();
  for (const { name: sampleName, labels } of samples) {
    const key = `${sampleName} ${[...labels].map(([label, value]) => `${label}=${value}`).sort().join()}`;
    if (seen.has(key)) yield `the same labels twice: ${key}`;
    seen.add(key);
  }
}

function problemsOf(family) {
  return [...problems(family)];
}

/** The first unit that a name holds, and the base unit it should hold. */
function unitOf(words) {
  for (const word of words) {
    for (const prefix of ["", ...PREFIXES]) {
      if (!word.startsWith(prefix)) continue;
      const unit = word.slice(prefix.length);
      const base = BASE_UNITS.includes(unit) ? unit : OTHER_UNITS.get(unit);
      if (base !== undefined) return [word, base];
    }
  }
  return [undefined, undefined];
}
