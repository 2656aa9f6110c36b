import type { TargetEvent, TaskRef } from "../core/events.ts";
import { countRescued, countState, EMPTY_TALLY, type Result, type Tally } from "../core/result.ts";
import type { Effects } from "./effects.ts";

/** What a run has told and counted so far. */
export class Ledger {
  readonly #effects: Effects;
  #tally: Tally = EMPTY_TALLY;
  #tasks = 0;
  #announced = 0;
  /** True as long as an earlier life of the run told everything that happens. */
  #isRetracing: boolean;

  constructor(effects: Effects) {
    this.#effects = effects;
    this.#isRetracing = effects.state.earlier?.sameRun ?? false;
  }

  get tally(): Tally {
    return this.#tally;
  }

  get isRetracing(): boolean {
    return this.#isRetracing;
  }

  /** Something happens that no earlier life of the run told. */
  stopRetracing(): void {
    this.#isRetracing = false;
  }

  /** Tell an event, unless an earlier life of the run has. */
  emit(event: TargetEvent): void {
    if (!this.#isRetracing) this.#effects.emit(event);
  }

  log(level: "info" | "warn", text: string): void {
    this.emit({ type: "log", level, text });
  }

  /** The same for the result that other hosts are waiting for. */
  share(task: number, result: Result): void {
    if (!this.#isRetracing) this.#effects.share?.(task, result);
  }

  /** The number of the task that begins next. */
  get nextTask(): number {
    return this.#tasks + 1;
  }

  begin(): void {
    this.#tasks++;
  }

  count(state: Parameters<typeof countState>[1], many = 1): void {
    for (let index = 0; index < many; index++) this.#tally = countState(this.#tally, state);
  }

  /** A task that failed counts as rescued. */
  rescue(ref: TaskRef): void {
    this.#tally = countRescued(this.#tally);
    this.emit({ type: "task:rescued", ...ref });
  }

  /** The number of tasks known of when so many are waiting. */
  total(waiting: number): number {
    this.#announced = this.#tasks + this.#tally.notExecuted + waiting;
    return this.#announced;
  }

  /** Tell the number of tasks known of, where it is another than told before. */
  plan(waiting: number): void {
    const before = this.#announced;
    const total = this.total(waiting);
    if (total !== before) this.emit({ type: "play:plan", total });
  }
}
