import pLimit from "p-limit";
import { type Command, type Question, questionKey } from "../../core/protocol.ts";
import type { Result } from "../../core/result.ts";
import type { AskStep } from "../prepare/options.ts";

/** Options of going step by step. */
interface StepsOptions {
  /** Absent in a run that another controller began step by step: all its tasks are then done. */
  readonly ask: AskStep | undefined;
  tell(host: string, command: Command): void;
}

type StepQuestion = Extract<Question, { kind: "step" }>;

const LEFT_OUT: Result = { state: "skipped", message: "left out, as asked at the terminal" };

/**
 * Make the function that answers the hosts' questions whether a task is done. The person is asked once for each task,
 * whichever host comes to it first; the answer holds for all hosts. After `continue` nothing more is asked.
 */
export function createSteps({ ask, tell }: StepsOptions): (host: string, question: StepQuestion) => void {
  const oneAtATime = pLimit(1);
  const decided = new Map<string, Promise<boolean>>();
  let asksOn = ask !== undefined;
  const decide = async ({ play, role, name, action, handler = false }: StepQuestion): Promise<boolean> => {
    if (!asksOn || ask === undefined) return true;
    const answer = await ask({ play, role, name, action, handler });
    if (answer === "continue") asksOn = false;
    return answer !== "no";
  };
  return (host, question) => {
    const { index, role, name, nth } = question;
    const key = JSON.stringify([index, role, name, nth]);
    const done = decided.get(key) ?? oneAtATime(() => decide(question));
    decided.set(key, done);
    void done.then((isWanted) =>
      tell(host, {
        type: "answer",
        question: questionKey(question),
        ...(isWanted ? {} : { result: LEFT_OUT }),
      }),
    );
  };
}
