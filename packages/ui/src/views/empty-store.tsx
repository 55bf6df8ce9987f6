/** Shown for a store without any profile: how to push one, and that the page waits for it. */
import type { JSX } from "preact";
import { useRef, useState } from "preact/hooks";
import { pushExamples } from "../model/push-examples.ts";
import { CopyButton } from "./copy-button.tsx";
import { useWatch } from "./use-watch.ts";

interface EmptyStoreProps {
  readonly serverUrl: string;
  readonly tenant: string;
  readonly onLook: () => void;
}

export function EmptyStore({ serverUrl, tenant, onLook }: EmptyStoreProps): JSX.Element {
  const examples = pushExamples({ serverUrl, tenant });
  const [chosenId, setChosenId] = useState(examples[0]!.id);
  const { isWatching, again } = useWatch(onLook);
  const tabs = useRef<HTMLDivElement>(null);
  const chosen = examples.find(({ id }) => id === chosenId) ?? examples[0]!;
  const onTabKey = (event: KeyboardEvent): void => {
    const step = event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0;
    if (step === 0) return;
    const index = (examples.indexOf(chosen) + step + examples.length) % examples.length;
    setChosenId(examples[index]!.id);
    tabs.current!.querySelectorAll("button")[index]?.focus();
    event.preventDefault();
  };
  return (
    <main class="empty">
      <h2>No profiles yet</h2>
      <p>Push one to this server, from a program or from the command line: this page then shows its flame graph.</p>
      <p class="watching" role="status">
        {isWatching ? (
          <>
            <i class="pulse" aria-hidden="true" /> Watching for the first profile
          </>
        ) : (
          <>
            Stopped watching after an hour.
            <button type="button" class="button" onClick={again}>
              Look again
            </button>
          </>
        )}
      </p>
      <div class="tabs" role="tablist" aria-label="Clients" ref={tabs} onKeyDown={onTabKey}>
        {examples.map(({ id, title }) => (
          <button
            key={id}
            type="button"
            role="tab"
            id={`tab-${id}`}
            aria-selected={id === chosen.id}
            aria-controls="push-example"
            tabIndex={id === chosen.id ? 0 : -1}
            onClick={() => setChosenId(id)}
          >
            {title}
          </button>
        ))}
      </div>
      <div class="example" id="push-example" role="tabpanel" aria-labelledby={`tab-${chosen.id}`}>
        <p>{chosen.note}</p>
        <div class="code">
          <pre tabIndex={0} aria-label={`${chosen.title} example`}>
            {chosen.code}
          </pre>
          <CopyButton key={chosen.id} text={chosen.code} />
        </div>
      </div>
    </main>
  );
}
