/** The controls of the query: service, profile type, labels and time. Each one writes to the URL and nothing else. */
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { QueryState } from "../model/query-state.ts";
import type { ServiceCatalog } from "../model/service-catalog.ts";
import { preferredType, typeTitles } from "../model/service-catalog.ts";
import { TimeRangePicker } from "./time-range-picker.tsx";
import type { ChangeState } from "./use-query-state.ts";

interface ToolbarProps {
  readonly state: QueryState;
  readonly catalog: ServiceCatalog | undefined;
  readonly nowMs: number;
  readonly isLoading: boolean;
  readonly hasTenantField: boolean;
  readonly onChange: ChangeState;
  readonly onRefresh: () => void;
}

export function Toolbar({ state, catalog, nowMs, isLoading, hasTenantField, onChange, onRefresh }: ToolbarProps): JSX.Element {
  const services = withChosen([...(catalog?.services.keys() ?? [])], state.service);
  const types = withChosen(catalog?.services.get(state.service) ?? [], state.profileType);
  const titles = typeTitles(types);
  const onService = (service: string): void => {
    const offered = catalog?.services.get(service) ?? [];
    const profileType = offered.includes(state.profileType) ? state.profileType : (preferredType(offered) ?? "");
    onChange({ service, profileType, zoom: [] });
  };
  return (
    <header class="toolbar">
      <h1 class="brand">
        <svg viewBox="0 0 32 32" width="20" height="20" aria-hidden="true">
          <rect x="2" y="4" width="28" height="7" rx="1.5" fill="#c2410c" />
          <rect x="2" y="12.5" width="18" height="7" rx="1.5" fill="#ea7a2e" />
          <rect x="21.5" y="12.5" width="8.5" height="7" rx="1.5" fill="#b45309" />
          <rect x="6" y="21" width="10" height="7" rx="1.5" fill="#f0a53c" />
        </svg>
        Pyromesh
      </h1>
      <a class="cluster-link" href="ring" title="The ring, its members, and what each of them holds">
        Cluster
      </a>
      <div class="controls" role="search" aria-label="Query">
        {hasTenantField ? <TextField name="Tenant" class="tenant" value={state.tenant} placeholder="anonymous" onCommit={(tenant) => onChange({ tenant, service: "", profileType: "", zoom: [] })} /> : null}
        <label class="field service">
          <span class="field-name">Service</span>
          <select value={state.service} disabled={services.length === 0} onChange={(event) => onService(event.currentTarget.value)}>
            {services.length === 0 ? <option value="">none yet</option> : null}
            {services.map((service) => (
              <option key={service} value={service}>
                {service}
              </option>
            ))}
          </select>
        </label>
        <label class="field type">
          <span class="field-name">Profile type</span>
          <select value={state.profileType} disabled={types.length === 0} title={state.profileType} onChange={(event) => onChange({ profileType: event.currentTarget.value, zoom: [] })}>
            {types.length === 0 ? <option value="">none yet</option> : null}
            {types.map((type) => (
              <option key={type} value={type}>
                {titles.get(type)}
              </option>
            ))}
          </select>
        </label>
        <TextField name="Labels" class="labels" value={state.selector} placeholder='pod="a", region=~"eu-.*"' onCommit={(selector) => onChange({ selector, zoom: [] })} />
        <TimeRangePicker range={state.range} nowMs={nowMs} onChange={(range) => onChange({ range })} />
        <div class="refresh">
          <button type="button" class="button" onClick={onRefresh} aria-busy={isLoading}>
            Refresh
          </button>
          <label class="check" title={state.range.kind === "between" ? "A fixed time does not change" : "Ask again every 10 seconds"}>
            <input
              type="checkbox"
              checked={state.isAutoRefresh}
              disabled={state.range.kind === "between"}
              onChange={(event) => onChange({ isAutoRefresh: event.currentTarget.checked }, "replace")}
            />
            every 10 s
          </label>
        </div>
      </div>
    </header>
  );
}

interface TextFieldProps {
  readonly name: string;
  readonly class: string;
  readonly value: string;
  readonly placeholder: string;
  readonly onCommit: (value: string) => void;
}

/** Applies on Enter or when it loses the focus: half a selector is no query. */
function TextField({ name, class: className, value, placeholder, onCommit }: TextFieldProps): JSX.Element {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  const commit = (): void => {
    if (text !== value) onCommit(text);
  };
  return (
    <label class={`field ${className}`}>
      <span class="field-name">{name}</span>
      <input
        type="text"
        spellcheck={false}
        autocomplete="off"
        autocapitalize="off"
        value={text}
        placeholder={placeholder}
        onInput={(event) => setText(event.currentTarget.value)}
        onBlur={commit}
        onKeyDown={(event) => {
          if (event.key === "Enter") commit();
          if (event.key === "Escape") setText(value);
        }}
      />
    </label>
  );
}

/** A link may name a choice that this time range does not have. It is offered too, and the page says that it is empty. */
function withChosen(offered: readonly string[], chosen: string): string[] {
  return chosen === "" || offered.includes(chosen) ? [...offered] : [chosen, ...offered];
}
