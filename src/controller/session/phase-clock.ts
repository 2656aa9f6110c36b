import type { Phase } from "../../core/events.ts";

/** Where the time of a host's run goes. */
export class PhaseClock {
  readonly #phases: Partial<Record<Phase, number>> = {};
  #mark = performance.now();

  /** Milliseconds spent in each phase so far. */
  get phases(): Readonly<Partial<Record<Phase, number>>> {
    return this.#phases;
  }

  /** What is taken next begins now. */
  mark(): void {
    this.#mark = performance.now();
  }

  /** Counts the time since the last mark, and marks again. */
  take(phase: Phase): void {
    const before = this.#mark;
    this.mark();
    this.add(phase, this.#mark - before);
  }

  add(phase: Phase, milliseconds: number): void {
    this.#phases[phase] = (this.#phases[phase] ?? 0) + milliseconds;
  }
}
