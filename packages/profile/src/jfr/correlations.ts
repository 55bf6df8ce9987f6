/**
 * What tells samples of one stacktrace apart: the context of the agent, which stands for labels, and the span. They are numbered from 0,
 * where 0 is neither. The labels of a context are in the labels part of the request (labels-snapshot.ts).
 */
import type { Label } from "../labels/labels.ts";
import type { LabelsSnapshot } from "./labels-snapshot.ts";

/** Where an event's numbers of 64 bits lie: the low half, and the high one behind it. */
export interface CorrelationSlots {
  readonly context: number;
  readonly span: number;
  readonly spanName: number;
}

export class Correlations {
  readonly #snapshot: LabelsSnapshot | undefined;
  readonly #numbers = new Map<string, number>();
  /** By number. */
  readonly #correlations: Correlation[] = [{ context: 0n, span: 0n, spanName: 0n }];
  /** Events of one thread follow one another with the same ids. */
  #lastKey = "";
  #last = 0;

  constructor(snapshot: LabelsSnapshot | undefined) {
    this.#snapshot = snapshot;
  }

  numberOf(values: Float64Array, { context, span, spanName }: CorrelationSlots): number {
    const [contextLow, contextHigh] = [values[context]!, values[context + 1]!];
    const [spanLow, spanHigh] = [values[span]!, values[span + 1]!];
    const [nameLow, nameHigh] = [values[spanName]!, values[spanName + 1]!];
    if (contextLow === 0 && contextHigh === 0 && spanLow === 0 && spanHigh === 0 && nameLow === 0 && nameHigh === 0) return 0;
    const key = `${contextLow} ${contextHigh} ${spanLow} ${spanHigh} ${nameLow} ${nameHigh}`;
    if (key === this.#lastKey) return this.#last;
    let number = this.#numbers.get(key);
    if (number === undefined) {
      number = this.#correlations.length;
      this.#numbers.set(key, number);
      this.#correlations.push({ context: wide(contextLow, contextHigh), span: wide(spanLow, spanHigh), spanName: wide(nameLow, nameHigh) });
    }
    this.#lastKey = key;
    this.#last = number;
    return number;
  }

  /**
   * As Pyroscope's. A context that the labels part does not have gives none: the agent may have dropped it, or sent no such part. Made anew by each
   * call, and not kept: there may be as many correlations as events, each with all labels of one large context.
   */
  labelsOf(correlation: number): readonly Label[] {
    const { context, span, spanName } = this.#correlations[correlation]!;
    const labels: Label[] = context === 0n ? [] : [...(this.#snapshot?.labelsOf(context) ?? [])];
    if (span !== 0n) labels.push({ name: "profile_id", value: span.toString(16).padStart(16, "0") });
    const named = spanName === 0n ? "" : (this.#snapshot?.stringOf(spanName) ?? "");
    if (named !== "") labels.push({ name: "span_name", value: named });
    return labels;
  }
}

interface Correlation {
  readonly context: bigint;
  readonly span: bigint;
  readonly spanName: bigint;
}

function wide(low: number, high: number): bigint {
  return high === 0 ? BigInt(low) : (BigInt(high) << 32n) | BigInt(low);
}
