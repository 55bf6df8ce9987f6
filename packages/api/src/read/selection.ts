/**
 * Parses the selection of a request: selectors become matchers and a profile type, ids become bytes. Everything that a caller can
 * misspell is refused here with an error that says how to write it.
 */
import { CodedError, invalidArgument } from "@pyromesh/base";
import { LABEL_PROFILE_TYPE, makeMatcher, parseProfileType, parseQuery, parseSelector, parseUuid, printProfileType, RegexBudget, SELECTOR_LENGTH_MAX } from "@pyromesh/profile";
import type { Matcher, ProfileType } from "@pyromesh/profile";
import type { MergeQuery, Scope } from "../ports/ports.ts";
import type { StackTraceSelectorMessage } from "../proto/types-v1.ts";

/** The profiles that a query selects. */
export type Selection = Omit<MergeQuery, keyof Scope>;

export interface SelectionInput {
  readonly profileTypeID: string;
  readonly labelSelector: string;
  readonly stackTraceSelector?: StackTraceSelectorMessage | undefined;
  readonly profileIdSelector?: readonly string[];
  readonly spanSelector?: readonly string[];
  readonly traceIdSelector?: readonly string[];
}

/** Ids, or functions of a call site, in one request. Each is compared with every profile read, and a longer list is a mistake. */
const ID_COUNT_MAX = 10_000;

/** Labels to group by. Each is looked up in every series read, and a series has some 30 at most. */
const GROUP_BY_COUNT_MAX = 100;

/** A request with two selections (a diff) passes the same budget for both. */
export function readSelection(input: SelectionInput, budget: RegexBudget = new RegexBudget()): Selection {
  const profileType = parseProfileType(input.profileTypeID);
  const selector = readSelector(input.labelSelector, budget);
  const spanIds = checkIds(input.spanSelector ?? [], 16, "span_selector");
  const traceIds = checkIds(input.traceIdSelector ?? [], 32, "trace_id_selector");
  if (spanIds.length > 0 && traceIds.length > 0) {
    throw invalidArgument("SELECTION_AMBIGUOUS", "span_selector and trace_id_selector are both set: send one of them");
  }
  const profileIds = bounded(input.profileIdSelector ?? [], "profile_id_selector").map((text) => {
    const id = parseUuid(text);
    if (id === undefined) throw invalidArgument("PROFILE_ID_INVALID", `profile_id_selector has ${quote(text)}, which is not a UUID`);
    return id;
  });
  // Where both are given go_pgo counts, as in Pyroscope.
  const callSite = input.stackTraceSelector?.goPgo === undefined ? bounded(input.stackTraceSelector?.callSite ?? [], "call_site").map((location) => location.name) : [];
  return { profileType, selector, callSite, profileIds, spanIds, traceIds };
}

/** Refuses a diff of two profile types: nanoseconds less bytes mean nothing. `names` are the names of the sides in the error. */
export function checkSameType(left: Pick<Selection, "profileType">, right: Pick<Selection, "profileType">, names: readonly [left: string, right: string]): void {
  const [leftType, rightType] = [printProfileType(left.profileType), printProfileType(right.profileType)];
  if (leftType === rightType) return;
  throw invalidArgument("PROFILE_TYPES_DIFFER", `${names[0]} is about ${leftType}, ${names[1]} about ${rightType}: compare profiles of one type`);
}

/** `{}` selects everything. An empty text is refused. */
function readSelector(text: string, budget: RegexBudget = new RegexBudget()): Matcher[] {
  try {
    return parseSelector(text, budget);
  } catch (thrown) {
    throw explained(thrown, `label selector ${quote(text)}`);
  }
}

/**
 * The selectors of the label endpoints, together as one. An empty text selects everything: Grafana sends it before the user has typed a
 * query.
 */
export function readSelectors(texts: readonly string[]): Matcher[][] {
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length > SELECTOR_LENGTH_MAX) {
    throw invalidArgument("SELECTION_TOO_LARGE", `matchers have ${length} characters together, more than ${SELECTOR_LENGTH_MAX}: match with fewer, or with a regular expression`);
  }
  const budget = new RegexBudget();
  const matchers = texts.flatMap((text) => (text.trim() === "" ? [] : readSelector(text, budget)));
  return matchers.length === 0 ? [] : [matchers];
}

/** The label names as sent. */
export function readGroupBy(names: readonly string[]): readonly string[] {
  return bounded(names, "group_by", GROUP_BY_COUNT_MAX);
}

/** The labels of a Series request, each looked up in every series read. */
export function readLabelNames(names: readonly string[]): readonly string[] {
  return bounded(names, "label_names", LABEL_NAME_COUNT_MAX);
}

/** More than a series has, and still bounded: the list is sent along with each part of the work. */
const LABEL_NAME_COUNT_MAX = 1000;

export interface RenderQuery {
  readonly profileType: ProfileType;
  readonly selector: readonly Matcher[];
}

/** Parses `type{selector}` with a complete profile type. `parameter` is its name in errors. */
export function readRenderQuery(text: string | null, parameter: string, budget: RegexBudget = new RegexBudget()): RenderQuery {
  if (text === null || text.trim() === "") throw invalidArgument("QUERY_MISSING", `"${parameter}" is required: ${HOW_TO_QUERY}`);
  const { profileType, matchers } = readQuery(text, `"${parameter}" ${quote(text)}`, budget);
  if (profileType === undefined) throw invalidArgument("QUERY_INVALID", `"${parameter}" ${quote(text)} names no profile type: ${HOW_TO_QUERY}`);
  return { profileType, selector: matchers };
}

const HOW_TO_QUERY = `write it as process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name="api"}`;

/** Parses a selector with or without a profile type before it, all as matchers. */
export function readSeriesQuery(text: string): Matcher[] {
  const { typeId, matchers } = readQuery(text, `query ${quote(text)}`, new RegexBudget());
  return typeId === "" ? [...matchers] : [makeMatcher(LABEL_PROFILE_TYPE, "=", typeId), ...matchers];
}

function readQuery(text: string, what: string, budget: RegexBudget): ReturnType<typeof parseQuery> {
  try {
    return parseQuery(text, budget);
  } catch (thrown) {
    throw explained(thrown, what);
  }
}

function explained(thrown: unknown, what: string): unknown {
  if (!(thrown instanceof CodedError)) return thrown;
  return new CodedError({ code: thrown.code, kind: thrown.kind, message: `${what} cannot be read: ${thrown.message}`, details: thrown.details, cause: thrown });
}

function checkIds(texts: readonly string[], digits: number, field: string): string[] {
  return bounded(texts, field).map((text) => {
    if (text.length !== digits || !/^[0-9a-fA-F]+$/.test(text)) {
      throw invalidArgument("SELECTION_ID_INVALID", `${field} has ${quote(text)}: write each id as ${digits} hex digits`);
    }
    return text.toLowerCase();
  });
}

function bounded<T>(items: readonly T[], field: string, countMax: number = ID_COUNT_MAX): readonly T[] {
  if (items.length > countMax) throw invalidArgument("SELECTION_TOO_LARGE", `${field} has ${items.length} entries: send at most ${countMax}`);
  return items;
}

function quote(text: string): string {
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}...` : text);
}
