import { expect } from "chai";
import { SharedQuestions } from "./shared-questions.ts";

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
const never = new AbortController().signal;

/** Runs that begin and end when told. */
class Runs {
  readonly begun: (() => void)[] = [];
  readonly ends: { readonly resolve: (answer: string) => void; readonly reject: (error: Error) => void; readonly signal: AbortSignal }[] = [];
  joinedCount = 0;
  readonly questions: SharedQuestions;

  constructor({ isAlone = true }: { readonly isAlone?: boolean } = {}) {
    this.questions = new SharedQuestions(() => this.joinedCount++, { isAlone });
  }

  async ask(key = "q", signal: AbortSignal = never, tenants: readonly string[] = ["t1"]): Promise<string> {
    return this.questions.ask(
      { key, tenants },
      (own, begin) => {
        this.begun.push(begin);
        return new Promise((resolve, reject) => {
          this.ends.push({ resolve, reject, signal: own });
          own.addEventListener("abort", () => reject(own.reason as Error));
        });
      },
      signal,
    );
  }
}

async function outcomeOf(asked: Promise<string>): Promise<string> {
  return asked.catch((error: unknown) => (error as Error).message);
}

describe("equal questions in flight", () => {
  it("are asked once, and share the answer", async () => {
    const runs = new Runs();
    const asked = [runs.ask(), runs.ask(), runs.ask("other")];
    await turn();
    expect(runs.ends.length).to.equal(2);
    runs.ends[0]!.resolve("answer");
    runs.ends[1]!.resolve("another");
    expect(await Promise.all(asked)).to.deep.equal(["answer", "answer", "another"]);
    expect(runs.joinedCount).to.equal(1);
    const later = runs.ask();
    await turn();
    expect(runs.ends.length, "what ended is not kept").to.equal(3);
    runs.ends[2]!.resolve("fresh");
    expect(await later).to.equal("fresh");
  });

  // A push that another node has answered meanwhile is not committed here.
  it("in a cluster a run that has begun is joined by nobody, and one that waits still is", async () => {
    const runs = new Runs({ isAlone: false });
    const waiting = [runs.ask(), runs.ask()];
    await turn();
    expect(runs.ends.length).to.equal(1);
    runs.begun[0]!();
    const later = runs.ask();
    await turn();
    expect(runs.ends.length).to.equal(2);
    runs.ends[0]!.resolve("before");
    runs.ends[1]!.resolve("after");
    expect(await Promise.all([...waiting, later])).to.deep.equal(["before", "before", "after"]);
  });

  it("a run that has begun is joined as long as no push of its tenants is committed", async () => {
    const runs = new Runs();
    const first = runs.ask();
    await turn();
    runs.begun[0]!();
    const second = runs.ask();
    runs.questions.onCommitted("t2");
    const third = runs.ask();
    await turn();
    expect(runs.ends.length).to.equal(1);
    runs.ends[0]!.resolve("answer");
    expect(await Promise.all([first, second, third])).to.deep.equal(["answer", "answer", "answer"]);
  });

  it("a question after a push was committed joins no run that had begun before; those that had joined that run get its answer", async () => {
    const runs = new Runs();
    const before = runs.ask();
    await turn();
    runs.begun[0]!();
    runs.questions.onCommitted("t1");
    const after = runs.ask();
    await turn();
    expect(runs.ends.length).to.equal(2);
    runs.ends[0]!.resolve("without the push");
    runs.ends[1]!.resolve("with the push");
    expect([await before, await after]).to.deep.equal(["without the push", "with the push"]);
  });

  it("a run that waits for its turn is joined whatever was pushed meanwhile: it plans later", async () => {
    const runs = new Runs();
    const before = runs.ask();
    await turn();
    runs.questions.onCommitted("t1");
    const after = runs.ask();
    await turn();
    expect(runs.ends.length).to.equal(1);
    runs.ends[0]!.resolve("answer");
    expect(await Promise.all([before, after])).to.deep.equal(["answer", "answer"]);
  });

  it("a question over several tenants is closed by a push of any of them, and forgotten for all", async () => {
    const runs = new Runs();
    const before = runs.ask("q", never, ["t1", "t2"]);
    await turn();
    runs.begun[0]!();
    runs.questions.onCommitted("t2");
    const after = runs.ask("q", never, ["t1", "t2"]);
    await turn();
    runs.questions.onCommitted("t1"); // the second one waits: it stays open
    const third = runs.ask("q", never, ["t1", "t2"]);
    await turn();
    expect(runs.ends.length).to.equal(2);
    for (const end of runs.ends) end.resolve("answer");
    await Promise.all([before, after, third]);
  });

  it("a caller that leaves does not disturb the others, and the last one to leave ends the run, also a run that nobody may join any more", async () => {
    const runs = new Runs();
    const [one, two] = [new AbortController(), new AbortController()];
    const asked = [runs.ask("q", one.signal), runs.ask("q", two.signal)].map(outcomeOf);
    await turn();
    runs.begun[0]!();
    runs.questions.onCommitted("t1");
    one.abort(new Error("the first left"));
    await turn();
    expect(runs.ends[0]!.signal.aborted).to.equal(false);
    two.abort(new Error("the second left"));
    expect(await Promise.all(asked)).to.deep.equal(["the first left", "the second left"]);
    expect(runs.ends[0]!.signal.aborted).to.equal(true);
  });

  it("an error goes to those that asked before the run began; those that joined later ask again, together", async () => {
    const runs = new Runs();
    const early = [runs.ask(), runs.ask()].map(outcomeOf);
    await turn();
    runs.begun[0]!();
    const late = [runs.ask(), runs.ask()].map(outcomeOf);
    await turn();
    runs.ends[0]!.reject(new Error("quarantined"));
    expect(await Promise.all(early)).to.deep.equal(["quarantined", "quarantined"]);
    await turn();
    expect(runs.ends.length, "one run for both").to.equal(2);
    runs.ends[1]!.resolve("acknowledged meanwhile");
    expect(await Promise.all(late)).to.deep.equal(["acknowledged meanwhile", "acknowledged meanwhile"]);
  });

  it("an error of a run that began after the question is given without asking again", async () => {
    const runs = new Runs();
    const early = outcomeOf(runs.ask());
    await turn();
    runs.begun[0]!();
    const late = outcomeOf(runs.ask());
    await turn();
    runs.ends[0]!.reject(new Error("first"));
    await early;
    await turn();
    runs.ends[1]!.reject(new Error("second"));
    expect(await late).to.equal("second");
  });
});
