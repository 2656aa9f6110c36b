import type { Lockstep, Step } from "../../core/program.ts";
import type { ProgramHost } from "../../engine/program.ts";

/**
 * The way of a host through its play. Under a controller the hosts of a batch go together, as Ansible's strategy
 * `linear` has it: none begins a task before all others have done the tasks before. By itself a host waits for nobody.
 */
export class Steps {
  readonly #host: ProgramHost;
  readonly #place: number[] = [];
  /** False for the strategies `free` and `host_pinned`. */
  #isLinear = true;

  constructor(host: ProgramHost) {
    this.#host = host;
  }

  get #lockstep(): Lockstep | undefined {
    return this.#host.world?.lockstep;
  }

  get #step(): Step {
    const { job, index } = this.#host;
    return { play: index, host: job.host, place: [...this.#place] };
  }

  /** Let each host go at its own pace. */
  goFree(): void {
    this.#isLinear = false;
  }

  /** Do the work of a statement, which is the nth within the statement around it. */
  async within<T>(nth: number, work: () => Promise<T>): Promise<T> {
    this.#place.push(nth);
    try {
      return await work();
    } finally {
      this.#place.pop();
    }
  }

  /** Wait until all other hosts have done the tasks before this one. */
  async arrive(): Promise<void> {
    if (this.#isLinear) await this.#lockstep?.arrive(this.#step, this.#host.ends.cancel);
  }

  /** Do a task that at most so many hosts may be at; undefined: as many as the run allows. */
  turn<T>(most: number | undefined, work: () => Promise<T>): Promise<T> {
    return this.#lockstep === undefined ? work() : this.#lockstep.turn(this.#step, most, work);
  }

  /** The names of the play's hosts that are still at work; of its batch; or of all hosts it is for. */
  hosts(which: "play" | "batch" | "all"): readonly string[] {
    const { job, index: play } = this.#host;
    const at = { play, host: job.host };
    const lockstep = this.#lockstep;
    if (lockstep === undefined) return [job.host];
    return which === "batch" ? lockstep.batchOf(at) : lockstep.hostsOf(play, which === "all");
  }

  /** The failure of this host ends the run for all others. */
  fail(): void {
    this.#lockstep?.fail(this.#step);
  }

  /** This host ends its play by itself: the others go on without it. */
  leave(): void {
    this.#lockstep?.leave(this.#step);
  }

  /** Return whether this host speaks for all at this place: `meta: end_play` asks only the first of them. */
  get isFirst(): boolean {
    return this.#lockstep?.isFirst(this.#step) ?? true;
  }

  /** End the play for all hosts of the batch, or of all batches. */
  end(forAll: boolean): void {
    this.#lockstep?.end(this.#step, forAll);
  }

  /** False where it turned out, as the play began, that the play is not for this host. */
  get isFor(): boolean {
    return this.#lockstep?.isFor(this.#step) ?? true;
  }

  /** True once a host has ended the play for all. */
  get isOver(): boolean {
    return this.#lockstep?.isOver(this.#step) ?? false;
  }
}
