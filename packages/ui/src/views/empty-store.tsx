/** What a store without a single profile shows: how to push one here, and that the page is watching for it. */
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { pushExamples } from "../model/push-examples.ts";
import { CopyButton } from "./copy-button.tsx";

export interface EmptyStoreProps {
  readonly serverUrl: string;
  readonly tenant: string;
  readonly onLook: () => void;
}

const LOOK_EVERY_MS = 5_000;
const LOOK_COUNT_MAX = 720; // an hour; then the page stops asking and offers a button

export function EmptyStore({ serverUrl, tenant, onLook }: EmptyStoreProps): JSX.Element {
  const examples = pushExamples({ serverUrl, tenant });
  const [chosenId, setChosenId] = useState(examples[0]!.id);
  const [lookCount, setLookCount] = useState(0);
  const tabs = useRef<HTMLDivElement>(null);
  const isWatching = lookCount < LOOK_COUNT_MAX;
  useEffect(() => {
    if (!isWatching) return undefined;
    const timer = window.setTimeout(() => {
      if (!document.hidden) onLook();
      setLookCount(lookCount + 1);
    }, LOOK_EVERY_MS);
    return () => window.clearTimeout(timer);
  }, [lookCount, isWatching]);
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
      <p>Push one to this server, from a program or from the command line. The page turns into its flame graph by itself.</p>
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
      <p class="watching" role="status">
        {isWatching ? (
          <>
            <i class="pulse" aria-hidden="true" /> Watching for the first profile
          </>
        ) : (
          <>
            Stopped watching after an hour.{" "}
            <button
              type="button"
              class="button"
              onClick={() => {
                setLookCount(0);
                onLook();
              }}
            >
              Look again
            </button>
          </>
        )}
      </p>
    </main>
  );
}
