import { MAX_MESSAGE_BYTES } from "./protocol.ts";

/** What came is not what the protocol allows: there is no going on behind it. */
export class MalformedSftpError extends Error {
  override readonly name = "MalformedSftpError";
}

/** Longest of what came first that is quoted in a message. */
const QUOTED_BYTES = 40;

/** Cuts a stream into messages without their length. Holds at most one message that is not complete, 256 KiB. */
export class SftpReader {
  #chunks: Buffer[] = [];
  #heldBytes = 0;
  #anyRead = false;

  /** The messages that are complete with this chunk. Throws {@link MalformedSftpError} on a length that cannot be. */
  push(chunk: Buffer): readonly Buffer[] {
    if (chunk.length > 0) this.#chunks.push(chunk);
    this.#heldBytes += chunk.length;
    const messages: Buffer[] = [];
    while (this.#heldBytes >= 4) {
      const length = this.#peekLength();
      if (length === 0 || length > MAX_MESSAGE_BYTES) throw this.#absurd(length);
      if (this.#heldBytes < 4 + length) break;
      messages.push(this.#take(4 + length).subarray(4));
      this.#anyRead = true;
    }
    return messages;
  }

  #peekLength(): number {
    const first = this.#chunks[0]!;
    if (first.length >= 4) return first.readUInt32BE();
    return this.#joined().readUInt32BE();
  }

  #take(bytes: number): Buffer {
    const first = this.#chunks[0]!;
    const whole = first.length >= bytes ? first : this.#joined();
    this.#heldBytes -= bytes;
    if (whole.length === bytes) this.#chunks.shift();
    else this.#chunks[0] = whole.subarray(bytes);
    return whole.subarray(0, bytes);
  }

  /** Only called when a message or its length is complete: so every byte is copied at most twice. */
  #joined(): Buffer {
    const whole = Buffer.concat(this.#chunks);
    this.#chunks = [whole];
    return whole;
  }

  #absurd(length: number): MalformedSftpError {
    if (this.#anyRead) return new MalformedSftpError(`a message of ${length} bytes`);
    // Most often it is a line that a shell's profile prints.
    const text = this.#joined()
      .subarray(0, QUOTED_BYTES)
      .toString("latin1")
      .split(/[\r\n]/)[0]!;
    return new MalformedSftpError(`it begins with ${JSON.stringify(text.replace(/[^\x20-\x7e]/g, "?"))}`);
  }
}
