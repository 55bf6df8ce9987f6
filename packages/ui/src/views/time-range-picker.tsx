/** Selects the time to show: one of the presets, or two moments. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { inputValueOf, momentOfInput } from "../model/local-time.ts";
import type { TimeRange } from "../model/time-range.ts";
import { printRange, RANGE_PRESETS, resolveRange } from "../model/time-range.ts";

interface TimeRangePickerProps {
  readonly range: TimeRange;
  readonly nowMs: number;
  readonly onChange: (range: TimeRange) => void;
}

const CUSTOM = "custom";

export function TimeRangePicker({ range, nowMs, onChange }: TimeRangePickerProps): JSX.Element {
  const [isOpen, setIsOpen] = useState(range.kind === "between");
  useEffect(() => setIsOpen(range.kind === "between"), [range.kind]);
  const isPreset = range.kind === "last" && RANGE_PRESETS.some(({ spanMs }) => spanMs === range.spanMs);
  const onSelect = (value: string): void => {
    if (value === CUSTOM) setIsOpen(true);
    else if (value !== "") onChange({ kind: "last", spanMs: Number(value) });
    if (value !== CUSTOM) setIsOpen(false);
  };
  return (
    <>
      <label class="field">
        <span class="field-name">Time</span>
        <select value={isOpen ? CUSTOM : range.kind === "last" ? String(range.spanMs) : CUSTOM} onChange={(event) => onSelect(event.currentTarget.value)}>
          {range.kind === "last" && !isPreset ? <option value={String(range.spanMs)}>Last {printRange(range).from.slice("now-".length)}</option> : null}
          {RANGE_PRESETS.map(({ spanMs, text }) => (
            <option key={spanMs} value={String(spanMs)}>
              {text}
            </option>
          ))}
          <option value={CUSTOM}>Custom…</option>
        </select>
      </label>
      {isOpen ? <CustomRange range={range} nowMs={nowMs} onChange={onChange} /> : null}
    </>
  );
}

function CustomRange({ range, nowMs, onChange }: TimeRangePickerProps): JSX.Element {
  const span = resolveRange(range, nowMs);
  const [from, setFrom] = useState(inputValueOf(span.startMs));
  const [until, setUntil] = useState(inputValueOf(span.endMs));
  useEffect(() => {
    if (range.kind !== "between") return;
    setFrom(inputValueOf(range.startMs));
    setUntil(inputValueOf(range.endMs));
  }, [range]);
  const startMs = momentOfInput(from);
  const endMs = momentOfInput(until);
  const isValid = startMs !== undefined && endMs !== undefined && startMs < endMs;
  return (
    <form
      class="custom-range"
      onSubmit={(event) => {
        event.preventDefault();
        if (isValid) onChange({ kind: "between", startMs, endMs });
      }}
    >
      <label class="field">
        <span class="field-name">From</span>
        <input type="datetime-local" step="1" value={from} onInput={(event) => setFrom(event.currentTarget.value)} />
      </label>
      <label class="field">
        <span class="field-name">Until</span>
        <input type="datetime-local" step="1" value={until} aria-invalid={!isValid} onInput={(event) => setUntil(event.currentTarget.value)} />
      </label>
      <button type="submit" class="button" disabled={!isValid} title={isValid ? "Show this time" : "Until must be later than From"}>
        Apply
      </button>
    </form>
  );
}
