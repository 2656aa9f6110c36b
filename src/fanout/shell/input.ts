import { VolleyError } from "../../core/errors.ts";
import type { KeyModes } from "./emulator.ts";

/** Names of the keys that the shell itself uses. */
export type KeyName =
  | "up"
  | "down"
  | "left"
  | "right"
  | "home"
  | "end"
  | "pageUp"
  | "pageDown"
  | "delete"
  | "enter"
  | "tab"
  | "backspace"
  | "escape"
  | `ctrl-${string}`;

/** A unit of input from the real terminal. */
export type InputToken =
  /** A key, with the bytes it sent. */
  | {
      readonly kind: "key";
      readonly bytes: Buffer;
      readonly name: KeyName | undefined;
      /** The character of a printable key. */
      readonly text: string | undefined;
    }
  /** A paste, without its brackets. */
  | { readonly kind: "paste"; readonly bytes: Buffer };

/** Splits input into keys and pastes; a sequence may arrive in parts. */
interface InputParser {
  feed(chunk: Buffer): readonly InputToken[];
  /** True when a sequence is incomplete. A lone ESC is a key when no more input follows soon. */
  readonly isPending: boolean;
  /** Return an incomplete sequence as it is. */
  flush(): readonly InputToken[];
}

const ESC = 0x1b;
const PASTE_START = Buffer.from("\x1b[200~");
const PASTE_END = Buffer.from("\x1b[201~");
const MAX_SEQUENCE = 32;

const SEQUENCES: Readonly<Record<string, KeyName>> = {
  "[A": "up",
  "[B": "down",
  "[C": "right",
  "[D": "left",
  "[H": "home",
  "[F": "end",
  OA: "up",
  OB: "down",
  OC: "right",
  OD: "left",
  OH: "home",
  OF: "end",
  "[1~": "home",
  "[7~": "home",
  "[4~": "end",
  "[8~": "end",
  "[3~": "delete",
  "[5~": "pageUp",
  "[6~": "pageDown",
};

/** Make a parser, which detects pastes by the brackets of DEC private mode 2004. */
export function createInputParser(): InputParser {
  let pending: Buffer = Buffer.alloc(0);
  let pasted: Buffer[] | undefined;
  const parse = (isFinal: boolean): InputToken[] => {
    const tokens: InputToken[] = [];
    let at = 0;
    while (at < pending.length) {
      if (pasted !== undefined) {
        const end = pending.indexOf(PASTE_END, at);
        if (end === -1) {
          // The closing bracket may arrive in two parts.
          const keep = isFinal ? pending.length : Math.max(at, pending.length - PASTE_END.length + 1);
          pasted.push(pending.subarray(at, keep));
          at = keep;
          break;
        }
        pasted.push(pending.subarray(at, end));
        tokens.push({ kind: "paste", bytes: Buffer.concat(pasted) });
        pasted = undefined;
        at = end + PASTE_END.length;
        continue;
      }
      const length = lengthOf(pending, at);
      if (length === undefined && !isFinal) break;
      const bytes = pending.subarray(at, at + (length ?? pending.length - at));
      at += bytes.length;
      if (bytes.equals(PASTE_START)) pasted = [];
      else tokens.push(keyOf(Buffer.from(bytes)));
    }
    pending = Buffer.from(pending.subarray(at));
    return tokens;
  };
  return {
    feed: (chunk) => {
      pending = Buffer.concat([pending, chunk]);
      return parse(false);
    },
    get isPending() {
      return pending.length > 0 && pasted === undefined;
    },
    flush: () => (pasted === undefined ? parse(true) : []),
  };
}

/** Return the length of a key's sequence; undefined when more bytes may follow. */
function lengthOf(bytes: Buffer, at: number): number | undefined {
  const first = bytes[at]!;
  if (first === ESC) return escapeLength(bytes, at);
  if (first < 0xc0) return 1;
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  return at + length <= bytes.length ? length : undefined;
}

