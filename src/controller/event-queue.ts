/** Values pushed on one side and iterated on the other; kept until they are taken, as long as somebody may take them. */
export class EventQueue<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  /** How many iterate. */
  #readers = 0;
  #wanted = true;

  push(value: T): void {
    if (!this.#wanted) return;
    this.#values.push(value);
    this.#wake?.();
  }

  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Nobody will iterate who does not already: what is pushed is forgotten. */
  forget(): void {
    if (this.#readers > 0) return;
    this.#wanted = false;
    this.#values = [];
  }

  /** Begins with what was kept; ended early, nothing is kept any more. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    this.#readers++;
    this.#wanted = true;
    return this.#iterate();
  }

  async *#iterate(): AsyncGenerator<T, void, undefined> {
    try {
      for (;;) {
        const values = this.#values;
        this.#values = [];
        yield* values;
        if (this.#values.length > 0) continue;
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#readers--;
      this.forget();
    }
  }
}
