/** Values pushed on one side and iterated on the other. Values are kept until they are taken, or {@link EventQueue.forget}. */
export class EventQueue<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #iterators = 0;
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

  /** Drop the values and those to come, unless an iterator takes them. */
  forget(): void {
    if (this.#iterators > 0) return;
    this.#wanted = false;
    this.#values = [];
  }

  /** Begin with the values kept. When the iterator returns early, no more are kept. */
  [Symbol.asyncIterator](): AsyncIterator<T> {
    this.#iterators++;
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
      this.#iterators--;
      this.forget();
    }
  }
}
