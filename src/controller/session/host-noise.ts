import type { ControllerEvent, ReceivedEvent } from "../../core/events.ts";

/** Lines beside the protocol that are told of one host, over all connections to it. */
const MAX_LINES = 500;
const MAX_LINE_LENGTH = 1_000;
/** The end of standard error that is kept, in characters. */
const KEPT = 4_000;

/** What a host says beside the protocol: on standard error, and before the bundle's first word. */
export class HostNoise {
  readonly #host: string;
  readonly #emit: (event: ReceivedEvent | ControllerEvent) => void;
  #lines = 0;
  #stderr = "";

  constructor(host: string, emit: (event: ReceivedEvent | ControllerEvent) => void) {
    this.#host = host;
    this.#emit = emit;
  }

  /** The end of what the command that was started last has written to standard error. */
  get stderr(): string {
    return this.#stderr;
  }

  /** The last line of it; empty when there is none. */
  get lastLine(): string {
    return this.#stderr.trim().split("\n").at(-1) ?? "";
  }

  /** Another command is started. */
  begin(): void {
    this.#stderr = "";
  }

  takeStderr(text: string): void {
    this.#stderr = (this.#stderr + text).slice(-KEPT);
    if (this.#lines >= MAX_LINES) return;
    for (const line of text.split("\n")) if (line.trim() !== "") this.tell(line.slice(0, MAX_LINE_LENGTH));
  }

  tell(text: string): void {
    if (this.#lines++ < MAX_LINES) this.#emit({ type: "host:noise", host: this.#host, text });
  }
}