/** ECMA-48 5.4: CSI, parameters, intermediates, a final byte; SS3 and one more; else Alt with a key. */
function escapeLength(bytes: Buffer, at: number): number | undefined {
  const second = bytes[at + 1];
  if (second === undefined) return undefined;
  // Not Alt: Escape, and a control key pressed soon after it.
  if (second < 0x20 || second === 0x7f) return 1;
  if (second === 0x4f) return bytes[at + 2] === undefined ? undefined : 3;
  if (second !== 0x5b) {
    const rest = lengthOf(bytes, at + 1);
    return rest === undefined ? undefined : rest + 1;
  }
  for (let index = at + 2; index < Math.min(bytes.length, at + MAX_SEQUENCE); index++) {
    const byte = bytes[index]!;
    if (byte >= 0x40 && byte <= 0x7e) return index - at + 1;
    if (byte < 0x20 || byte > 0x3f) return 1;
  }
  return bytes.length - at >= MAX_SEQUENCE ? 1 : undefined;
}

function keyOf(bytes: Buffer): InputToken {
  const first = bytes[0]!;
  if (first === ESC) {
    const name = bytes.length === 1 ? "escape" : SEQUENCES[bytes.subarray(1).toString("latin1")];
    return { kind: "key", bytes, name, text: undefined };
  }
  if (first >= 0x20 && first !== 0x7f)
    return { kind: "key", bytes, name: undefined, text: bytes.toString("utf8") };
  return { kind: "key", bytes, name: controlName(first), text: undefined };
}

function controlName(byte: number): KeyName {
  if (byte === 0x0d || byte === 0x0a) return "enter";
  if (byte === 0x09) return "tab";
  if (byte === 0x7f || byte === 0x08) return "backspace";
  return `ctrl-${String.fromCharCode(byte | 0x40).toLowerCase()}`;
}

const CURSOR_KEYS = /^.[[O]([ABCDHF])$/;

/**
 * Return the bytes for a host: cursor keys in the form that its program requested (DECCKM), and pastes with brackets if
 * requested, else with carriage returns for line ends, as a terminal sends them.
 */
export function bytesFor(tokens: readonly InputToken[], modes: KeyModes): Buffer {
  return Buffer.concat(
    tokens.map((token) =>
      token.kind === "paste" ? pasteBytes(token.bytes, modes) : keyBytes(token.bytes, modes),
    ),
  );
}

function keyBytes(bytes: Buffer, { applicationCursorKeys }: KeyModes): Buffer {
  if (bytes.length !== 3 || bytes[0] !== ESC) return bytes;
  const key = CURSOR_KEYS.exec(bytes.toString("latin1"))?.[1];
  return key === undefined ? bytes : Buffer.from(`\x1b${applicationCursorKeys ? "O" : "["}${key}`);
}

function pasteBytes(bytes: Buffer, { bracketedPaste }: KeyModes): Buffer {
  // Latin-1 keeps every byte. After a closing bracket inside, the rest would count as typed: remove it.
  const text = bytes.toString("latin1").replaceAll(PASTE_END.toString(), "").replace(/\r?\n/g, "\r");
  return Buffer.from(bracketedPaste ? `${PASTE_START}${text}${PASTE_END}` : text, "latin1");
}

/** The key before the shell's own commands. */
export interface EscapeKey {
  readonly byte: number;
  /** Its name on the screen: `Ctrl-]`. */
  readonly label: string;
}

/** The default escape key: Telnet's, which editors and shells do not use. */
export const DEFAULT_ESCAPE = "ctrl-]";

/** Control characters of keys that a terminal needs, with the keys' names. */
const NEEDED: Readonly<Record<string, string>> = { I: "Tab", J: "line feed", M: "Enter", "[": "Escape" };

/** Parse `ctrl-]`, `^]` or `C-]`: Ctrl and a letter or one of `@ \ ] ^ _`. Fails with `USAGE`. */
export function parseEscapeKey(text: string): EscapeKey {
  const key = /^(?:\^|ctrl[-+]|c-)(.)$/i.exec(text.trim())?.[1]?.toUpperCase();
  if (key === undefined || !/[@-_]/.test(key)) {
    throw new VolleyError("USAGE", `"${text}" is no escape key`, {
      hint: "write Ctrl and a letter or one of @ \\ ] ^ _: ctrl-], ^a",
    });
  }
  const needed = NEEDED[key];
  if (needed !== undefined)
    throw new VolleyError("USAGE", `"${text}" cannot be the escape key: it is what ${needed} sends`);
  return { byte: key.charCodeAt(0) & 0x1f, label: `Ctrl-${key}` };
}
